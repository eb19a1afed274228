//! The JSON report, from which the JSON Schema is made, too: written from a report, and read back.

use serde::{Deserialize, Serialize};

use super::super::{details, headline};
use super::finding::{WireFinding, bytes, name};
use super::{FindCheck, ReadError, SCHEMA, SCHEMA_OF_SEVERAL};
use crate::model::{
    BaselineOrigin, Cause, CauseKind, CheckLabels, CheckMeta, CheckResult, Digest, Ending, ExitCode,
    GroupWays, Kind, LeftOut, Member, Mode, Notice, OverallRelease, PastEvents, Pause, PreviousReport,
    Release, Report, Resolved, SectionId, SectionOff, SinceLast, Status, Trigger, Unit, Use, Verdict, WayOut,
    judge, readable,
};
use crate::section::{DATABASES, DESIRED, INFRASTRUCTURE, SECTIONS};

/// The reports of several targets.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WireReports {
    /// `driftlock.reports/1`.
    schema: String,
    /// FAIL if any of them is.
    overall: WireOverall,
    /// The exit code of the invocation.
    exit_code: u8,
    /// One report a target.
    pub(super) reports: Vec<WireReport>,
}

/// A report as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WireReport {
    /// `YYYYMMDD_HHMMSS`, local time.
    timestamp: String,
    /// `local`, `server`, or `diff`.
    mode: String,
    /// The checks, in their order.
    checks: Vec<WireCheck>,
    /// How many.
    summary: WireSummary,
    /// The verdict.
    overall: WireOverall,
    /// `driftlock.report/1`.
    pub(super) schema: String,
    /// The version of driftlock that wrote it.
    version: String,
    /// The run's name.
    run: String,
    /// The machine's name, or a server's address as it was called.
    host: String,
    /// The target's name, or null; under `--server` the address, with `_` for what a file name may not hold.
    target: Option<String>,
    /// What the baseline was compared with, where that is no machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<String>,
    /// The project's root as a path from the top of its repository, where it is not the top; lossy where it is not UTF-8.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    root_in_repository: String,
    /// That path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_in_repository_bytes: Option<String>,
    /// Whether only some checks ran.
    partial: bool,
    /// RFC 3339 with offset.
    started_at: String,
    /// Seconds since 1970.
    started_at_unix: i64,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// What was compared with.
    baseline: WireBaseline,
    /// The process's exit code: 0, 1 or 2.
    exit_code: u8,
    /// One line for a message.
    headline: String,
    /// What findings have in common, the most alarming first; none where nothing was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<WireCause>,
    /// The release that all of it is of, but for a few subjects; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<OverallRelease>,
    /// SHA-256 over the findings' fingerprints: the same set has the same one.
    fingerprint: String,
    /// What was not looked at, and why.
    coverage: WireCoverage,
    /// How much was read, where files that have not moved are not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since_last: Option<SinceLast>,
    /// The deploy that was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<Pause>,
    /// When everything was last looked at without an error, in seconds since 1970, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_success_unix: Option<i64>,
    /// The report before it in the same place, where reports are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<WirePrevious>,
    /// What the newest whole run before found, and this one has looked for and not found any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resolved: Vec<WireResolved>,
    /// What became of the notifications that were due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notifications: Vec<WireNotice>,
}

/// What findings have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireCause {
    /// The cause, in words that are fixed.
    cause: CauseKind,
    /// The release that all of it is of, where tags tell that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    /// Why none of it could be read; left out for other causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The subjects behind the names of their checks, as `accept --only` takes them; lossy where a name is not UTF-8.
    subjects: Vec<String>,
    /// One command that undoes all of it, where that loses nothing; null where there is none.
    undo: Option<String>,
    /// One command that makes all of it the baseline, or null.
    accept: Option<String>,
}

impl WireCause {
    fn of(cause: &Cause<'_>) -> Self {
        let subject = |it: &Member<'_>| format!("{}/{}", it.check.id, readable(&it.finding.subject.key).0);
        Self {
            cause: cause.kind,
            release: cause.release.cloned(),
            reason: cause.reason.map(str::to_owned),
            subjects: cause.members.iter().map(subject).collect(),
            undo: cause.undo.map(ToOwned::to_owned),
            accept: cause.accept.map(ToOwned::to_owned),
        }
    }

