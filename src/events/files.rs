//! Files and directories of this machine, watched through inotify.
//!
//! Each place is watched before it is looked at (see [`Visitor`]), so a change is either in the look or an event after it. Watched
//! are the directories that were listed, the directories of single files, and every directory and link on the way to them. Single
//! files and ways have a queue of their own: noise in a module loses nothing of theirs. Not told by the system are writes
//! through another hard link and some through a memory map; those are found by the next look at everything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::files_inside::InsideQueue;
use super::inbox::{Gap, HintSource, Inbox};
use crate::host::Visitor;

/// Events of a directory on the way: its entries come, go and are renamed, and may be closed to us.
const WAY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);
/// The same of a directory whose files count: they are written, too.
const CONTENT: WatchFlags = WAY.union(WatchFlags::MODIFY).union(WatchFlags::CLOSE_WRITE);
/// How many links may lie on a way, as the system has it.
const LINKS: u32 = 40;
/// The table of mounts, which tells when one comes or goes.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Watches the places of this machine that are looked at.
pub(crate) struct FileWatch {
    shared: Arc<Shared>,
    /// Held open: its end is the end of the thread that reads events.
    _alive: OwnedFd,
}

struct Shared {
    inbox: Arc<Inbox>,
    /// Single files and ways; modules.
    queues: [Queue; 2],
    /// Directories of containers.
    inside: InsideQueue,
    generation: AtomicU32,
    /// Paths whose way is watched already.
    handled: Mutex<HashSet<PathBuf>>,
    blind: Mutex<BTreeMap<PathBuf, Errno>>,
    /// Why events are read no more.
    ended: Mutex<Option<Errno>>,
}

struct Queue {
    inotify: OwnedFd,
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    by_id: HashMap<i32, Watched>,
    by_path: HashMap<Arc<Path>, i32>,
}

/// Device and inode of what a path leads to; `None` where nothing is there.
type Identity = Option<(u64, u64)>;

/// A watched directory.
struct Watched {
    /// What it was when it was watched.
    identity: Identity,
    /// The paths that lead to it.
    paths: Vec<Arc<Path>>,
    /// Whether each of its entries counts.
    is_whole: bool,
    /// Entries that count by themselves, and what they are called: a link on the way may give them another path.
    names: HashMap<OsString, Vec<(Arc<Path>, Identity)>>,
    /// The newest look at everything in which it was met.
    generation: u32,
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("directories", &self.directories()).finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Begins to watch; hints go into `inbox`.
    ///
    /// # Errors
    /// When the system gives no queue of events, or no thread.
    pub(crate) fn begin(inbox: Arc<Inbox>) -> io::Result<Self> {
        let queue = || -> io::Result<Queue> {
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            Ok(Queue { inotify, watches: Mutex::default() })
        };
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let shared = Arc::new(Shared {
            inbox,
            queues: [queue()?, queue()?],
            inside: InsideQueue::new()?,
            generation: AtomicU32::new(0),
            handled: Mutex::default(),
            blind: Mutex::default(),
            ended: Mutex::default(),
        });
        let reader = Arc::clone(&shared);
        Builder::new().name("inotify".to_owned()).spawn(move || reader.read(&read))?;
        Ok(Self { shared, _alive: write })
    }

    /// Begins a look at everything: what is not met in it is not watched after [`FileWatch::sweep`].
    pub(crate) fn renew(&self) {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.handled).clear();
        lock(&self.shared.blind).clear();
    }

    /// Ends watching what the newest look at everything has not met.
    pub(crate) fn sweep(&self) {
        let now = self.shared.generation.load(Ordering::Relaxed);
        for queue in &self.shared.queues {
            let mut watches = lock(&queue.watches);
            let old: Vec<i32> =
                watches.by_id.iter().filter(|(_, it)| it.generation < now).map(|(id, _)| *id).collect();
            for id in old {
                watches.forget(id);
                // One that the system has dropped meanwhile is gone, too.
                let _ = inotify::remove_watch(&queue.inotify, id);
            }
        }
        self.shared.inside.sweep(now);
    }

    /// How many directories are watched.
    pub(crate) fn directories(&self) -> usize {
        let of_host = self.shared.queues.iter().map(|queue| lock(&queue.watches).by_id.len());
        of_host.sum::<usize>() + self.shared.inside.directories()
    }

    /// How many places cannot be watched, with the first of them and the reason; `None`: all are.
    pub(crate) fn blind(&self) -> Option<(usize, PathBuf, &'static str)> {
        if lock(&self.shared.ended).is_some() {
            return Some((
                self.directories(),
                PathBuf::from("/"),
                "the system gives no more events; start the watcher anew",
            ));
        }
        let blind = lock(&self.shared.blind);
        let (path, errno) = blind.first_key_value()?;
        let why = match *errno {
            Errno::NOSPC => "the limit of watches is reached; raise fs.inotify.max_user_watches (sysctl)",
            Errno::NOMEM => "there is no memory for another watch",
            _ => "this user may not read it",
        };
        Some((blind.len(), path.clone(), why))
    }
}

