//! Causes: what several findings have in common, the most alarming first.

use serde::{Deserialize, Serialize};

use super::{Category, Change, CheckResult, Finding, Kind, Origin, Release, SubjectSource, WayOut};

/// The cause of a module that differs only because the rule by which it was locked left `__pycache__` out.
pub const OLDER_RULE: &str = "locked by an older rule";

/// A kind of cause; the most alarming first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CauseKind {
    /// A container of the baseline does not run.
    #[serde(rename = "not running")]
    NotRunning,
    /// Who may reach or do what has changed.
    #[serde(rename = "security")]
    Security,
    /// No commit holds it, or infrastructure was changed beside its code.
    #[serde(rename = "edited by hand")]
    Edited,
    /// It differs, and no history tells where it comes from.
    #[serde(rename = "changed")]
    Changed,
    /// It could not be looked at.
    #[serde(rename = "could not be read")]
    Unread,
    /// A lock file is missing.
    #[serde(rename = "no baseline")]
    NoBaseline,
    /// A container still uses what was at a path of the host before.
    #[serde(rename = "stale mount")]
    StaleMount,
    /// A container started before what it has mounted changed.
    #[serde(rename = "not restarted")]
    NotRestarted,
    /// A container runs another image than the baseline has.
    #[serde(rename = "image other than released")]
    OtherImage,
    /// A container was made otherwise than the baseline has it.
    #[serde(rename = "other configuration")]
    Configuration,
    /// The files of a module are of several commits.
    #[serde(rename = "half deployed")]
    Mixed,
    /// It is of a commit that no branch or tag leads to.
    #[serde(rename = "unreleased")]
    Unreleased,
    /// It is of a commit that is neither before nor after the baseline's.
    #[serde(rename = "of another branch")]
    Diverged,
    /// It is not there.
    #[serde(rename = "missing")]
    Missing,
    /// It is of a commit before the baseline's.
    #[serde(rename = "stale")]
    Stale,
    /// It is of a commit after the baseline's.
    #[serde(rename = "ahead")]
    Ahead,
    /// The code wants a change that was not applied.
    #[serde(rename = "pending")]
    Pending,
    /// It is not in the baseline.
    #[serde(rename = "unexpected")]
    Unexpected,
    /// It is of the baseline's own commit, written otherwise.
    #[serde(rename = "written in another form")]
    OtherForm,
    /// The rule by which it was locked is not today's.
    #[serde(rename = "locked by an older rule")]
    OlderRule,
    /// Nothing uses it.
    #[serde(rename = "unused")]
    Unused,
}

impl CauseKind {
    /// The kind of cause of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        if finding.kind == Kind::Unreadable {
            return Self::Unread;
        }
        if finding.subject.source == SubjectSource::LockFile {
            return Self::NoBaseline;
        }
        if finding.category == Some(Category::Security) {
            return Self::Security;
        }
        if finding.cause.as_deref() == Some(OLDER_RULE) {
            return Self::OlderRule;
        }
        if let Some(kind) = finding.change.and_then(|change| Self::of_change(finding, change)) {
            return kind;
        }
        // What is missing inside a container lies at the container's place, and has another name.
        let is_itself = finding.place == finding.subject.key;
        let is_container = || finding.category.is_none_or(|category| category == Category::State);
        if finding.kind == Kind::Missing && finding.baseline_entry.is_some() && is_itself && is_container() {
            return Self::NotRunning;
        }
        let origin = finding.provenance.as_ref().map(|it| it.origin);
        match (finding.kind, origin) {
            (_, Some(Origin::Stale)) => Self::Stale,
            (_, Some(Origin::Ahead)) => Self::Ahead,
            (_, Some(Origin::Diverged)) => Self::Diverged,
            (_, Some(Origin::Unreleased)) => Self::Unreleased,
            (Kind::Unexpected, _) => Self::Unexpected,
            (_, Some(Origin::Edited)) => Self::Edited,
            (_, Some(Origin::Mixed)) => Self::Mixed,
            (_, Some(Origin::Own)) => Self::OtherForm,
            (Kind::Missing, _) | (_, Some(Origin::Absent)) => Self::Missing,
            _ if finding.baseline_entry.is_some() && finding.category.is_none() => Self::Configuration,
            _ => Self::Changed,
        }
    }

    fn of_change(finding: &Finding, change: Change) -> Option<Self> {
        let is_running = |text: Option<String>| {
            text.is_some_and(|text| text.starts_with("running") || text.starts_with("active"))
        };
        Some(match change {
            Change::State if is_running(finding.expected.text()) && !is_running(finding.actual.text()) => {
                Self::NotRunning
            }
            Change::State | Change::Config | Change::NotApplied => Self::Configuration,
            Change::Tag | Change::Rebuilt => Self::OtherImage,
            Change::Stale => Self::StaleMount,
            Change::NotRestarted => Self::NotRestarted,
            Change::Unused => Self::Unused,
            Change::Reverted | Change::Kept | Change::Conflicting => Self::Edited,
            Change::Pending => Self::Pending,
            Change::Content | Change::Emptied | Change::Placeholder | Change::Version => return None,
        })
    }

    /// The words in reports.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotRunning => "not running",
            Self::Security => "security",
            Self::Edited => "edited by hand",
            Self::Changed => "changed",
            Self::Unread => "could not be read",
            Self::NoBaseline => "no baseline",
            Self::StaleMount => "stale mount",
            Self::NotRestarted => "not restarted",
            Self::OtherImage => "image other than released",
            Self::Configuration => "other configuration",
            Self::Mixed => "half deployed",
            Self::Unreleased => "unreleased",
            Self::Diverged => "of another branch",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Ahead => "ahead",
            Self::Pending => "pending",
            Self::Unexpected => "unexpected",
            Self::OtherForm => "written in another form",
            Self::OlderRule => OLDER_RULE,
            Self::Unused => "unused",
        }
    }

    /// Whether each subject is named, however many there are.
    #[must_use]
    pub fn is_alarming(self) -> bool {
        self <= Self::Changed
    }
}

