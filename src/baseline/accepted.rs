//! `audit/accepted.jsonl`: who made which change of the baseline, when and why, one line each time.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;

/// Where it lies, relative to the root.
const PATH: &str = "audit/accepted.jsonl";

/// One acceptance.
#[derive(Debug, Clone, Serialize)]
pub struct Acceptance {
    /// RFC 3339 with offset.
    pub time: String,
    /// The git identity, or the account.
    pub by: String,
    /// What was given as the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run that was accepted.
    pub run: String,
    /// The target, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The subjects that changed.
    pub subjects: Vec<AcceptedSubject>,
}

/// One subject's change.
#[derive(Debug, Clone, Serialize)]
pub struct AcceptedSubject {
    /// The check it belongs to.
    pub check: String,
    /// The name; lossy where it is not UTF-8.
    pub subject: String,
    /// The digest before; null where it is new.
    pub old: Option<String>,
    /// The digest now; null where it is gone.
    pub new: Option<String>,
}

/// Appends one line, in one write.
///
/// # Errors
/// When the file cannot be written.
pub fn record(root: &Path, acceptance: &Acceptance) -> io::Result<()> {
    let mut line = serde_json::to_vec(acceptance).map_err(io::Error::from)?;
    line.push(b'\n');
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut file = OpenOptions::new().create(true).append(true).custom_flags(flags).open(root.join(PATH))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    file.write_all(&line)?;
    file.sync_all()
}
