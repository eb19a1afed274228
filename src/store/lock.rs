//! Whose turn it is: of all that write the baseline of a project or remove its runs, one at a time.
//!
//! The lock is the system's (`flock`) on a file, so that it ends with the process that holds it, however that ends. The
//! file says who that is, for others to tell.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::control::waits;
use crate::model::escaped;
use crate::store::runs;

/// The file below `audit/runtime`.
pub const FILE: &str = ".lock";
/// How long to wait for somebody else.
const PATIENCE: Duration = waits::RUNS_LOCK.most;
/// How often it is looked meanwhile.
const TICK: Duration = Duration::from_millis(20);
/// How much of the file is read.
const LONGEST: u64 = 200;

/// The turn of this process: it is over when this is dropped.
#[derive(Debug)]
pub struct Turn {
    /// `None` where the file system has no locks, or this user may not use the file: what is written then is still
    /// guarded by the locks of its directory, and who comes second is refused.
    file: Option<File>,
}

/// Why it is not this process's turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It is somebody else's.
    #[error("{} is at work on this baseline and did not end within {} s", .0, PATIENCE.as_secs())]
    Held(Holder),
    /// The user ended the run meanwhile.
    #[error("interrupted")]
    Interrupted,
}

/// Who has the turn, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process; `None` where it is not one that can be seen from here, as in another container.
    pub pid: Option<u32>,
    /// What it does: `accept`.
    pub command: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        self.command.iter().try_for_each(|command| write!(f, " (driftlock {command})"))
    }
}

impl Turn {
    /// Waits until it is this process's turn to do `command`.
    ///
    /// # Errors
    /// When somebody else still has it after ten seconds, or `is_over` says that nobody waits any more.
    pub fn wait(root: &Path, command: &str, is_over: &dyn Fn() -> bool) -> Result<Self, NotNow> {
        Self::wait_at(&file(root), PATIENCE, command, is_over)
    }

    /// Waits for the turn that another file stands for, for so long.
    ///
    /// # Errors
    /// As [`Turn::wait`].
    pub(crate) fn wait_at(
        path: &Path,
        patience: Duration,
        command: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, NotNow> {
        let (start, mut is_told) = (Instant::now(), false);
        loop {
            match Self::take_at(path, command) {
                Err(holder) if start.elapsed() >= patience => return Err(NotNow::Held(holder)),
                Err(_) if is_over() => return Err(NotNow::Interrupted),
                Err(holder) => {
                    if !std::mem::replace(&mut is_told, true) {
                        log::info!(holder:%; "waits for its turn");
                    }
                    // Open meanwhile, so that it can be seen who waits.
                    let _seen = open(path);
                    std::thread::sleep(TICK);
                }
                Ok(turn) => return Ok(turn),
            }
        }
    }

    /// Takes the turn, if it is nobody's.
    ///
    /// # Errors
    /// Who has it.
    pub fn take(root: &Path, command: &str) -> Result<Self, Holder> {
        Self::take_at(&file(root), command)
    }

    fn take_at(path: &Path, command: &str) -> Result<Self, Holder> {
        let _ = path.parent().map(std::fs::create_dir_all);
        // The file may be removed and made anew between opening and locking it.
        for _ in 0..10 {
            let Ok(mut file) = open(path) else { break };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => {
                    let _ = write(&mut file, &format!("{} {command}\n", std::process::id()));
                    return Ok(Self { file: Some(file) });
                }
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(Holder::read(&mut file)),
                Err(_) => break,
            }
        }
        log::info!("there is no lock to take; the one of the directory counts alone");
        Ok(Self { file: None })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(file) = &mut self.file {
            let _ = write(file, "");
        }
    }
}

/// The file of whose turn it is to write the baseline, or to remove runs.
fn file(root: &Path) -> PathBuf {
    root.join(runs::PATH).join(FILE)
}

/// Opens the file, for writing where this user may.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let opened = options.clone().write(true).create(true).truncate(false).mode(0o666).open(path);
    let file = opened.or_else(|_| options.open(path))?;
    let meta = file.metadata()?;
    // A file with another name besides is somebody's, and would be emptied.
    if meta.is_file() && meta.nlink() <= 1 {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file of its own"))
    }
}

/// Whether a file is the one that lies at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().is_ok_and(|held| path.symlink_metadata().is_ok_and(|there| id(held) == id(there)))
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

impl Holder {
    /// What the file says, as far as that may be true: a holder that was killed has left its number there.
    fn read(file: &mut File) -> Self {
        let mut text = Vec::new();
        let read = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut text));
        read.map_or_else(|_| Self::default(), |_| Self::of(&String::from_utf8_lossy(&text)))
    }

    fn of(text: &str) -> Self {
        let Some((pid, command)) = text.trim_end().split_once(' ') else { return Self::default() };
        let pid: Option<u32> = pid.parse().ok();
        Self { pid: pid.filter(|pid| is_alive(*pid)), command: Some(escaped(command.as_bytes())) }
    }
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_turn_and_who_has_it_is_told() {
        let root = tempfile::tempdir().unwrap();
        let turn = Turn::take(root.path(), "accept").unwrap();
        let holder = Turn::take(root.path(), "prune").unwrap_err();
        assert_eq!(holder.to_string(), format!("process {} (driftlock accept)", std::process::id()));
        assert_eq!(Turn::wait(root.path(), "prune", &|| true).unwrap_err(), NotNow::Interrupted);
        drop(turn);
        assert_eq!(std::fs::read_to_string(root.path().join(runs::PATH).join(FILE)).unwrap(), "");
        Turn::take(root.path(), "prune").unwrap();
    }

    #[test]
    fn who_waits_too_long_is_refused_with_who_has_it() {
        let root = tempfile::tempdir().unwrap();
        let _turn = Turn::take(root.path(), "accept").unwrap();
        let patience = Duration::from_millis(60);
        let start = Instant::now();
        let refused = Turn::wait_at(&file(root.path()), patience, "prune", &|| false).unwrap_err();
        assert!(start.elapsed() >= patience);
        let holder = Holder { pid: Some(std::process::id()), command: Some("accept".to_owned()) };
        assert_eq!(
            refused.to_string(),
            format!("{holder} is at work on this baseline and did not end within 10 s")
        );
        assert_eq!(refused, NotNow::Held(holder));
    }

    #[test]
    fn what_a_dead_holder_left_names_nobody() {
        assert_eq!(Holder::of(""), Holder::default());
        assert_eq!(Holder::of("junk"), Holder::default());
        let dead = Holder::of("2147483647 accept\n");
        assert_eq!(dead.to_string(), "another process (driftlock accept)");
        assert_eq!(Holder::of("-1 \u{1b}[31m").to_string(), "another process (driftlock \\x1b[31m)");
    }

    #[test]
    fn a_file_that_is_none_stops_nobody() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(runs::PATH).join(FILE)).unwrap();
        assert!(Turn::take(root.path(), "accept").unwrap().file.is_none());
    }
}
