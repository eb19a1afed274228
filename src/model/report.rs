//! A finished report: everything a reporter may say, and nothing it must work out.

use super::cause::causes;
use super::{
    Cause, CheckResult, Digest, GroupWays, Kind, LeftOut, OverallRelease, PastEvents, PastRun, Pause,
    PreviousReport, SectionId, SinceLast, Status, Subject, Verdict, judge,
};

/// Whether this machine or a server was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// This machine.
    Local,
    /// A server over SSH.
    Server,
    /// Two recorded states were compared; no machine was looked at.
    Diff,
}

impl Mode {
    /// Every mode, in the order of the type.
    pub const ALL: [Self; 3] = [Self::Local, Self::Server, Self::Diff];

    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Server => "server",
            Self::Diff => "diff",
        }
    }
}

/// Reason for a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody, or a program such as cron, started it.
    #[default]
    Manual,
    /// Its time had come.
    Schedule,
    /// Something was seen to happen to this subject.
    Event(Subject),
}

/// Which baseline was compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineOrigin {
    /// `audit/locks`, a directory, or `git:REVISION`.
    pub from: String,
    /// SHA-256 of the `sha256sum` lines of its lock files, sorted by name.
    pub digest: Digest,
    /// The commit that is checked out, or that the baseline was read from.
    pub commit: Option<String>,
    /// Whether the lock files on disk differ from that commit.
    pub dirty: Option<bool>,
}

/// A section that took no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionOff {
    /// Which.
    pub section: SectionId,
    /// Why.
    pub reason: String,
}

/// One finished comparison of one host with one baseline.
#[derive(Debug, Clone)]
pub struct Report {
    /// `YYYYMMDD_HHMMSS`, local time.
    pub stamp: String,
    /// The run's name: the stamp, with a number and the target where there are any.
    pub run: String,
    /// The machine's name, or a server's address as it was called.
    pub host: String,
    /// The target's name, if one was asked for; for a server without one, its address as file names can hold it.
    pub target: Option<String>,
    /// What was looked at.
    pub mode: Mode,
    /// What was compared, where it is not the host: the other side of a diff.
    pub compared: Option<String>,
    /// The project's root on this machine, which tells it from others here; not in JSON.
    pub project: String,
    /// The project's root as a path from the top of its repository; empty where it is the top.
    pub root_in_repository: Vec<u8>,
    /// Why it ran; not in JSON.
    pub trigger: Trigger,
    /// Whether only some checks ran.
    pub partial: bool,
    /// RFC 3339 with offset.
    pub started_at: String,
    /// Seconds since 1970.
    pub started_at_unix: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// The baseline.
    pub baseline: BaselineOrigin,
    /// The checks, in their order.
    pub checks: Vec<CheckResult>,
    /// Sections that took no part.
    pub sections_off: Vec<SectionOff>,
    /// What was left out of the sections that did.
    pub left_out: Vec<(SectionId, LeftOut)>,
    /// How much was read, where not everything must be.
    pub since_last: Option<SinceLast>,
    /// The deploy that was under way.
    pub pause: Option<Pause>,
    /// The release that all of it is of, but for a few subjects, where there is such a one.
    pub release: Option<OverallRelease>,
    /// Commands for all findings of one cause at once, where there are such.
    pub group_ways: Vec<GroupWays>,
    /// The judgement.
    pub verdict: Verdict,
    /// When everything was last looked at without an error, in seconds since 1970; none where that is not known.
    pub last_success: Option<i64>,
    /// The report before it in the same place, where reports are signed.
    pub previous: Option<PreviousReport>,
    /// What the newest whole run before found and is over.
    pub resolved: Vec<Resolved>,
    /// What became of the notifications that were due.
    pub notices: Vec<Notice>,
    /// The notifications about it that were not due, each with the reason; not in JSON.
    pub not_due: Vec<String>,
    /// The runs of the same place up to this one, oldest first, for formats that show them.
    pub past: Vec<PastRun>,
    /// What watchers recorded of the same place up to this one, for formats that show it.
    pub past_events: PastEvents,
    /// Where the report lies, as a path from the working directory.
    pub location: Option<String>,
}

