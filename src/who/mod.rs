//! By whose hand a file of this machine changed: a ladder of evidence. Each claim says its rung and its source, and "unknown" is one.

mod audit_log;
mod logins;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::model::escaped;

/// How far the clock of a record and that of a file may differ, in seconds.
const TOLERANCE: i64 = 2;

/// Where evidence lies.
#[derive(Debug, Clone)]
pub(crate) struct WhoSources {
    /// The directory of auditd's log.
    pub(crate) audit_dir: PathBuf,
    /// The record of logins.
    pub(crate) wtmp: PathBuf,
    /// The list of accounts.
    pub(crate) passwd: PathBuf,
}

/// The rung that a claim stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// A record of the kernel's audit, by inode and time.
    AuditRecord,
    /// The only login that overlaps the moment of the change.
    Login,
    /// Nothing tells.
    Unknown,
}

/// What is known of who changed a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WhoClaim {
    /// The rung.
    pub(crate) rung: Rung,
    /// In words, with the name where there is one.
    pub(crate) words: String,
    /// What tells it.
    pub(crate) source: Option<String>,
}

impl WhoClaim {
    fn unknown(why: impl Into<String>) -> Self {
        Self { rung: Rung::Unknown, words: why.into(), source: None }
    }

    /// The claim as one sentence.
    #[must_use]
    pub(crate) fn sentence(&self) -> String {
        match (&self.rung, &self.source) {
            (Rung::AuditRecord, Some(source)) => format!("changed by {} ({source})", self.words),
            (Rung::Login, Some(source)) => format!("likely changed by {} ({source})", self.words),
            _ => format!("who changed it is unknown: {}", self.words),
        }
    }
}

/// A change of a file: when, and of which inode.
#[derive(Debug, Clone, Copy)]
struct FileMoment {
    device: u64,
    inode: u64,
    changed: i64,
    owner: u32,
}

/// Climbs the ladder for a file of this machine, from the surest rung.
#[must_use]
pub(crate) fn of_file(path: &Path, sources: &WhoSources) -> WhoClaim {
    let Ok(meta) = path.symlink_metadata() else {
        return WhoClaim::unknown("it is not there, so no inode and no time lead to a record");
    };
    let moment =
        FileMoment { device: meta.dev(), inode: meta.ino(), changed: meta.ctime(), owner: meta.uid() };
    let accounts = Accounts::read(&sources.passwd);
    let mut whys = Vec::new();
    match audit_log::find(&sources.audit_dir, moment, &accounts) {
        Ok(claim) => return claim,
        Err(why) => whys.push(why),
    }
    match logins::find(&sources.wtmp, moment, &accounts) {
        Ok(claim) => return claim,
        Err(why) => whys.push(why),
    }
    WhoClaim::unknown(whys.join("; "))
}

/// Names of accounts by their number.
#[derive(Debug, Default)]
struct Accounts(Vec<(u32, String)>);

impl Accounts {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn name(&self, uid: u32) -> Option<&str> {
        self.0.iter().find(|(id, _)| *id == uid).map(|(_, name)| name.as_str())
    }

    /// The name, or the number.
    fn called(&self, uid: u32) -> String {
        self.name(uid).map_or_else(|| format!("uid {uid}"), |name| escaped(name.as_bytes()))
    }
}
