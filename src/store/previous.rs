//! What the newest whole check before this one found, for what is told of changes.

use crate::check;
use crate::model::PastRun;
use crate::model::printable_path;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::atomic::read_file;
use crate::error::Failure;
use crate::model::{ExitCode, Finding, Mode, Report, Resolved, Since, Status, escaped};
use crate::project::Project;
use crate::report::json;
use crate::store::history;
use crate::store::runs;
use crate::store::since::{self, Carried, Found};

/// Where earlier reports are looked for.
pub(crate) struct Previous<'a> {
    project: &'a Project,
    /// The reports of `--previous`, which stand in for those of earlier runs here.
    given: Option<Vec<Arc<Report>>>,
    /// What was read of earlier runs, before this one takes their place.
    read: Mutex<BTreeMap<Option<String>, Option<Arc<Report>>>>,
}

impl<'a> Previous<'a> {
    /// The reports that `--previous` names, or those that earlier runs have left.
    ///
    /// # Errors
    /// When the file is there and holds no report.
    pub(crate) fn new(project: &'a Project, given: Option<&Path>) -> Result<Self, Failure> {
        let read = Mutex::default();
        let Some(path) = given else { return Ok(Self { project, given: None, read }) };
        let reports = match read_file(path) {
            Ok(bytes) => json::read_all_known(&bytes, &check::meta).map_err(|why| {
                let why = escaped(why.to_string().as_bytes());
                Failure::new(format!("--previous {}: {why}", printable_path(path)))
                    .hint("it must be a drift_report.json, or what --format json has written")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let path = printable_path(path);
                project.control.events.warning(&format!(
                    "--previous {path}: there is no such file; all that is found counts as new"
                ));
                Vec::new()
            }
            Err(error) => return Err(Failure::at(path, &error)),
        };
        Ok(Self { project, given: Some(reports.into_iter().map(Arc::new).collect()), read })
    }

    /// Whether the user named the earlier reports.
    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// The newest whole report of a place before this invocation; one that cannot be read is none.
    pub(crate) fn of(&self, target: Option<&str>) -> Option<Arc<Report>> {
        if let Some(given) = &self.given {
            // One of some checks alone, or of two recorded states, says nothing of the whole.
            let is_whole = |report: &&Arc<Report>| !report.partial && report.mode != Mode::Diff;
            return given.iter().filter(is_whole).find(|it| it.target.as_deref() == target).cloned();
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let from_disk = || {
            let bytes = read_file(&runs::latest(&self.project.store_root, target)).ok()?;
            json::read_known(&bytes, &check::meta).ok().map(Arc::new)
        };
        read.entry(target.map(str::to_owned)).or_insert_with(from_disk).clone()
    }

    /// Puts on a report what earlier ones tell: since when its findings are there, and when all was last looked at.
    pub(crate) fn carry_on(&self, report: &mut Report) {
        if !self.project.config.notify.is_empty() {
            // Once this run is kept, the report before it is gone.
            self.of(report.target.as_deref());
        }
        // Some of the checks are not everything.
        let is_success = report.verdict.exit != ExitCode::Error && !report.partial;
        report.last_success = is_success.then_some(report.started_at_unix);
        let before = self.of(report.target.as_deref());
        if !is_success {
            report.last_success = before.as_ref().and_then(|before| before.last_success);
        }
        let same_baseline = before.filter(|before| before.baseline.from == report.baseline.from);
        report.resolved = same_baseline.as_deref().map(|before| resolved(before, report)).unwrap_or_default();
        let mut past = OlderRuns {
            previous: self,
            report: (report.target.clone(), report.baseline.from.clone()),
            now: report.started_at_unix,
            read: None,
        };
        for check in &mut report.checks {
            let id = check.id;
            let before = same_baseline.as_deref().map(|before| Found::by(id, before));
            for finding in &mut check.findings {
                let carried = before
                    .as_ref()
                    .map_or(Carried::Unknown, |before| since::carried(before, finding, &report.run));
                finding.since = match carried {
                    Carried::Since(since) => Some(since),
                    Carried::New => None,
                    Carried::Unknown => past.since(id, finding),
                };
                finding.is_new = finding.since.is_none();
            }
        }
    }
}

/// What the report `before` found, and checks that were carried out to their end have not found any more.
fn resolved(before: &Report, now: &Report) -> Vec<Resolved> {
    let mut all = Vec::new();
    for check in now.checks.iter().filter(|check| matches!(check.status(), Status::Pass | Status::Fail)) {
        let still: HashSet<&[u8]> = check.findings.iter().map(|it| it.subject.key.as_slice()).collect();
        let is_over = |old: &&Finding| !still.contains(old.subject.key.as_slice());
        let earlier = before.checks.iter().filter(|it| it.id == check.id).flat_map(|it| &it.findings);
        all.extend(earlier.filter(is_over).map(|old| Resolved {
            check: check.id.to_owned(),
            subject: old.subject.key.clone(),
            kind: old.kind,
        }));
    }
    all
}

/// The runs before the newest whole one, which are only read where that one cannot tell.
struct OlderRuns<'a> {
    previous: &'a Previous<'a>,
    report: (Option<String>, String),
    /// What began later was dated by a clock that was wrong.
    now: i64,
    read: Option<Vec<PastRun>>,
}

impl OlderRuns<'_> {
    fn since(&mut self, check: &str, finding: &Finding) -> Option<Since> {
        if self.previous.given.is_some() {
            return None;
        }
        let root = &self.previous.project.store_root;
        let (target, from) = &self.report;
        let read = || history::read(root, &|_| true).map(|history| history.runs).unwrap_or_default();
        let runs = self.read.get_or_insert_with(read).iter().rev();
        let runs = runs.filter(|past| past.target == *target && past.baseline == *from);
        let runs = runs.filter(|past| past.started_at_unix <= self.now);
        let name = String::from_utf8_lossy(&finding.subject.key);
        since::since(runs, check, &name, finding).map(|since| Since { runs: since.runs + 1, ..since })
    }
}