/// One finding of a cause, with its check and its number among all findings of the report.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The check that found it.
    pub check: &'a CheckResult,
    /// The finding.
    pub finding: &'a Finding,
    /// Its number among all findings of the report, in the order of the checks.
    pub at: usize,
}

/// What findings have in common.
#[derive(Clone, Debug)]
pub struct Cause<'a> {
    /// The kind.
    pub kind: CauseKind,
    /// The release that all of it is of, where there is one.
    pub release: Option<&'a Release>,
    /// The reason why none of it could be read.
    pub reason: Option<&'a str>,
    /// The findings, in the order of the checks and subjects; never none.
    pub members: Vec<Member<'a>>,
    /// One command that undoes all of them.
    pub undo: Option<&'a str>,
    /// One command that makes all of them the baseline.
    pub accept: Option<&'a str>,
}

/// Commands for all findings of one cause at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupWays {
    /// The kind.
    pub kind: CauseKind,
    /// The tag of the release.
    pub tag: Option<String>,
    /// What undoes all of them.
    pub undo: Option<String>,
    /// What makes all of them the baseline.
    pub accept: Option<String>,
}

/// The causes of what checks found and nobody answers for, the most alarming first.
pub(super) fn causes<'a>(checks: &'a [CheckResult], group_ways: &'a [GroupWays]) -> Vec<Cause<'a>> {
    let all = checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check, it)));
    let open = all.enumerate().filter(|(_, (_, it))| it.is_open_drift() || !it.kind.is_drift());
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for (at, (check, finding)) in open {
        let kind = CauseKind::of(finding);
        let release = finding.provenance.as_ref().and_then(|it| it.release.as_ref());
        let release =
            release.filter(|_| matches!(kind, CauseKind::Stale | CauseKind::Ahead | CauseKind::Diverged));
        let reason = (kind == CauseKind::Unread).then(|| reason_of(finding)).flatten();
        let member = Member { check, finding, at };
        let is_it =
            |cause: &&mut Cause<'_>| cause.kind == kind && cause.release == release && cause.reason == reason;
        match causes.iter_mut().find(is_it) {
            Some(cause) => cause.members.push(member),
            None => {
                causes.push(Cause { kind, release, reason, members: vec![member], undo: None, accept: None });
            }
        }
    }
    causes.sort_by_key(|cause| (cause.kind, std::cmp::Reverse(cause.members.len())));
    for cause in &mut causes {
        (cause.undo, cause.accept) = cause.ways(group_ways);
    }
    causes
}

/// The reason why a finding, or the first part of it, could not be read.
fn reason_of(finding: &Finding) -> Option<&str> {
    let mut of_parts = finding.parts.iter().filter(|part| part.kind == Kind::Unreadable);
    finding.reason.as_deref().or_else(|| of_parts.find_map(|part| part.reason.as_deref()))
}

impl<'a> Cause<'a> {
    fn ways(&self, group_ways: &'a [GroupWays]) -> (Option<&'a str>, Option<&'a str>) {
        if let [Member { finding, .. }] = self.members.as_slice() {
            let way = |when: &str| finding.ways_out.iter().find(|way| way.when == when);
            let command = |when: &str| way(when).map(|way| way.command.as_str());
            return (command(WayOut::UNDO), command(WayOut::ACCEPT));
        }
        let tag = self.release.map(|release| &release.tag);
        let own = group_ways.iter().find(|ways| ways.kind == self.kind && ways.tag.as_ref() == tag);
        own.map_or((None, None), |ways| (ways.undo.as_deref(), ways.accept.as_deref()))
    }

    /// `38 modules`; of findings of several checks `3 subjects`.
    #[must_use]
    pub fn count(&self) -> String {
        let count = self.members.len();
        let first = self.members[0].check;
        if !self.members.iter().all(|member| member.check.labels.noun == first.labels.noun) {
            return format!("{count} subjects");
        }
        let noun = first.labels.noun;
        format!("{count} {}", if count == 1 { noun.strip_suffix('s').unwrap_or(noun) } else { noun })
    }
}