    /// The commands of a group; those of a single finding stand with it.
    fn read(self) -> Option<GroupWays> {
        let ways = GroupWays {
            kind: self.cause,
            tag: self.release.map(|release| release.tag),
            undo: self.undo,
            accept: self.accept,
        };
        (self.subjects.len() > 1 && (ways.undo.is_some() || ways.accept.is_some())).then_some(ways)
    }
}

/// A finding that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireResolved {
    /// The check that found it.
    check: String,
    /// The subject's name; lossy where it is not UTF-8.
    subject: String,
    /// The name's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject_bytes: Option<String>,
    /// What kind of difference it was.
    kind: Kind,
}

impl WireResolved {
    fn of(it: &Resolved) -> Self {
        let (subject, subject_bytes) = name(&it.subject);
        Self { check: it.check.clone(), subject, subject_bytes, kind: it.kind }
    }

    fn read(self) -> Resolved {
        let subject = bytes(&self.subject, self.subject_bytes.as_deref());
        Resolved { check: self.check, subject, kind: self.kind }
    }
}

/// The report before another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WirePrevious {
    /// Its run.
    run: String,
    /// SHA-256 of its `drift_report.json`.
    sha256: String,
}

/// One check.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireCheck {
    /// Its id.
    name: String,
    /// How it ended.
    status: Status,
    /// The subjects in one line.
    details: String,
    /// How many subjects were compared.
    subjects: usize,
    /// The differences, sorted by the subject's bytes.
    findings: Vec<WireFinding>,
    /// Why it could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What is worth knowing and is no finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// What can be done where it could not be carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ways_out: Vec<WayOut>,
    /// Which container uses which module root or file of the baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uses: Vec<Use>,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
enum WireOverall {
    /// Everything that was looked at is as accepted.
    Pass,
    /// Drift, or something could not be looked at.
    Fail,
}

/// How many checks ended how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireSummary {
    /// `passed + failed`.
    total: usize,
    /// Checks that passed.
    passed: usize,
    /// Checks that failed, errors among them.
    failed: usize,
    /// Checks that could not be carried out.
    errors: usize,
    /// Checks outside the total.
    skipped: usize,
    /// Findings that somebody answers for and that do not count, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acknowledged: Option<usize>,
}

/// What was compared with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireBaseline {
    /// `audit/locks`, a directory, or `git:REVISION`.
    from: String,
    /// SHA-256 of the `sha256sum` lines of its lock files, sorted by name.
    digest: String,
    /// The commit that is checked out, or that the baseline was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// Whether the lock files differ from that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dirty: Option<bool>,
}

/// What was not looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireCoverage {
    /// Whole sections.
    sections: Vec<WireSectionOff>,
    /// Subjects, counted by reason.
    subjects: Vec<WireLeftOut>,
    /// Files inside subjects, counted by reason; an excluded directory counts once.
    files: Vec<WireLeftOut>,
}

/// A section that took no part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireSectionOff {
    /// Which.
    section: String,
    /// Why.
    reason: String,
}

/// Things left out for one reason.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireLeftOut {
    /// In which section.
    section: String,
    /// How many.
    count: u64,
    /// Why.
    reason: String,
    /// What brings them into the comparison, where nobody chose to leave them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// What became of one notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireNotice {
    /// Its name in the configuration.
    name: String,
    /// Whether it was delivered.
    sent: bool,
    /// Why it was not, without any address or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl WireReports {
    pub(super) fn of(reports: &[Report]) -> Self {
        Self {
            schema: SCHEMA_OF_SEVERAL.to_owned(),
            overall: WireOverall::of(reports.iter().all(|report| report.verdict.overall == Status::Pass)),
            exit_code: ExitCode::worst(reports.iter().map(|report| report.verdict.exit)).code(),
            reports: reports.iter().map(WireReport::of).collect(),
        }
    }
}

