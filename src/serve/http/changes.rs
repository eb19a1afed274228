//! The log of changes: who asked for which and what came of it, a line of JSON each, before it is carried out and after.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use uuid::Uuid;

use super::request::SiteCaller;
use crate::control::clock;

/// The name of the format.
const FORMAT: &str = "driftlock.change/1";
/// The name of the file.
const FILE: &str = "changes.jsonl";
/// The size at which another file is begun.
const LARGEST: u64 = 8 << 20;
/// The number of files that are kept beside the newest.
const OLDER: u32 = 4;
/// The number of characters of a path that are kept.
const LONGEST_PATH: usize = 300;

/// A line.
#[derive(Serialize)]
struct ChangeLine<'a> {
    schema: &'static str,
    at: String,
    at_unix: i64,
    /// Joins the two lines of a change.
    request: &'a str,
    /// The name of the token.
    by: &'a str,
    role: &'static str,
    peer: IpAddr,
    method: &'a str,
    path: &'a str,
    /// What came of it; absent before it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// A change that is logged.
pub(super) struct LoggedChange {
    request: String,
    by: SiteCaller,
    peer: IpAddr,
    method: &'static str,
    path: String,
}

impl LoggedChange {
    /// A change that a caller asks for; what stands in its body is not kept.
    pub(super) fn new(by: &SiteCaller, peer: IpAddr, method: &'static str, path: &str) -> Self {
        let path = path.chars().take(LONGEST_PATH).collect();
        Self { request: Uuid::now_v7().to_string(), by: by.clone(), peer, method, path }
    }
}

/// The log of changes of a site.
pub(crate) struct ChangeLog {
    path: PathBuf,
    /// The file that is written, and its size.
    open: Mutex<Option<(File, u64)>>,
}

impl ChangeLog {
    /// That of a state directory, which is written with the first change.
    pub(crate) fn of_directory(dir: &Path) -> Self {
        Self { path: dir.join(FILE), open: Mutex::new(None) }
    }

    /// Notes a change: before it is carried out without a status, and afterwards with one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&self, change: &LoggedChange, status: Option<u16>) -> io::Result<()> {
        let (at, at_unix) = clock::utc();
        let LoggedChange { request, by, peer, method, path } = change;
        let (schema, role) = (FORMAT, by.role.word());
        let line = ChangeLine {
            schema,
            at,
            at_unix,
            request,
            by: &by.name,
            role,
            peer: *peer,
            method,
            path,
            status,
        };
        let mut line = serde_json::to_vec(&line).map_err(io::Error::from)?;
        line.push(b'\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was moved away or removed gets no more lines.
        let place = std::fs::metadata(&self.path).map(|meta| (meta.dev(), meta.ino())).ok();
        let is_there =
            |file: &File| file.metadata().is_ok_and(|meta| Some((meta.dev(), meta.ino())) == place);
        let (mut file, size) = match open.take().filter(|(file, _)| is_there(file)) {
            Some(known) => known,
            None => self.begin()?,
        };
        if size + line.len() as u64 > LARGEST {
            self.shift();
            (file, _) = self.begin()?;
        }
        let before = file.metadata()?.len();
        let written = file.write_all(&line);
        if written.is_err() {
            // A half of a line is not gone on with.
            let _ = file.set_len(before);
        }
        *open = written.is_ok().then_some((file, before + line.len() as u64));
        written
    }

    fn begin(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// Makes way for a new file.
    fn shift(&self) {
        let older = |number: u32| self.path.with_extension(format!("{number}.jsonl"));
        for number in (1..OLDER).rev() {
            let _ = std::fs::rename(older(number), older(number + 1));
        }
        let _ = std::fs::rename(&self.path, older(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tokens::TokenRole;

    fn change(path: &str) -> LoggedChange {
        let by = SiteCaller { name: "ops".to_owned(), role: TokenRole::Operate, csrf: None };
        LoggedChange::new(&by, IpAddr::from([127, 0, 0, 1]), "POST", path)
    }

    #[test]
    fn each_change_is_a_line_whatever_its_path_holds() {
        let dir = assert_fs::TempDir::new().unwrap();
        let log = ChangeLog::of_directory(dir.path());
        let first = change("/a\n\"b");
        log.note(&first, None).unwrap();
        log.note(&first, Some(409)).unwrap();
        log.note(&change(&"x".repeat(1000)), None).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["path"], &lines[0]["status"]), (&"/a\n\"b".into(), &serde_json::Value::Null));
        assert_eq!((&lines[1]["request"], &lines[1]["status"]), (&lines[0]["request"], &409.into()));
        assert_eq!(lines[2]["path"].as_str().unwrap().len(), LONGEST_PATH);
    }

    #[test]
    fn a_full_file_makes_way_and_a_moved_one_is_not_gone_on_with() {
        let dir = assert_fs::TempDir::new().unwrap();
        let path = dir.path().join(FILE);
        File::create(&path).unwrap().set_len(LARGEST - 10).unwrap();
        let log = ChangeLog::of_directory(dir.path());
        log.note(&change("/a"), None).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("changes.1.jsonl")).unwrap().len(), LARGEST - 10);
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        log.note(&change("/b"), None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(log.note(&change("/c"), None).is_err());
    }
}
