//! By whose hand the files of findings changed that no commit holds, and the resources beside their code, where that is recorded.

use std::path::PathBuf;

use crate::audit::desired;
use crate::audit::target::Aim;
use crate::control::clock;
use crate::model::{Change, CheckResult, Finding, SubjectKind, Who, escaped, joined};
use crate::project::Project;
use crate::section;
use crate::who::{self, Trail, TrailSources, WhoSources};

/// So many files of one finding are asked about.
const FILES: usize = 5;
/// So many files of a report are asked about.
const MOST: usize = 300;
/// How much of an audit log is read for a report.
const LOG_OF_REPORT: u64 = 16 << 20;
/// How much of CloudTrail's records is read for a report, unpacked.
const TRAIL_OF_REPORT: u64 = 128 << 20;
/// So many files are looked for by patterns.
const TRAIL_FILES: usize = 100_000;
/// So many warnings are told of records.
const WARNINGS: usize = 5;

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
        let mut all = self.claims_of_files(findings);
        self.put_identities(findings, &mut all);
        all
    }

    /// Puts on findings of infrastructure which identity wrote the resource, where records of CloudTrail are named.
    fn put_identities(self, findings: &[&Finding], all: &mut [Vec<Who>]) {
        let config = self.project.config.who.as_ref().and_then(|who| who.cloudtrail.as_ref());
        let is_drift = |finding: &Finding| finding.kind.is_drift() && finding.change != Some(Change::Pending);
        let wanted = findings.iter().zip(all).filter(|(it, _)| is_drift(it) && !it.resource_ids.is_empty());
        let wanted: Vec<(&Finding, &mut Vec<Who>)> = wanted.map(|(it, claims)| (*it, claims)).collect();
        let Some(config) = config.filter(|_| !wanted.is_empty()) else { return };
        let warning = |text: &str| self.project.control.events.warning(text);
        let printed = config.command.as_ref().and_then(|name| {
            let printed = desired::printed(self.project, name);
            printed.map_err(|why| warning(&format!("who.cloudtrail: {why}"))).ok()
        });
        let sources = TrailSources {
            files: trail_files(&config.files),
            printed: config.command.as_ref().map(|name| format!("[commands.{name}]")).zip(printed),
            expected: &config.expected_identities,
            window: config.window,
            now: clock::unix(),
        };
        let resources: Vec<&[String]> = wanted.iter().map(|(it, _)| it.resource_ids.as_slice()).collect();
        let trail = Trail::read(&sources, &resources, self.log.max(TRAIL_OF_REPORT));
        trail.warnings.iter().take(WARNINGS).for_each(|text| warning(&format!("who.cloudtrail: {text}")));
        for (finding, claims) in wanted {
            claims.push(trail.claim(&finding.resource_ids).unwrap_or_else(who::unknown));
        }
    }

    fn claims_of_files(self, findings: &[&Finding]) -> Vec<Vec<Who>> {
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

/// The files that patterns name; one that leads nowhere names none.
fn trail_files(patterns: &[String]) -> Vec<PathBuf> {
    let found = patterns.iter().filter_map(|pattern| glob::glob(pattern).ok());
    let mut files: Vec<PathBuf> = found.flatten().filter_map(Result::ok).take(TRAIL_FILES).collect();
    files.sort_unstable();
    files.dedup();
    files
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
