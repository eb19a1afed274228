//! `audit/accepted.jsonl`: who made which change of the baseline, when and why, one line each time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::model::{AcceptedBy, Digest, shown_json};

/// Where it lies, relative to the root.
pub const RECORD: &str = "audit/accepted.jsonl";

/// The rule that says which files belong to a module. The first one, of records that name none, left out whatever lay in
/// a `__pycache__`.
pub const RULE: u32 = 2;

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
    /// The commit whose files were accepted, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The digest of the baseline that this gave, as reports name it.
    pub baseline: String,
    /// The rule that said which files belong to a module: [`RULE`].
    pub rule: u32,
    /// The subjects that changed.
    pub subjects: Vec<AcceptedSubject>,
}

/// One subject's change.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// How much of the file's end is read for the commit of a baseline.
const READ: u64 = 16 << 20;

/// What an acceptance says of where its baseline came from.
#[derive(Deserialize)]
struct Came {
    baseline: String,
    commit: Option<String>,
}

/// The commit whose files the baseline of this digest was accepted from, by the newest acceptance that gave it.
/// Lines that cannot be read are passed over, and so is all but the last 16 MiB of the record.
#[must_use]
pub fn commit_of(root: &Path, digest: &Digest) -> Option<String> {
    let text = end_of(&root.join(RECORD)).ok()?;
    let digest = digest.to_string();
    let lines = text.split(|&b| b == b'\n').rev();
    let mut came = lines.filter_map(|line| serde_json::from_slice::<Came>(line).ok());
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    came.find(|came| came.baseline == digest)?.commit.filter(is_id)
}

/// Whether `digest` was accepted of a subject by today's rule, as far as the record tells; read as [`commit_of`] reads.
#[must_use]
pub fn is_of_this_rule(root: &Path, key: &[u8], digest: &Digest) -> bool {
    let Ok(text) = end_of(&root.join(RECORD)) else { return false };
    let (name, digest) = (String::from_utf8_lossy(key), digest.to_string());
    let lines = text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let of_this = |line: &Line| line.rule == Some(RULE);
    let is_it = |it: &AcceptedSubject| it.subject == name && it.new.as_deref() == Some(digest.as_str());
    lines.filter(of_this).any(|line| line.subjects.iter().any(is_it))
}

/// A whole line of the record.
#[derive(Deserialize)]
struct Line {
    time: String,
    by: String,
    reason: Option<String>,
    run: String,
    target: Option<String>,
    rule: Option<u32>,
    subjects: Vec<AcceptedSubject>,
}

/// The newest acceptance of a subject of one of `checks`, for `target`; read as [`commit_of`] reads.
#[must_use]
pub fn last_acceptance(root: &Path, checks: &[&str], key: &[u8], target: Option<&str>) -> Option<AcceptedBy> {
    let text = end_of(&root.join(RECORD)).ok()?;
    let name = String::from_utf8_lossy(key);
    let lines = text.split(|&b| b == b'\n').rev();
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    lines.filter(|line| line.target.as_deref() == target).find_map(|line| {
        let is_it = |it: &AcceptedSubject| it.subject == name && checks.contains(&it.check.as_str());
        let it = line.subjects.into_iter().find(is_it)?;
        Some(AcceptedBy { time: line.time, by: line.by, reason: line.reason, run: line.run, new: it.new })
    })
}

fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    file.seek(SeekFrom::Start(meta.len().saturating_sub(READ)))?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Appends one line, in one write; one that a disk took only a part of does not become a part of it.
///
/// # Errors
/// When the file cannot be written; it is then as it was, as far as the disk lets it.
pub fn record(root: &Path, acceptance: &Acceptance) -> io::Result<()> {
    let line = serde_json::to_string(acceptance).map_err(io::Error::from)?;
    let mut line = shown_json(line).into_bytes();
    line.push(b'\n');
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let path = root.join(RECORD);
    let mut file = OpenOptions::new().read(true).create(true).append(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if !ends_a_line(&mut file, meta.len())? {
        line.insert(0, b'\n');
    }
    file.write_all(&line).and_then(|()| file.sync_all()).inspect_err(|_| {
        let _ = file.set_len(meta.len());
    })
}

/// Whether a file of so many bytes ends where a line does.
fn ends_a_line(file: &mut File, size: u64) -> io::Result<bool> {
    let Some(last) = size.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.seek(SeekFrom::Start(last))?;
    file.read_exact(&mut byte)?;
    Ok(byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acceptance(run: &str) -> Acceptance {
        Acceptance {
            time: "2026-01-29T15:42:15+09:00".to_owned(),
            by: "you".to_owned(),
            reason: None,
            run: run.to_owned(),
            target: None,
            commit: None,
            baseline: Digest::of(b"a").to_string(),
            rule: RULE,
            subjects: Vec::new(),
        }
    }

    #[test]
    fn a_line_that_was_cut_short_swallows_no_other_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(RECORD);
        std::fs::create_dir(root.path().join("audit")).unwrap();
        record(root.path(), &acceptance("1")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}", &text[..30])).unwrap();
        record(root.path(), &acceptance("2")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = text.lines().filter(|line| serde_json::from_str::<Line>(line).is_ok()).count();
        assert_eq!((whole, text.lines().count(), text.ends_with('\n')), (2, 3, true), "{text}");
    }

    #[test]
    fn the_newest_acceptance_of_a_baseline_tells_its_commit() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(commit_of(root.path(), &a), None, "there is no record");
        std::fs::create_dir(root.path().join("audit")).unwrap();
        let old = "{\"time\": \"before there were digests\", \"subjects\": []}";
        let line =
            |digest: &Digest, commit: &str| format!("{{\"baseline\":\"{digest}\",\"commit\":\"{commit}\"}}");
        let lines = [
            old.to_owned(),
            line(&a, "11"),
            line(&a, "22"),
            line(&b, "33"),
            format!("{{\"baseline\":\"{b}\"}}"),
            line(&a, "44")[..40].to_owned(),
            "\u{0}\u{fffd} damaged".to_owned(),
        ];
        std::fs::write(root.path().join(RECORD), lines.join("\n")).unwrap();
        assert_eq!(commit_of(root.path(), &a).as_deref(), Some("22"));
        assert_eq!(commit_of(root.path(), &b), None, "it was accepted from the disk after that");
        assert_eq!(commit_of(root.path(), &Digest::of(b"c")), None);
    }
}
