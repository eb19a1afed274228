//! By whose hand a file of this machine or a resource changed: a ladder of evidence. Each claim says its rung and its source, and "unknown" is one.

mod audit_log;
mod cloudtrail;
mod logins;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::model::{Rung, Who, escaped};
use audit_log::AuditLog;
pub(crate) use audit_log::LONGEST_LOG;
pub(crate) use cloudtrail::{Trail, TrailSources};
use logins::LoginRecord;

/// How far the clock of a record and that of a file may differ, in seconds.
const TOLERANCE: i64 = 2;
/// The reason where a file is gone.
const NOT_THERE: &str = "it is not there, so no inode and no time lead to a record";

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

/// A claim that nothing tells.
pub(crate) fn unknown(why: impl Into<String>) -> Who {
    Who { file: String::new(), rung: Rung::Unknown, name: None, words: why.into(), source: None }
}

/// A change of a file: when, and of which inode.
#[derive(Debug, Clone, Copy)]
struct FileMoment {
    device: u64,
    inode: u64,
    changed: i64,
    owner: u32,
}

impl FileMoment {
    fn of(path: &Path) -> Option<Self> {
        let meta = path.symlink_metadata().ok()?;
        Some(Self { device: meta.dev(), inode: meta.ino(), changed: meta.ctime(), owner: meta.uid() })
    }

    /// Whether a record of a second may be of the change.
    fn is_at(self, seconds: i64) -> bool {
        seconds.saturating_sub(self.changed).saturating_abs() <= TOLERANCE
    }
}

/// Climbs the ladder for each of some files of this machine, from the surest rung; each record is read once for all of them, and of
/// an audit log so many bytes.
#[must_use]
pub(crate) fn of_files(paths: &[PathBuf], sources: &WhoSources, log: u64) -> Vec<Who> {
    let moments: Vec<Option<FileMoment>> = paths.iter().map(|path| FileMoment::of(path)).collect();
    let there: Vec<FileMoment> = moments.iter().flatten().copied().collect();
    if there.is_empty() {
        return paths.iter().map(|_| unknown(NOT_THERE)).collect();
    }
    let accounts = Accounts::read(&sources.passwd);
    let audit = AuditLog::read(&sources.audit_dir, &there, log);
    let logins = LoginRecord::read(&sources.wtmp);
    let one = |moment: Option<FileMoment>| {
        let Some(moment) = moment else { return unknown(NOT_THERE) };
        let why = match audit.as_ref().map_err(Clone::clone).and_then(|it| it.claim(moment, &accounts)) {
            Ok(claim) => return claim,
            Err(why) => why,
        };
        let login = logins.as_ref().map_err(Clone::clone).and_then(|it| it.claim(moment, &accounts));
        login.unwrap_or_else(|other| unknown(format!("{why}; {other}")))
    };
    moments.into_iter().map(one).collect()
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
