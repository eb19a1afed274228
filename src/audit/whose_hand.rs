//! By whose hand the files of findings changed that no commit holds, where this machine records that.

use std::path::PathBuf;

use crate::audit::target::Aim;
use crate::model::{CheckResult, Finding, SubjectKind, Who, escaped, joined};
use crate::project::Project;
use crate::section;
use crate::who::{self, WhoSources};

/// So many files of one finding are asked about.
const FILES: usize = 5;
/// So many files of a report are asked about.
const MOST: usize = 300;
/// How much of an audit log is read for a report.
const LOG_OF_REPORT: u64 = 16 << 20;

/// A search of this machine's records.
#[derive(Clone, Copy)]
pub(crate) struct WhoSearch<'a> {
    /// The project.
    project: &'a Project,
    /// The place that was looked at.
    aim: &'a Aim,
    /// How much of an audit log is read.
    log: u64,
}

impl<'a> WhoSearch<'a> {
    /// For one subject: as much of the log is read as there is, within reason.
    pub(crate) fn at_length(project: &'a Project, aim: &'a Aim) -> Self {
        Self { project, aim, log: who::LONGEST_LOG }
    }

    /// For a report: within a bounded time.
    pub(crate) fn in_brief(project: &'a Project, aim: &'a Aim) -> Self {
        Self { project, aim, log: LOG_OF_REPORT }
    }

    /// Puts on each finding whose hand it was.
    pub(crate) fn give(self, checks: &mut [CheckResult]) {
        let findings: Vec<&Finding> = checks.iter().flat_map(|check| &check.findings).collect();
        let claims = self.claims(&findings);
        let all = checks.iter_mut().flat_map(|check| &mut check.findings);
        for (finding, claims) in all.zip(claims) {
            finding.who = claims;
        }
    }

    /// What is known of each finding; nothing where nothing is recorded here.
    pub(crate) fn claims(self, findings: &[&Finding]) -> Vec<Vec<Who>> {
        let written = self.project.config.who.clone();
        let config = written.clone().unwrap_or_default();
        // Where nothing records that, nothing is said of it.
        if !self.aim.is_this_machine() || written.is_none() && !config.audit_dir.is_dir() {
            return vec![Vec::new(); findings.len()];
        }
        let mut files: Vec<(usize, String, PathBuf)> = Vec::new();
        for (index, finding) in findings.iter().enumerate() {
            let paths = paths(finding).into_iter().take(FILES);
            let located = paths.filter_map(|path| Some((self.aim.layout.locate(&path)?, path)));
            files.extend(located.map(|(at, path)| (index, escaped(&path), at)));
        }
        files.truncate(MOST);
        let places: Vec<PathBuf> = files.iter().map(|(.., at)| at.clone()).collect();
        let sources =
            WhoSources { audit_dir: config.audit_dir, wtmp: config.wtmp, passwd: "/etc/passwd".into() };
        let mut all = vec![Vec::new(); findings.len()];
        for ((index, file, _), claim) in files.into_iter().zip(who::of_files(&places, &sources, self.log)) {
            all[index].push(Who { file, ..claim });
        }
        all
    }
}

/// The files of a finding that no commit holds.
fn paths(finding: &Finding) -> Vec<Vec<u8>> {
    let is_released = finding.provenance.as_ref().is_some_and(|it| it.commit.is_some());
    let has_files = section::kind_of(finding.subject.source).is_some_and(SubjectKind::has_files);
    if !finding.kind.is_drift() || is_released || !has_files {
        return Vec::new();
    }
    match finding.parts.as_slice() {
        [] => vec![finding.place.clone()],
        parts => parts.iter().map(|part| joined(&finding.place, &part.path)).collect(),
    }
}