impl WireReport {
    pub(super) fn of(report: &Report) -> Self {
        let verdict = &report.verdict;
        let previous = report.previous.as_ref();
        let (root_in_repository, root_in_repository_bytes) = name(&report.root_in_repository);
        Self {
            timestamp: report.stamp.clone(),
            mode: report.mode.word().to_owned(),
            checks: report.checks.iter().map(WireCheck::of).collect(),
            summary: WireSummary {
                total: verdict.total,
                passed: verdict.passed,
                failed: verdict.failed,
                errors: verdict.errors,
                skipped: verdict.skipped,
                acknowledged: Some(report.acknowledged()).filter(|count| *count > 0),
            },
            overall: WireOverall::of(verdict.overall == Status::Pass),
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: report.run.clone(),
            host: report.host.clone(),
            target: report.target.clone(),
            compared: report.compared.clone(),
            root_in_repository,
            root_in_repository_bytes,
            partial: report.partial,
            started_at: report.started_at.clone(),
            started_at_unix: report.started_at_unix,
            duration_ms: report.duration_ms,
            baseline: WireBaseline {
                from: report.baseline.from.clone(),
                digest: report.baseline.digest.to_string(),
                commit: report.baseline.commit.clone(),
                dirty: report.baseline.dirty,
            },
            exit_code: verdict.exit.code(),
            headline: headline(report),
            causes: report.causes().iter().map(WireCause::of).collect(),
            release: report.release.clone(),
            fingerprint: report.fingerprint().to_string(),
            coverage: WireCoverage::of(report),
            since_last: report.since_last.clone(),
            pause: report.pause.clone(),
            last_success_unix: report.last_success,
            previous: previous.map(|it| WirePrevious { run: it.run.clone(), sha256: it.digest.to_string() }),
            resolved: report.resolved.iter().map(WireResolved::of).collect(),
            notifications: report.notices.iter().map(WireNotice::of).collect(),
        }
    }

    /// The same without the checks and sections that this version does not know.
    pub(super) fn known(mut self, find: FindCheck<'_>) -> Self {
        self.checks.retain(|check| find(&check.name).is_some());
        self.coverage.sections.retain(|off| section(off.section.clone()).is_ok());
        for left_out in [&mut self.coverage.subjects, &mut self.coverage.files] {
            left_out.retain(|left| section(left.section.clone()).is_ok());
        }
        self
    }

    /// Reads a report back. The wire format does not hold everything: several errors of one check are one.
    pub(super) fn read(self, find: FindCheck<'_>) -> Result<Report, ReadError> {
        let is_well = |check: &WireCheck| matches!(check.status, Status::Pass | Status::Skip);
        if self.overall == WireOverall::Pass && !self.checks.iter().all(is_well) {
            return Err(ReadError::Verdict);
        }
        let mode = Mode::ALL.into_iter().find(|mode| mode.word() == self.mode);
        let compared = self.checks.iter().any(|check| check.subjects > 0);
        let ending = self.ending();
        let previous = self.previous();
        let (sections_off, left_out) = self.coverage.read()?;
        let checks = checks(self.checks, &self.host, self.target.as_deref().unwrap_or_default(), find)?;
        let verdict = judge(&checks);
        Ok(Report {
            stamp: self.timestamp,
            run: self.run,
            host: self.host,
            target: self.target,
            mode: mode.ok_or(ReadError::Mode(self.mode))?,
            compared: self.compared,
            project: String::new(),
            root_in_repository: bytes(&self.root_in_repository, self.root_in_repository_bytes.as_deref()),
            trigger: Trigger::Manual,
            partial: self.partial,
            started_at: self.started_at,
            started_at_unix: self.started_at_unix,
            duration_ms: self.duration_ms,
            baseline: BaselineOrigin {
                from: self.baseline.from,
                digest: Digest::parse(self.baseline.digest.as_bytes()).ok_or(ReadError::Baseline)?,
                commit: self.baseline.commit,
                dirty: self.baseline.dirty,
            },
            release: self.release,
            group_ways: self.causes.into_iter().filter_map(WireCause::read).collect(),
            verdict: Verdict {
                nothing_compared: !compared && verdict.errors == 0,
                overall: ending.overall,
                exit: ending.exit,
                ..verdict
            },
            checks,
            sections_off,
            left_out,
            since_last: self.since_last,
            pause: self.pause,
            last_success: self.last_success_unix,
            previous,
            resolved: self.resolved.into_iter().map(WireResolved::read).collect(),
            notices: self.notifications.into_iter().map(WireNotice::read).collect(),
            not_due: Vec::new(),
            past: Vec::new(),
            past_events: PastEvents::default(),
            location: None,
        })
    }

    fn ending(&self) -> Ending {
        let overall = if self.overall == WireOverall::Pass { Status::Pass } else { Status::Fail };
        Ending { overall, exit: ExitCode::of(self.exit_code) }
    }

