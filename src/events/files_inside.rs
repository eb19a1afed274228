//! Directories that containers have of their own, watched through inotify by what is opened of them: no path of this machine leads
//! there for sure.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::inbox::{Gap, HintSource, Inbox};

/// What happens to entries of a directory, or to itself.
const CONTENT: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// The queue of what happens in containers: their noise loses nothing of the host's own.
pub(super) struct InsideQueue {
    pub(super) inotify: OwnedFd,
    watches: Mutex<HashMap<i32, InsideDirectory>>,
}

/// A watched directory.
#[derive(Default)]
struct InsideDirectory {
    /// Whether each of its entries counts.
    is_whole: bool,
    /// Entries that count by themselves.
    names: HashSet<OsString>,
    /// The newest look at everything in which it was met, or that came before it was.
    generation: u32,
}

impl InsideQueue {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, watches: Mutex::default() })
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<i32, InsideDirectory>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many directories are watched.
    pub(super) fn directories(&self) -> usize {
        self.watches().len()
    }

    /// Watches an opened directory, whole or for one entry.
    pub(super) fn watch(
        &self,
        directory: BorrowedFd<'_>,
        entry: Option<&OsStr>,
        generation: u32,
    ) -> Result<(), Errno> {
        let mut watches = self.watches();
        let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let id = inotify::add_watch(&self.inotify, place, CONTENT)?;
        let its = watches.entry(id).or_default();
        its.generation = generation;
        match entry {
            None => its.is_whole = true,
            Some(name) => drop(its.names.insert(name.to_owned())),
        }
        Ok(())
    }

    /// Ends watching what was met in no look since the one of this number.
    pub(super) fn sweep(&self, now: u32) {
        self.watches().retain(|id, watched| {
            let is_met = watched.generation >= now;
            if !is_met {
                // One that the system has dropped meanwhile is gone, too.
                let _ = inotify::remove_watch(&self.inotify, *id);
            }
            is_met
        });
    }

    /// Reads what has happened.
    pub(super) fn drain(&self, room: &mut [MaybeUninit<u8>], inbox: &Inbox) {
        let mut reader = Reader::new(self.inotify.as_fd(), room);
        while let Ok(event) = reader.next() {
            let (id, what) = (event.wd(), event.events());
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                inbox.everything(HintSource::Inotify, Some(Gap::Overflow));
                continue;
            }
            let mut watches = self.watches();
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            let counts =
                |it: &InsideDirectory| name.is_none_or(|name| it.is_whole || it.names.contains(name));
            if watches.get(&id).is_some_and(counts) {
                inbox.inside();
            }
            if what.contains(ReadFlags::IGNORED) {
                watches.remove(&id);
            }
        }
    }
}
