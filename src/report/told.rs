//! What stands beside a finding in the JSON report: where its content comes from, which lines differ, who answers for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::{bytes, name};
use super::provenance::sentence;
use crate::model::{
    Acknowledged, Commit, Kind, Notice, Origin, Pause, Provenance, Shown, Since, SinceLast, Versions, WayOut,
};

/// What somebody answers for, for a time: an acknowledged finding, or a deploy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireAnswer {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub by: String,
    /// Since when, RFC 3339 with offset.
    pub since: String,
    /// Until when, RFC 3339 with offset.
    pub until: String,
}

/// How much a check read that does not read again what has not moved.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireSinceLast {
    /// How many files were read.
    pub read: u64,
    /// How many were not, because device, inode, size and times were those of when they were.
    pub trusted: u64,
    /// When the last look that trusted none began, RFC 3339 with offset: this one, where it is one.
    pub full_at: String,
    /// The same in seconds since 1970.
    pub full_at_unix: i64,
    /// Why this look trusted none, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_because: Option<String>,
}

/// Where what a host holds comes from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireProvenance {
    /// `stale`, `ahead`, `diverged`, `edited by hand`, `mixed`, `absent` or `unknown`.
    pub verdict: String,
    /// The same in a sentence.
    pub words: String,
    /// The commit whose content the host holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<WireCommit>,
    /// The commit whose content the baseline has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_commit: Option<WireCommit>,
    /// How many commits of the subject lie between both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<usize>,
    /// The newest of these, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<WireCommit>,
    /// What is known of each file of a module that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WireFileOrigin>,
    /// When a file that was edited by hand was changed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    /// The number of the user that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// What was not searched, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsearched: Option<String>,
}

/// One commit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireCommit {
    /// Its full id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// When, in RFC 3339 with offset.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
}

/// Where one file of a module comes from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireFileOrigin {
    /// The path relative to the module; lossy where it is not UTF-8.
    pub path: String,
    /// The path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// The verdict.
    pub verdict: String,
    /// The commit whose content it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<WireCommit>,
}

/// The versions in a module's manifest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireVersions {
    /// As the baseline has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// As the host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

/// What differs inside a file; without its secrets, unless `--show-content` asked for every line.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireShown {
    /// What it means, for compose files and files of settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<String>,
    /// A unified diff, or a sentence that says why there is none.
    pub lines: Vec<String>,
}

/// Since when a subject differs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireSince {
    /// The first run of an unbroken line in which it differed.
    pub run: String,
    /// When that was, RFC 3339 with offset.
    pub started_at: String,
    /// How many runs saw it differ.
    pub runs: usize,
    /// The newest run before these in which it was as in the baseline, or null.
    pub before: Option<String>,
    /// The first of these runs that saw what is there now, or null where that is the first of all.
    pub changed: Option<String>,
}

/// Something that can be done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireWayOut {
    /// When that is the right thing: `it was meant`.
    pub when: String,
    /// The command, as a shell takes it.
    pub command: String,
}

/// What became of one notification.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WireNotice {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it was delivered.
    pub sent: bool,
    /// Why it was not, without any address or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl WireSince {
    pub(super) fn of(since: &Since) -> Self {
        let Since { run, started_at, runs, before, changed, is_this_run: _ } = since.clone();
        Self { run, started_at, runs, before, changed }
    }

    /// The same, as it is thought of.
    #[must_use]
    pub fn since(&self) -> Since {
        let Self { run, started_at, runs, before, changed } = self.clone();
        Since { run, started_at, runs, before, changed, is_this_run: false }
    }
}

impl WireWayOut {
    pub(super) fn of_all(ways: &[WayOut]) -> Vec<Self> {
        ways.iter().map(|way| Self { when: way.when.to_string(), command: way.command.clone() }).collect()
    }
}

impl WireNotice {
    pub(super) fn of(notice: &Notice) -> Self {
        Self { name: notice.name.clone(), sent: notice.error.is_none(), error: notice.error.clone() }
    }
}

impl WireShown {
    pub(super) fn of(shown: &Shown) -> Self {
        Self { meaning: shown.meaning.clone(), lines: shown.lines.clone() }
    }
}

impl WireSinceLast {
    /// As it is written.
    pub(super) fn of(since: &SinceLast) -> Self {
        Self {
            read: since.read,
            trusted: since.trusted,
            full_at: since.full_at.clone(),
            full_at_unix: since.full_at_unix,
            full_because: since.full_because.clone(),
        }
    }

    /// As it was.
    pub(super) fn restored(&self) -> SinceLast {
        SinceLast {
            read: self.read,
            trusted: self.trusted,
            full_at: self.full_at.clone(),
            full_at_unix: self.full_at_unix,
            full_because: self.full_because.clone(),
        }
    }
}

impl WireAnswer {
    pub(super) fn of(answer: &Acknowledged) -> Self {
        let Acknowledged { reason, by, since, until } = answer.clone();
        Self { reason, by, since, until }
    }

    pub(super) fn of_pause(pause: &Pause) -> Self {
        let Pause { reason, by, since, until } = pause.clone();
        Self { reason, by, since, until }
    }
}

impl WireProvenance {
    pub(super) fn of(provenance: &Provenance, kind: Kind) -> Self {
        let is_between = matches!(provenance.origin, Origin::Stale | Origin::Ahead);
        let files = provenance.files.iter().map(|file| {
            let (path, path_bytes) = name(&file.path);
            let commit = file.commit.as_ref().map(WireCommit::of);
            WireFileOrigin { path, path_bytes, verdict: file.origin.word().to_owned(), commit }
        });
        Self {
            verdict: provenance.origin.word().to_owned(),
            words: sentence(provenance, kind),
            commit: provenance.commit.as_ref().map(WireCommit::of),
            baseline_commit: provenance.baseline.as_ref().map(WireCommit::of),
            distance: is_between.then_some(provenance.distance),
            commits: provenance.between.iter().map(WireCommit::of).collect(),
            files: files.collect(),
            mtime: provenance.edited.map(|stat| stat.mtime),
            uid: provenance.edited.map(|stat| stat.uid),
            unsearched: provenance.unsearched.clone(),
        }
    }
}

impl WireCommit {
    pub(super) fn of(commit: &Commit) -> Self {
        Self {
            id: commit.id.clone(),
            author: commit.author.clone(),
            date: commit.date.clone(),
            subject: commit.subject.clone(),
        }
    }
}

impl WireFileOrigin {
    /// The path as bytes.
    pub(super) fn path(&self) -> Vec<u8> {
        bytes(&self.path, self.path_bytes.as_deref())
    }
}

impl WireVersions {
    pub(super) fn of(versions: &Versions) -> Self {
        Self { expected: versions.expected.clone(), actual: versions.actual.clone() }
    }
}