    fn previous(&self) -> Option<PreviousReport> {
        let WirePrevious { run, sha256 } = self.previous.as_ref()?;
        Some(PreviousReport { run: run.clone(), digest: Digest::parse(sha256.as_bytes())? })
    }
}

/// Reads checks back: on a server one line stands for all that follow it.
fn checks(
    wire: Vec<WireCheck>,
    host: &str,
    environment: &str,
    find: FindCheck<'_>,
) -> Result<Vec<CheckResult>, ReadError> {
    let mut is_opened = false;
    let one = |check: WireCheck| {
        let Some(meta) = find(&check.name) else { return Err(ReadError::Check(check.name)) };
        let mut result = check.read(meta)?;
        result.info = result
            .info
            .filter(|_| !is_opened)
            .map(|line| line.replace(CheckLabels::HOST, host).replace(CheckLabels::ENVIRONMENT, environment));
        is_opened |= meta.labels.opens_server_run();
        Ok(result)
    };
    wire.into_iter().map(one).collect()
}

impl WireOverall {
    fn of(passed: bool) -> Self {
        if passed { Self::Pass } else { Self::Fail }
    }
}

impl WireCheck {
    fn of(check: &CheckResult) -> Self {
        Self {
            name: check.id.to_owned(),
            status: check.status(),
            details: details(check),
            subjects: check.subjects,
            findings: check.findings.iter().map(|finding| WireFinding::of(check.id, finding)).collect(),
            error: (!check.errors.is_empty()).then(|| check.errors.join("; ")),
            notes: check.notes.clone(),
            ways_out: check.ways_out.clone(),
            uses: check.uses.clone(),
        }
    }

    fn read(self, meta: &'static CheckMeta) -> Result<CheckResult, ReadError> {
        let result = CheckResult {
            subjects: self.subjects,
            findings: self.findings.into_iter().map(|finding| finding.read(meta)).collect(),
            errors: self.error.into_iter().collect(),
            skip: (self.status == Status::Skip).then_some(self.details),
            notes: self.notes,
            ways_out: self.ways_out,
            uses: self.uses,
            ..CheckResult::new(meta)
        };
        if result.status() == self.status { Ok(result) } else { Err(ReadError::Status(meta.id)) }
    }
}

/// Sections that took no part, and what was left out of those that did.
type Coverage = (Vec<SectionOff>, Vec<(SectionId, LeftOut)>);

impl WireCoverage {
    fn of(report: &Report) -> Self {
        let counted = |unit: Unit| {
            let all = report.left_out.iter().filter(|(_, left)| left.unit == unit);
            all.map(|(section, left)| WireLeftOut {
                section: section.to_string(),
                count: left.count,
                reason: left.reason.clone(),
                remedy: left.remedy.clone(),
            })
            .collect()
        };
        let off = report.sections_off.iter();
        Self {
            sections: off
                .map(|off| WireSectionOff { section: off.section.to_string(), reason: off.reason.clone() })
                .collect(),
            subjects: counted(Unit::Subjects),
            files: counted(Unit::Files),
        }
    }

    fn read(self) -> Result<Coverage, ReadError> {
        let off = |off: WireSectionOff| Ok(SectionOff { section: section(off.section)?, reason: off.reason });
        let left_out = |unit: Unit| {
            move |left: WireLeftOut| {
                let (count, reason, remedy) = (left.count, left.reason, left.remedy);
                Ok((section(left.section)?, LeftOut { unit, count, reason, remedy }))
            }
        };
        let subjects = self.subjects.into_iter().map(left_out(Unit::Subjects));
        let left_out = subjects.chain(self.files.into_iter().map(left_out(Unit::Files)));
        let left_out = left_out.collect::<Result<_, ReadError>>()?;
        Ok((self.sections.into_iter().map(off).collect::<Result<_, ReadError>>()?, left_out))
    }
}

fn section(name: String) -> Result<SectionId, ReadError> {
    let all = SECTIONS.iter().map(|section| section.id()).chain([INFRASTRUCTURE, DATABASES, DESIRED]);
    let known = all.into_iter().find(|id| id.0 == name);
    known.ok_or(ReadError::Section(name))
}

impl WireNotice {
    fn of(notice: &Notice) -> Self {
        Self { name: notice.name.clone(), sent: notice.error.is_none(), error: notice.error.clone() }
    }

    fn read(self) -> Notice {
        Notice { name: self.name, error: self.error }
    }
}
