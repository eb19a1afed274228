//! What the newest check found of a subject, and what of that can be acknowledged.

use crate::cli::args::subjects::Named;
use crate::error::Failure;
use crate::model::{CheckResult, Finding, Kind, Report, SubjectSource, escaped, quoted};
use crate::project::Project;
use crate::store::open_run::newest_own;

/// A finding, and the check that found it.
type Found<'a> = (&'a CheckResult, &'a Finding);

/// Those that are named: by subject, or else by where a module lies.
fn named_in<'a>(report: &'a Report, named: &Named) -> Vec<Found<'a>> {
    let all = all_of(report);
    let chosen: Vec<Found<'a>> = named.among(&keys_of(&all)).into_iter().map(|at| all[at]).collect();
    if !chosen.is_empty() {
        return chosen;
    }
    let modules: Vec<Found<'a>> =
        all.into_iter().filter(|(_, finding)| finding.place != finding.subject.key).collect();
    let place = |(check, finding): &Found<'a>| (check.id, finding.place.clone());
    let places: Vec<(&str, Vec<u8>)> = modules.iter().map(place).collect();
    named.as_path().among(&places).into_iter().map(|at| modules[at]).collect()
}

fn all_of(report: &Report) -> Vec<Found<'_>> {
    report.checks.iter().flat_map(|check| check.findings.iter().map(move |f| (check, f))).collect()
}

fn keys_of<'a>(all: &[Found<'a>]) -> Vec<(&'a str, Vec<u8>)> {
    all.iter().map(|(check, finding)| (check.id, finding.subject.key.clone())).collect()
}

/// A name, and the report that it is looked for in.
pub(crate) struct Search<'a> {
    pub(crate) project: &'a Project,
    pub(crate) report: &'a Report,
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
        let failed = |check: &&CheckResult| !check.errors.is_empty();
        let check = report.checks.iter().filter(failed).find(|check| named.is_in(check.id));
        if let Some(check) = check {
            let why = escaped(check.errors.join("; ").as_bytes());
            let name = check.id;
            return Failure::new(format!("{name} was an error: there is no way to acknowledge an error"))
                .hint(format!("mend that and check again: {why}"));
        }
        let failure = Failure::new(format!("{asked}: the newest check found no drift of such a subject"));
        let erred: Vec<&str> = report.checks.iter().filter(failed).map(|check| check.id).collect();
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
        let name = format!("{}/{}", check.id, escaped(&finding.subject.key));
        if finding.kind == Kind::Unreadable {
            let failure =
                Failure::new(format!("{name} is an error: there is no way to acknowledge an error"));
            return Err(failure.hint("make it readable, and check again"));
        }
        if finding.subject.source == SubjectSource::LockFile {
            let failure = Failure::new(format!("{name}: a missing lock file cannot be acknowledged"));
            return Err(
                failure.hint("the check that needs it is an error until it is there: driftlock export")
            );
        }
    }
    Ok(())
}
