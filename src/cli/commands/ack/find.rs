//! What the newest check found of a subject, and what of that can be acknowledged.

use crate::check;
use crate::cli::args::subjects::Named;
use crate::error::Failure;
use crate::model::{escaped, quoted};
use crate::project::Project;
use crate::report::json::{WireCheck, WireFinding, WireKind, WireReport, WireStatus};
use crate::store::open_run::newest_own;

/// A finding, and the check that found it.
type Found<'a> = (&'a WireCheck, &'a WireFinding);

/// Those that are named: by subject, or else by where a module lies.
fn named_in<'a>(report: &'a WireReport, named: &Named) -> Vec<Found<'a>> {
    let all = all_of(report);
    let chosen: Vec<Found<'a>> = named.among(&keys_of(&all)).into_iter().map(|at| all[at]).collect();
    if !chosen.is_empty() {
        return chosen;
    }
    let modules: Vec<Found<'a>> = all.into_iter().filter(|(_, finding)| finding.place.is_some()).collect();
    let place = |(check, finding): &Found<'a>| {
        (check.name.as_str(), finding.place.clone().unwrap_or_default().into_bytes())
    };
    let places: Vec<(&str, Vec<u8>)> = modules.iter().map(place).collect();
    named.as_path().among(&places).into_iter().map(|at| modules[at]).collect()
}

fn all_of(report: &WireReport) -> Vec<Found<'_>> {
    report.checks.iter().flat_map(|check| check.findings.iter().map(move |f| (check, f))).collect()
}

fn keys_of<'a>(all: &[Found<'a>]) -> Vec<(&'a str, Vec<u8>)> {
    all.iter().map(|(check, finding)| (check.name.as_str(), finding.key())).collect()
}

/// A name, and the report that it is looked for in.
pub(crate) struct Search<'a> {
    pub(crate) project: &'a Project,
    pub(crate) report: &'a WireReport,
    pub(crate) named: &'a Named,
    pub(crate) target: Option<&'a str>,
}

impl<'a> Search<'a> {
    /// The findings that are named, all of which can be acknowledged.
    pub(crate) fn findings(&self) -> Result<Vec<Found<'a>>, Failure> {
        let chosen = named_in(self.report, self.named);
        if chosen.is_empty() {
            return Err(self.not_found());
        }
        can_be_acknowledged(&chosen)?;
        Ok(chosen)
    }

    /// The targets whose newest report knows the name.
    fn elsewhere(&self) -> Vec<&'a str> {
        let knows = |name: &str| {
            let report = newest_own(self.project, Some(name)).ok().flatten();
            report.is_some_and(|report| !named_in(&report, self.named).is_empty())
        };
        let names = self.project.config.targets.keys().map(String::as_str);
        names.filter(|name| Some(*name) != self.target && knows(name)).collect()
    }

    /// The command that makes a newer report of the same place.
    fn look_again(&self) -> String {
        let option = self.target.map(|name| format!(" --target {name}")).unwrap_or_default();
        format!("look again with: driftlock check{option}")
    }

    /// Why nothing was found: the check was an error, or the name is another.
    fn not_found(&self) -> Failure {
        let (report, named) = (self.report, self.named);
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
        if let Some(name) = self.elsewhere().first() {
            return failure.hint(format!("it was found on a target: add --target {}", quoted(name)));
        }
        let again = self.look_again();
        failure.hint(match (named.near(&keys_of(&all_of(report))), erred.as_slice()) {
            _ if report.partial => "it looked at some checks alone; look at all with: driftlock check".to_owned(),
            (near, _) if !near.is_empty() => format!("it found: {}; for what changed since, {again}", near.join(", ")),
            (_, []) => format!("it found none at all; for what changed since, {again}"),
            (_, erred) => format!(
                "it found none at all; {} could not be carried out, and there is no way to acknowledge an error",
                erred.join(", ")
            ),
        })
    }
}

/// Refuses errors, and lock files that are missing.
fn can_be_acknowledged(chosen: &[Found<'_>]) -> Result<(), Failure> {
    for (check, finding) in chosen {
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
    Ok(())
}
