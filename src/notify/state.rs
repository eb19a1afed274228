//! `audit/runtime/notified.NAME.json`: what was last delivered of each place, and the lock over it.

use crate::control::file_lock;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::decide::{LastNotification, NoticeScope};
use crate::atomic::{read_file, replace_file};
use crate::host::Watch;
use crate::store::runs;

/// The schema of the file.
const SCHEMA: &str = "driftlock.notified/1";
/// How many places are remembered: a baseline that is named by its commit is another place every time.
const REMEMBERED: usize = 1000;

/// What was last delivered of each place.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    schema: String,
    places: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    place: NoticeScope,
    #[serde(flatten)]
    told: LastNotification,
}

impl State {
    /// Reads the state of a notification; a missing file is an empty one.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub(super) fn read(root: &Path, name: &str) -> io::Result<Self> {
        let bytes = match read_file(&root.join(path(name))) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let read: Option<Self> = serde_json::from_slice(&bytes).ok();
        read.filter(|state| state.schema == SCHEMA)
            .ok_or_else(|| io::Error::other("it is damaged, and is written anew"))
    }

    /// What was last told of a place.
    pub(super) fn of(&self, place: &NoticeScope) -> Option<&LastNotification> {
        self.places.iter().find(|entry| entry.place == *place).map(|entry| &entry.told)
    }

    /// Remembers what was told of a place.
    pub(super) fn set(&mut self, place: NoticeScope, told: LastNotification) {
        self.places.retain(|entry| entry.place != place);
        self.places.push(Entry { place, told });
        let surplus = self.places.len().saturating_sub(REMEMBERED);
        self.places.drain(..surplus);
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&mut self, root: &Path, name: &str) -> io::Result<()> {
        SCHEMA.clone_into(&mut self.schema);
        let mut bytes = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        bytes.push(b'\n');
        std::fs::create_dir_all(root.join(runs::PATH))?;
        replace_file(&root.join(path(name)), &bytes)
    }
}

/// Where the state of a notification lies, relative to the root.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(runs::PATH).join(format!("notified.{name}.json"))
}

/// Waits until no other check tells through the same notification; dropping what is given lets the next one go on.
/// The lock goes with its process, so none is ever left behind.
///
/// # Errors
/// When somebody else still holds it after `patience`, when `watch` was cancelled, or when it cannot be made.
pub(super) fn lock(root: &Path, name: &str, patience: Duration, watch: &Watch) -> io::Result<File> {
    let place = root.join(runs::PATH).join(format!("notified.{name}.lock"));
    let make = || -> io::Result<File> {
        std::fs::create_dir_all(root.join(runs::PATH))?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(CWD, &place, flags, Mode::from_raw_mode(0o666))?))
    };
    let file = make()?;
    if file_lock::hold(&file, patience, &|| watch.is_cancelled())? {
        return Ok(file);
    }
    Err(io::Error::other("another check is still sending"))
}

#[cfg(test)]
mod tests {
    use super::super::decide::Seen;
    use super::*;

    fn told(fingerprint: &str) -> LastNotification {
        let seen = Seen { verdict: "FAIL".to_owned(), fingerprint: fingerprint.to_owned() };
        LastNotification { seen, told_at_unix: 1, run_at_unix: 1, open_since_unix: None }
    }

    #[test]
    fn what_was_told_is_remembered_for_each_place() {
        let root = tempfile::tempdir().unwrap();
        let place = |target: Option<&str>, checks: Option<&[&str]>| NoticeScope {
            target: target.map(str::to_owned),
            baseline: "audit/locks".to_owned(),
            checks: checks.map(|ids| ids.iter().map(ToString::to_string).collect()),
        };
        let places = [place(None, None), place(Some("a"), None), place(None, Some(&["addon_hashes"]))];
        let mut state = State::read(root.path(), "ops").unwrap();
        for (number, place) in places.iter().enumerate() {
            state.set(place.clone(), told("old"));
            state.set(place.clone(), told(&number.to_string()));
        }
        state.write(root.path(), "ops").unwrap();
        let again = State::read(root.path(), "ops").unwrap();
        for (number, place) in places.iter().enumerate() {
            assert_eq!(again.of(place), Some(&told(&number.to_string())));
        }
        assert!(State::read(root.path(), "dev").unwrap().of(&places[0]).is_none());
        for damaged in ["", "{", "{\"schema\":\"driftlock.notified/9\",\"places\":[]}", "[]"] {
            std::fs::write(root.path().join(path("ops")), damaged).unwrap();
            assert!(
                State::read(root.path(), "ops").is_err_and(|why| why.to_string().contains("damaged")),
                "{damaged}"
            );
        }
    }

    #[test]
    fn one_tells_at_a_time_and_the_other_waits_for_a_bounded_time() {
        let root = tempfile::tempdir().unwrap();
        let watch = Watch::default();
        let patience = Duration::from_millis(60);
        let held = lock(root.path(), "ops", patience, &watch).unwrap();
        lock(root.path(), "dev", patience, &watch).unwrap();
        assert!(
            lock(root.path(), "ops", patience, &watch)
                .is_err_and(|why| why.to_string().contains("another check"))
        );
        drop(held);
        lock(root.path(), "ops", patience, &watch).unwrap();
    }
}