impl Visitor for FileWatch {
    fn directory(&self, path: &Path, is_module: bool) {
        let Some(path) = absolute(path) else { return };
        self.shared.way(&path, is_module, LINKS);
        self.shared.watch(usize::from(is_module), &path, None, CONTENT);
    }

    fn file(&self, path: &Path) {
        let Some(path) = absolute(path) else { return };
        self.shared.way(&path, false, LINKS);
        // A link may lead to a file elsewhere, which is written there.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let (Some(parent), Some(name)) = (real.parent(), real.file_name()) {
            self.shared.watch(0, parent, Some((name, &path)), CONTENT);
        }
    }

    fn inside(&self, directory: BorrowedFd<'_>, entry: Option<&OsStr>) {
        let generation = self.shared.generation.load(Ordering::Relaxed);
        if let Err(errno) = self.shared.inside.watch(directory, entry, generation) {
            self.shared.note_blind(PathBuf::from("/a directory of a container"), errno);
        }
    }
}

impl Shared {
    fn note_blind(&self, place: PathBuf, errno: Errno) {
        lock(&self.blind).insert(place, errno);
    }

    /// Watches every directory and link on the way to a path, for the entries that lead on.
    fn way(&self, path: &Path, is_module: bool, links: u32) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        // Of what lies in a module every entry counts, and links in it lead nowhere.
        if is_module && lock(&self.queues[1].watches).by_path.contains_key(parent) {
            return;
        }
        if links == 0 || !lock(&self.handled).insert(path.to_owned()) {
            return;
        }
        self.way(parent, false, links);
        self.watch(0, parent, Some((name, path)), WAY);
        let Ok(target) = std::fs::read_link(path) else { return };
        let Ok(parent) = parent.canonicalize() else { return };
        self.way_of_link(&plain(&parent.join(target)), path, links - 1);
    }

    /// The same of a link's target: what happens to it happened to the link.
    fn way_of_link(&self, target: &Path, link: &Path, links: u32) {
        for place in target.ancestors() {
            if let (Some(parent), Some(name)) = (place.parent(), place.file_name()) {
                self.watch(0, parent, Some((name, link)), WAY);
            }
            let further = std::fs::read_link(place).ok().zip(place.parent());
            if let (Some((next, parent)), 1..) = (further, links) {
                self.way_of_link(&plain(&parent.join(next)), link, links - 1);
            }
        }
    }

    /// Watches a directory, whole or for one entry that stands for a path. Nothing is watched of one that is not there: its
    /// own directory is.
    fn watch(&self, queue: usize, dir: &Path, entry: Option<(&OsStr, &Path)>, flags: WatchFlags) {
        let queue = &self.queues[queue];
        let mut watches = lock(&queue.watches);
        let id = match inotify::add_watch(&queue.inotify, dir, flags) {
            Ok(id) => id,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return watches.left(&queue.inotify, dir),
            Err(errno) => {
                drop(watches);
                return self.note_blind(dir.to_owned(), errno);
            }
        };
        if watches.by_path.get(dir).is_some_and(|old| *old != id) {
            watches.left(&queue.inotify, dir);
        }
        let generation = self.generation.load(Ordering::Relaxed);
        let path: Arc<Path> = dir.into();
        if watches.by_path.insert(Arc::clone(&path), id).is_none() {
            let identity = identity(dir);
            let new = || Watched {
                identity,
                paths: Vec::new(),
                is_whole: false,
                names: HashMap::new(),
                generation,
            };
            watches.by_id.entry(id).or_insert_with(new).paths.push(path);
        }
        let Some(dir) = watches.by_id.get_mut(&id) else { return };
        dir.generation = generation;
        match entry {
            None => dir.is_whole = true,
            Some((name, stands_for)) => {
                let paths = dir.names.entry(name.to_owned()).or_default();
                let now = identity(stands_for);
                match paths.iter_mut().find(|(path, _)| **path == *stands_for) {
                    Some((_, known)) => *known = now,
                    None => paths.push((stands_for.into(), now)),
                }
            }
        }
    }

    /// Reads events until nobody watches any more.
    fn read(&self, alive: &OwnedFd) {
        let mounts = File::open(MOUNTS).ok();
        let mut room = vec![MaybeUninit::uninit(); 1 << 16];
        loop {
            let mut wanted = vec![PollFd::new(alive, PollFlags::IN)];
            wanted.extend(self.queues.iter().map(|queue| PollFd::new(&queue.inotify, PollFlags::IN)));
            wanted.push(PollFd::new(&self.inside.inotify, PollFlags::IN));
            wanted.extend(mounts.iter().map(|mounts| PollFd::new(mounts, PollFlags::PRI)));
            match poll(&mut wanted, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    *lock(&self.ended) = Some(errno);
                    return self.inbox.everything(HintSource::Inotify, Some(Gap::Overflow));
                }
            }
            let ready: Vec<PollFlags> = wanted.iter().map(PollFd::revents).collect();
            if !ready[0].is_empty() {
                return;
            }
            for (queue, ready) in self.queues.iter().zip(&ready[1..]) {
                if !ready.is_empty() {
                    self.drain(queue, &mut room);
                }
            }
            if !ready[3].is_empty() {
                self.inside.drain(&mut room, &self.inbox);
            }
            if ready.get(4).is_some_and(|ready| ready.intersects(PollFlags::PRI | PollFlags::ERR)) {
                self.mounts_changed();
            }
        }
    }

    fn drain(&self, queue: &Queue, room: &mut [MaybeUninit<u8>]) {
        let fd: BorrowedFd<'_> = queue.inotify.as_fd();
        let mut reader = Reader::new(fd, room);
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            self.received(queue, event.wd(), event.events(), name);
        }
    }

    fn received(&self, queue: &Queue, id: i32, what: ReadFlags, name: Option<&OsStr>) {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.inbox.everything(HintSource::Inotify, Some(Gap::Overflow));
        }
        let mut watches = lock(&queue.watches);
        if what.contains(ReadFlags::IGNORED) {
            return watches.forget(id);
        }
        let Some(dir) = watches.by_id.get(&id) else { return };
        let mut paths: Vec<PathBuf> = Vec::new();
        match name {
            Some(name) => {
                if dir.is_whole {
                    paths.extend(dir.paths.iter().map(|dir| dir.join(name)));
                }
                let named = dir.names.get(name).into_iter().flatten();
                paths.extend(named.map(|(path, _)| path.to_path_buf()));
            }
            None => paths.extend(dir.paths.iter().map(|dir| dir.to_path_buf())),
        }
        let has_moved = what.contains(ReadFlags::MOVE_SELF);
        if has_moved {
            watches.forget(id);
        }
        drop(watches);
        if has_moved {
            // What is found at its path now is another one.
            let _ = inotify::remove_watch(&queue.inotify, id);
        }
        let is_other = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        for path in paths {
            if what.intersects(is_other) || name.is_none() {
                self.find_way_again(&path);
            }
            self.inbox.path(path);
        }
        if what.contains(ReadFlags::UNMOUNT) {
            self.inbox.everything(HintSource::Inotify, Some(Gap::Mounts));
        }
    }

    /// Has the way to what lies at a path, or below it, be looked for again.
    fn find_way_again(&self, path: &Path) {
        let mut handled = lock(&self.handled);
        if handled.contains(path) {
            handled.retain(|it| !it.starts_with(path));
        }
    }

    /// Puts in what a mount has come over or gone from: directories and files that are other ones now.
    fn mounts_changed(&self) {
        let mut moved = Vec::new();
        for queue in &self.queues {
            let watches = lock(&queue.watches);
            for watched in watches.by_id.values() {
                let named = watched.names.values().flatten().map(|(path, known)| (path, *known));
                let all = named.chain(watched.paths.iter().map(|path| (path, watched.identity)));
                let other = all.filter(|(path, known)| identity(path) != *known);
                moved.extend(other.map(|(path, _)| path.to_path_buf()));
            }
        }
        for path in moved {
            self.find_way_again(&path);
            self.inbox.path(path);
        }
    }
}

impl Watches {
    /// Forgets a watch that is no more.
    fn forget(&mut self, id: i32) {
        for path in self.by_id.remove(&id).into_iter().flat_map(|watched| watched.paths) {
            if self.by_path.get(&path) == Some(&id) {
                self.by_path.remove(&path);
            }
        }
    }

    /// Notes that a path leads to the directory no more that it led to.
    fn left(&mut self, inotify: &OwnedFd, path: &Path) {
        let Some(id) = self.by_path.remove(path) else { return };
        let Some(watched) = self.by_id.get_mut(&id) else { return };
        watched.paths.retain(|it| **it != *path);
        if watched.paths.is_empty() {
            self.by_id.remove(&id);
            let _ = inotify::remove_watch(inotify, id);
        }
    }
}

fn identity(path: &Path) -> Identity {
    std::fs::metadata(path).map(|stat| (stat.dev(), stat.ino())).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path from the root of the file system; `None` where the working directory is not known.
fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

/// A path without `.` and `..`, of one whose directories are no links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