/// A finding of the newest whole run before, which this one looked for and has not found any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The check.
    pub check: String,
    /// The subject's name.
    pub subject: Vec<u8>,
    /// What kind of difference it was.
    pub kind: Kind,
}

/// What became of one notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its name in the configuration.
    pub name: String,
    /// Why it could not be delivered; none where it was. Never holds an address or a token.
    pub error: Option<String>,
}

/// The identity of the set of findings of these checks: SHA-256 over their fingerprints in hex, sorted, a line each.
#[must_use]
pub fn fingerprint<'a>(checks: impl IntoIterator<Item = &'a CheckResult>) -> Digest {
    let each = checks.into_iter().flat_map(|check| check.findings.iter().map(|it| it.fingerprint(check.id)));
    let mut lines: Vec<String> = each.map(|digest| format!("{digest}\n")).collect();
    lines.sort_unstable();
    Digest::of(lines.concat().as_bytes())
}

impl Report {
    /// A report of these checks against a baseline, and of nothing else yet: no run, no machine, no time.
    #[must_use]
    pub fn of(checks: Vec<CheckResult>, baseline: BaselineOrigin) -> Self {
        Self {
            stamp: String::new(),
            run: String::new(),
            host: String::new(),
            target: None,
            mode: Mode::Local,
            compared: None,
            project: String::new(),
            root_in_repository: Vec::new(),
            trigger: Trigger::Manual,
            partial: false,
            started_at: String::new(),
            started_at_unix: 0,
            duration_ms: 0,
            baseline,
            release: None,
            group_ways: Vec::new(),
            verdict: judge(&checks),
            checks,
            sections_off: Vec::new(),
            left_out: Vec::new(),
            since_last: None,
            pause: None,
            last_success: None,
            previous: None,
            resolved: Vec::new(),
            notices: Vec::new(),
            not_due: Vec::new(),
            past: Vec::new(),
            past_events: PastEvents::default(),
            location: None,
        }
    }

    /// The identity of the set of findings, as [`fingerprint`] makes it.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        fingerprint(&self.checks)
    }

    /// What the findings have in common, the most alarming first; without those that somebody answers for.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause<'_>> {
        causes(&self.checks, &self.group_ways)
    }

    /// PASS, FAIL or ERROR: what `overall` says, with an error told from drift.
    #[must_use]
    pub fn status(&self) -> Status {
        self.verdict.ending().status()
    }

    /// How many findings there are, whether they count or not.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.checks.iter().map(|check| check.findings.len()).sum()
    }

    /// How many findings somebody answers for.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.checks.iter().map(CheckResult::acknowledged).sum()
    }

    /// Gives the run another name than it was begun under.
    pub fn call(&mut self, name: &str) {
        name.clone_into(&mut self.run);
        let all = self.checks.iter_mut().flat_map(|check| &mut check.findings);
        // An earlier run of this second may have the very name that this one was begun under.
        for since in all.filter_map(|finding| finding.since.as_mut()).filter(|since| since.is_this_run) {
            since.changed = Some(name.to_owned());
        }
    }

    /// Whether a run of the same place that began at `other` (seconds since 1970) began later, while this one was under
    /// way. What claims to be of a still later time was dated by a clock that has been set back since.
    #[must_use]
    pub fn is_before(&self, other: i64) -> bool {
        let seconds = i64::try_from(self.duration_ms / 1000).unwrap_or(i64::MAX);
        other > self.started_at_unix
            && other <= self.started_at_unix.saturating_add(seconds).saturating_add(1)
    }

    /// What this report is about, in a word: the target, or the kind of run.
    #[must_use]
    pub fn about(&self) -> &str {
        self.target.as_deref().unwrap_or_else(|| self.mode.word())
    }
}
