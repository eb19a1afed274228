//! The state of every place as its newest whole report has it: read from disk, and nothing is looked at.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::Serialize;

use crate::atomic::read_file;
use crate::check;
use crate::control::dates;
use crate::model::{
    ExitCode, Mode, Moment, Report, Status, escaped, in_words, lasting, printable_path, shown_json,
};
use crate::project::Project;
use crate::report::{headline, json};
use crate::store::last_sweep::LastSweep;
use crate::store::runs;

/// One place, and what its newest whole report says.
pub(crate) struct Standing {
    /// The target; none of this machine.
    pub(crate) target: Option<String>,
    /// Whether the configuration still names it.
    pub(crate) is_configured: bool,
    /// The file that holds the report, as a path from the working directory.
    pub(crate) file: PathBuf,
    /// The report.
    pub(crate) newest: Result<Newest, Unusable>,
}

/// What the newest report of a place says.
pub(crate) struct Newest {
    /// The report as it was read.
    pub(crate) report: Report,
    /// How long ago its run began, in seconds; negative where a clock was set back since.
    pub(crate) age: i64,
}

/// Reasons why the newest report of a place says nothing about it. Texts in them are escaped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// There is none.
    #[error("no report")]
    None,
    /// The file cannot be read, or not as a report.
    #[error("{file}: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The report is about something else.
    #[error("{file}: it is no report of all checks of this place")]
    Other {
        /// The file.
        file: String,
    },
}

/// What becomes of a place, given how old a report may be.
pub(crate) struct Judgement {
    /// PASS, FAIL, or ERROR where nothing recent says either.
    pub(crate) status: Status,
    /// Why it is an ERROR, where the report itself does not say so.
    pub(crate) problem: Option<String>,
}

/// Every place: this machine first, then the targets by name, those that are configured and those that left a report.
pub(crate) fn read(project: &Project, now: i64) -> Vec<Standing> {
    let configured = project.config.targets.keys().cloned();
    let targets: BTreeSet<String> = configured.chain(runs::targets(&project.store_root)).collect();
    std::iter::once(None)
        .chain(targets.into_iter().map(Some))
        .map(|it| Standing::read(project, it, now))
        .collect()
}

impl Standing {
    fn read(project: &Project, target: Option<String>, now: i64) -> Self {
        let path = runs::latest(&project.store_root, target.as_deref());
        let file = project.named(&path);
        let shown = || printable_path(&file);
        let newest = match read_file(&path) {
            Ok(bytes) => match json::read_known(&bytes, &check::meta) {
                Ok(report) if !is_of(&report, target.as_deref()) => Err(Unusable::Other { file: shown() }),
                Ok(report) => Ok(Newest { age: now.saturating_sub(report.started_at_unix), report }),
                Err(why) => {
                    let why = escaped(why.to_string().as_bytes());
                    Err(Unusable::Damaged { file: shown(), why })
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Unusable::None),
            Err(error) => Err(Unusable::Damaged { file: shown(), why: in_words(&error) }),
        };
        let is_configured = target.as_ref().is_none_or(|name| project.config.may_have(name));
        Self { target, is_configured, file, newest }
    }

    /// The target's name, or the word for this machine.
    pub(crate) fn name(&self) -> &str {
        self.target.as_deref().unwrap_or(Mode::Local.word())
    }

    /// Judges the place; `max_age` is how many seconds ago the report may have begun.
    pub(crate) fn judge(&self, max_age: Option<i64>) -> Judgement {
        let newest = match &self.newest {
            Ok(newest) => newest,
            Err(why) => return Judgement { status: Status::Error, problem: Some(why.to_string()) },
        };
        let problem = max_age.and_then(|most| match newest.age {
            age if age > most => Some(format!("older than {}", lasting(most))),
            // Nobody knows how old it is.
            age if age < 0 => Some("dated in the future, so its age is unknown".to_owned()),
            _ => None,
        });
        let status = if problem.is_some() { Status::Error } else { newest.report.status() };
        Judgement { status, problem }
    }
}

impl Newest {
    /// The first moment at which an acknowledgement of the report ends; none without any.
    pub(crate) fn acknowledged_until(&self) -> Option<Moment> {
        let all = self.report.checks.iter().flat_map(|check| &check.findings);
        all.filter_map(|finding| dates::moment(&finding.acknowledged()?.until)).min_by_key(|until| until.unix)
    }
}

/// Whether a report is about all of the place that its file is named for.
fn is_of(report: &Report, target: Option<&str>) -> bool {
    report.target.as_deref() == target && !report.partial && report.mode != Mode::Diff
}

/// The exit code for these places: 1 where one is an ERROR, else 2 where one FAILs, else 0.
pub(crate) fn exit_code<'a>(all: impl IntoIterator<Item = &'a Judgement>) -> ExitCode {
    ExitCode::worst(all.into_iter().map(|it| match it.status {
        Status::Pass | Status::Skip => ExitCode::Pass,
        Status::Fail => ExitCode::Drift,
        Status::Error => ExitCode::Error,
    }))
}

/// One document for machines.
#[derive(Serialize)]
struct Wire<'a> {
    schema: &'a str,
    status: &'a str,
    exit_code: u8,
    places: Vec<WirePlace<'a>>,
    sweep: Option<&'a LastSweep>,
}

#[derive(Serialize)]
struct WirePlace<'a> {
    place: &'a str,
    target: Option<&'a str>,
    configured: bool,
    status: &'a str,
    problem: Option<&'a str>,
    overall: Option<&'a str>,
    headline: Option<String>,
    run: Option<&'a str>,
    started_at: Option<&'a str>,
    started_at_unix: Option<i64>,
    age_seconds: Option<i64>,
    findings: Option<usize>,
    acknowledged: Option<usize>,
    acknowledged_until: Option<String>,
    report: String,
}

/// The same as JSON, schema `driftlock.status/1`.
pub(crate) fn json(all: &[(Standing, Judgement)], sweep: Option<&LastSweep>) -> String {
    let exit = exit_code(all.iter().map(|(_, judgement)| judgement));
    let wire = Wire {
        schema: "driftlock.status/1",
        status: Status::worst(all.iter().map(|(_, judgement)| judgement.status)).word(),
        exit_code: exit.code(),
        places: all.iter().map(|(standing, judgement)| WirePlace::of(standing, judgement)).collect(),
        sweep,
    };
    shown_json(serde_json::to_string_pretty(&wire).unwrap_or_default()) + "\n"
}

impl<'a> WirePlace<'a> {
    fn of(standing: &'a Standing, judgement: &'a Judgement) -> Self {
        let newest = standing.newest.as_ref().ok();
        let report = newest.map(|newest| &newest.report);
        Self {
            place: standing.name(),
            target: standing.target.as_deref(),
            configured: standing.is_configured,
            status: judgement.status.word(),
            problem: judgement.problem.as_deref(),
            overall: report.map(|report| report.verdict.overall.word()),
            headline: report.map(headline),
            run: report.map(|report| report.run.as_str()),
            started_at: report.map(|report| report.started_at.as_str()),
            started_at_unix: report.map(|report| report.started_at_unix),
            age_seconds: newest.map(|newest| newest.age),
            findings: report.map(Report::findings),
            acknowledged: report.map(Report::acknowledged),
            acknowledged_until: newest.and_then(Newest::acknowledged_until).map(|until| until.text),
            report: String::from_utf8_lossy(standing.file.as_os_str().as_encoded_bytes()).into_owned(),
        }
    }
}
