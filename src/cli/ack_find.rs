//! What the newest check found of a subject, and what of that can be acknowledged.

use super::accept::report_in;
use super::named::Named;
use super::project::Project;
use super::{Failure, output};
use crate::check;
use crate::config::is_target_name;
use crate::model::escaped;
use crate::report::json::{self, WireCheck, WireFinding, WireKind, WireReport, WireStatus};
use crate::run;

/// The report of the newest check of a place.
pub(super) fn newest_report(project: &Project, target: Option<&str>) -> Result<WireReport, Failure> {
    if let Some(name) = target.filter(|name| !is_target_name(name)) {
        return Err(Failure::new(format!("no target may be called \"{}\"", escaped(name.as_bytes()))));
    }
    let runtime = project.named(&project.root.join(run::PATH));
    let newest = run::newest(&project.root, target, &[json::FILE]);
    let newest = newest.map_err(|error| Failure::at(&runtime, &error))?;
    let report = newest.map(|run| report_in(&run)).transpose()?.flatten();
    report.ok_or_else(|| {
        let whose = target.map(|name| format!(" of target {name}")).unwrap_or_default();
        let option = target.map(|name| format!(" --target {name}")).unwrap_or_default();
        Failure::new(format!("there is no check{whose} in {}", output::shown(&runtime)))
            .hint(format!("make one with: driftlock check{option}"))
    })
}

/// The findings that are named, all of which can be acknowledged.
pub(super) fn findings<'a>(
    report: &'a WireReport,
    named: &Named,
) -> Result<Vec<(&'a WireCheck, &'a WireFinding)>, Failure> {
    let all: Vec<(&WireCheck, &WireFinding)> =
        report.checks.iter().flat_map(|check| check.findings.iter().map(move |f| (check, f))).collect();
    let keys: Vec<(&str, Vec<u8>)> = all.iter().map(|(check, f)| (check.name.as_str(), f.key())).collect();
    let chosen: Vec<(&WireCheck, &WireFinding)> = named.among(&keys).into_iter().map(|at| all[at]).collect();
    if chosen.is_empty() {
        return Err(not_found(report, named, &keys));
    }
    for (check, finding) in &chosen {
        let name = format!("{}/{}", escaped(check.name.as_bytes()), escaped(&finding.key()));
        if finding.kind == WireKind::Unreadable {
            let failure =
                Failure::new(format!("{name} is an error: there is no way to acknowledge an error"));
            return Err(failure.hint("make it readable, and check again"));
        }
        if check::find(&check.name).is_none_or(|known| known.section().is_none()) {
            let failure = Failure::new(format!("{name}: a missing lock file cannot be acknowledged"));
            return Err(
                failure.hint("the check that needs it is an error until it is there: driftlock export")
            );
        }
    }
    Ok(chosen)
}

/// Why nothing was found: the check was an error, or the name is another.
fn not_found(report: &WireReport, named: &Named, keys: &[(&str, Vec<u8>)]) -> Failure {
    let asked = named.shown();
    let failed = |check: &&WireCheck| check.status == WireStatus::Error && check.error.is_some();
    let check = report.checks.iter().filter(failed).find(|check| named.is_in(&check.name));
    if let Some(check) = check {
        let why = escaped(check.error.as_deref().unwrap_or_default().as_bytes());
        let name = escaped(check.name.as_bytes());
        return Failure::new(format!("{name} was an error: there is no way to acknowledge an error"))
            .hint(format!("mend that and check again: {why}"));
    }
    let failure = Failure::new(format!("{asked}: the newest check found no drift of such a subject"));
    let erred: Vec<String> =
        report.checks.iter().filter(failed).map(|check| escaped(check.name.as_bytes())).collect();
    failure.hint(match (named.near(keys), erred.as_slice()) {
        _ if report.partial => "it looked at some checks alone; look at all with: driftlock check".to_owned(),
        (near, _) if !near.is_empty() => format!("it found: {}", near.join(", ")),
        (_, []) => "it found none at all".to_owned(),
        (_, erred) => format!(
            "it found none at all; {} could not be carried out, and there is no way to acknowledge an error",
            erred.join(", ")
        ),
    })
}
