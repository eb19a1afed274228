//! The view of one container: its mount table, and the proof that it is that container's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::led::{Led, Lost};
use super::table::MountTable;
use super::told::{Found, ToldContainer, ToldMachine, ToldRoot, Wanted};
use crate::host::inside::InsideDisk;

/// The longest file below `/proc` that is read: a table of some 100,000 mounts.
const LONGEST: u64 = 16 << 20;
/// Room for most of them: the kernel gives no size, and each further piece is one more call.
const USUAL: usize = 16 << 10;

/// A running container, as its engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) struct Running {
    /// The engine's name for it: 64 hex digits.
    pub(in crate::host) id: String,
    /// Its first process.
    pub(in crate::host) pid: u32,
    /// The directory where its root file system is mounted on the engine's machine, where the engine's storage has one.
    pub(in crate::host) merged: Option<PathBuf>,
    /// When that started, in seconds since 1970, where the engine tells it.
    pub(in crate::host) started: Option<i64>,
    /// The directory of what the container wrote, where the engine's storage has one.
    pub(in crate::host) upper: Option<PathBuf>,
}

impl Running {
    /// A container by its first process, where it has one, and what the engine's storage says of its root.
    pub(in crate::host) fn of(
        id: &str,
        pid: i64,
        started: Option<i64>,
        storage: Option<&HashMap<String, String>>,
    ) -> Option<Self> {
        let pid = u32::try_from(pid).ok().filter(|pid| *pid != 0)?;
        let path = |name: &str| storage?.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let (merged, upper) = (path("MergedDir"), path("UpperDir"));
        Some(Self { id: id.to_owned(), pid, started, merged, upper })
    }
}

/// The reason why there is no view of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its processes are not to be seen from here.
    Unseen(String),
    /// It began, ended or changed while it was looked at: another look may do.
    Moving(String),
    /// The container is not as the engine says.
    Foreign(String),
}

/// The mounts that a container sees.
pub(super) struct View<'a> {
    /// Its mounts.
    table: MountTable,
    /// Its root directory.
    root: Root<'a>,
    /// Whether everything that proves that this is the container's view could be seen.
    is_whole: bool,
}

/// The root directory of a container.
enum Root<'a> {
    /// This user may not open it.
    Closed,
    /// It was opened.
    Open(OwnedFd),
    /// Another machine told where paths below it lead, and is to be asked about others.
    Told(&'a BTreeMap<Vec<u8>, Found>, &'a RefCell<BTreeSet<Wanted>>, u32),
}

impl Root<'_> {
    /// The directory, where it was opened.
    fn opened(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Open(root) => Some(root.as_fd()),
            Self::Closed | Self::Told(..) => None,
        }
    }
}

/// The mount table of this process.
pub(super) fn own_table() -> Option<MountTable> {
    MountTable::parse(&read(Path::new("/proc/self/mountinfo")).ok()?)
}

impl<'a> View<'a> {
    /// The view of a container of another machine, by the same rules.
    pub(super) fn told(
        told: &'a ToldContainer,
        running: &Running,
        machine: &'a ToldMachine,
        host: &MountTable,
    ) -> Result<Self, Trouble> {
        let unseen = || Trouble::Unseen("its processes are not to be seen on the server".to_owned());
        let begun = start_in(&told.stat).ok_or_else(unseen)?;
        groups_in(&told.groups, running)?;
        let table = MountTable::parse(&told.mounts)
            .ok_or_else(|| Trouble::Unseen("the server does not show its mounts".to_owned()))?;
        let root = match told.root {
            ToldRoot::Closed => Root::Closed,
            ToldRoot::Open { .. } => Root::Told(&told.paths, &machine.wanted, running.pid),
        };
        let mut view = Self { table, root, is_whole: false };
        let is_certain = match told.root {
            ToldRoot::Open { is_expected: Some(false) } => return Err(foreign()),
            ToldRoot::Open { is_expected: Some(true) } => true,
            _ => view.prove_by_table(running, host)?,
        };
        let mut is_held = matches!(told.root, ToldRoot::Open { .. });
        for (_, letter) in &told.members {
            match letter {
                b's' | b'g' => {}
                b'n' => return Err(moving("one of its processes has mounts of its own")),
                b'r' => return Err(moving("one of its processes has a root of its own")),
                _ => is_held = false,
            }
        }
        let is_listed = told.members.iter().any(|(pid, letter)| *pid == running.pid && *letter == b's');
        view.is_whole = is_certain && is_held && is_listed;
        if start_in(&told.stat_again) != Some(begun) {
            return Err(moving("its process ended"));
        }
        Ok(view)
    }

    /// Looks at a container. Its view is believed only where its first process is one of the container's control group, the
    /// root of that process is what the engine mounted for it, and every other process of the group has the same root and the
    /// same mount namespace. What this user may not see of that is left out; see [`View::is_whole`].
    pub(super) fn of(running: &Running, host: &MountTable) -> Result<Self, Trouble> {
        let proc = PathBuf::from(format!("/proc/{}", running.pid));
        let begun = start_of(&proc)?;
        let group = groups_of(&proc, running)?;
        let root = root_of(&proc)?;
        let text = read(&proc.join("mountinfo")).map_err(|error| lost(&error))?;
        let table =
            MountTable::parse(&text).ok_or_else(|| Trouble::Moving("it shows no mounts".to_owned()))?;
        let mut view = Self { table, root: root.map_or(Root::Closed, Root::Open), is_whole: false };
        let is_certain = view.prove_root(running, host)?;
        if let Some(root) = view.root.opened() {
            let same = Same { namespace: namespace_of(&proc)?, root: inode(root)? };
            view.is_whole = same.hold_all(processes_of(&group, host), running.pid)? && is_certain;
            let again = root_of(&proc)?.ok_or_else(|| moving("its root could not be opened again"))?;
            if inode(again.as_fd())? != same.root || namespace_of(&proc)? != same.namespace {
                return Err(moving("its root or its mounts changed"));
            }
        }
        if start_of(&proc)? != begun {
            return Err(moving("its process ended"));
        }
        Ok(view)
    }

    /// Whether everything that proves the view could be seen.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether links in the container can be followed.
    pub(super) fn follows_links(&self) -> bool {
        !matches!(self.root, Root::Closed)
    }

    /// Holds the root of the container against what the engine says of it: whether that is certain.
    fn prove_root(&self, running: &Running, host: &MountTable) -> Result<bool, Trouble> {
        if let (Some(root), Some(path)) = (self.root.opened(), root_point(running, host)) {
            let expected = Path::new(std::ffi::OsStr::from_bytes(path));
            let expected = open_from(CWD, expected, ResolveFlags::empty()).map_err(|_| foreign())?;
            let is_same = inode(root)? == inode(expected.as_fd())?;
            return if is_same { Ok(true) } else { Err(foreign()) };
        }
        self.prove_by_table(running, host)
    }

    /// The same by what is mounted at its root alone.
    fn prove_by_table(&self, running: &Running, host: &MountTable) -> Result<bool, Trouble> {
        let there = root_point(running, host).map(|path| (path, host.at(path)));
        let own = self.table.at(b"/");
        let location = own.location(b"/").ok_or_else(foreign)?;
        let upper = running.upper.as_deref().map(|path| path.as_os_str().as_bytes());
        let is_proven = match (there, upper) {
            (Some((path, mounted)), _) => mounted.location(path).as_ref() == Some(&location),
            (None, Some(upper)) => own.option("upperdir") == Some(upper),
            // A storage that copies has no mount of its own, and the engine does not say which copy it is.
            (None, None) if is_copy(&location.path) => return Ok(false),
            (None, None) => {
                return Err(Trouble::Unseen("the engine does not say where its root is".to_owned()));
            }
        };
        if is_proven { Ok(true) } else { Err(foreign()) }
    }

    /// The end of a path of the container, links on the way followed as the container follows them. `None`: nowhere.
    pub(super) fn locate(&self, path: &[u8]) -> Result<Option<Led>, Lost> {
        let root = match &self.root {
            Root::Open(root) => root,
            Root::Told(paths, wanted, pid) => {
                let Some(found) = paths.get(path) else {
                    wanted.borrow_mut().insert(Wanted::Inside(*pid, path.to_vec()));
                    return Err(Lost::Untold);
                };
                return found.led(&self.table);
            }
            Root::Closed => {
                let led = |location| Led { location, real: path.to_vec(), inode: (0, 0) };
                return Ok(self.table.at(path).location(path).map(led));
            }
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match open_from(root.as_fd(), path, inside) {
            Ok(opened) => lead(opened.as_fd(), &self.table).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The files that its processes see, where this user may look at them.
    pub(super) fn disk(&self) -> Option<InsideDisk> {
        self.root.opened()?.try_clone_to_owned().ok().map(InsideDisk::new)
    }

    /// The number of the first process, where another machine tells what lies below its root.
    pub(super) fn told_by(&self) -> Option<u32> {
        if let Root::Told(.., pid) = &self.root { Some(*pid) } else { None }
    }

    /// Whether something is mounted at exactly this path, which has no link in it.
    pub(super) fn has_mount_at(&self, path: &[u8]) -> bool {
        self.table.has_mount_at(path)
    }

    /// Whether a tmpfs is mounted at exactly this path.
    pub(super) fn has_tmpfs_at(&self, path: &[u8]) -> bool {
        self.table.has_mount_at(path) && self.table.at(path).is_tmpfs()
    }

    /// The container's mount table.
    pub(super) fn table(&self) -> &MountTable {
        &self.table
    }
}

/// The end of a path of this machine.
pub(super) fn locate(path: &Path, table: &MountTable) -> Result<Option<Led>, Lost> {
    match open_from(CWD, path, ResolveFlags::empty()) {
        Ok(opened) => lead(opened.as_fd(), table).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The location of an opened path: the kernel tells its mount and its path, so what happens to the names meanwhile does not matter.
fn lead(opened: BorrowedFd<'_>, table: &MountTable) -> Result<Led, Lost> {
    let number = opened.as_raw_fd();
    let told = read(Path::new(&format!("/proc/self/fdinfo/{number}"))).map_err(|_| Lost::Moved)?;
    let told = String::from_utf8_lossy(&told);
    let id = told.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    let real = std::fs::read_link(format!("/proc/self/fd/{number}")).map_err(|_| Lost::Moved)?;
    let real = real.into_os_string().into_vec();
    let mounted = id.and_then(|id| table.with_id(id)).ok_or(Lost::Moved)?;
    // What has no name any more is marked; where it is the root of a mount, the rest is still the way there.
    let named = real.strip_suffix(b" (deleted)").unwrap_or(&real);
    let real = if mounted.location(&real).is_some() { real.clone() } else { named.to_vec() };
    let location = mounted.location(&real).ok_or(Lost::Moved)?;
    let stat = rustix::fs::fstat(opened)?;
    Ok(Led { location, real, inode: (stat.st_dev, stat.st_ino) })
}

/// The mounts that all processes of a container share.
struct Same {
    namespace: PathBuf,
    root: (u64, u64),
}

impl Same {
    /// Holds all processes against it but the first one, `pid`, which it is of: whether that was done. Those of a container are
    /// known only where that one is among them.
    fn hold_all(&self, pids: Option<Vec<u32>>, pid: u32) -> Result<bool, Trouble> {
        let Some(pids) = pids.filter(|pids| pids.contains(&pid)) else { return Ok(false) };
        let others = pids.into_iter().filter(|other| *other != pid);
        let held = others.map(|other| self.hold(other)).collect::<Result<Vec<bool>, Trouble>>()?;
        Ok(held.into_iter().all(|held| held))
    }

    /// Holds a process against it: whether this user could. One that has ended by now is none. A program that an engine
    /// starts in a container has the engine's own namespace for a moment.
    fn hold(&self, pid: u32) -> Result<bool, Trouble> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let namespace = match std::fs::read_link(proc.join("ns/mnt")) {
            Ok(namespace) => namespace,
            Err(error) => return Ok(error.kind() != ErrorKind::PermissionDenied),
        };
        let root = match root_of(&proc) {
            Ok(Some(root)) => inode(root.as_fd())?,
            Ok(None) => return Ok(false),
            Err(_) => return Ok(true),
        };
        if namespace != self.namespace {
            return Err(moving("one of its processes has mounts of its own"));
        }
        if root != self.root {
            return Err(moving("one of its processes has a root of its own"));
        }
        Ok(true)
    }
}

/// The point at which the root of a container is mounted on the engine's machine. Newer stores name no directory, and mount it
/// under the container's name. A mount of the engine's own namespace is not among those of this one.
fn root_point<'a>(running: &'a Running, host: &'a MountTable) -> Option<&'a [u8]> {
    let merged = running.merged.as_deref().map(|path| path.as_os_str().as_bytes());
    merged.or_else(|| host.point_named(running.id.as_bytes())).filter(|path| host.has_mount_at(path))
}

fn foreign() -> Trouble {
    Trouble::Foreign("its root is not the one that the engine made for it".to_owned())
}

fn moving(why: &str) -> Trouble {
    Trouble::Moving(why.to_owned())
}

/// The trouble behind a process that could not be looked at.
fn lost(error: &std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::NotFound => moving("its process ended"),
        ErrorKind::PermissionDenied => Trouble::Unseen("this user may not see its processes".to_owned()),
        _ if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => moving("its process ended"),
        _ => Trouble::Unseen(crate::model::in_words(error)),
    }
}

/// When a process began, in clock ticks since the machine did: a number may be given to another one (proc(5), `stat`).
fn start_of(proc: &Path) -> Result<Vec<u8>, Trouble> {
    let unseen = |_| Trouble::Unseen("its processes are not to be seen on this machine".to_owned());
    let stat = read(&proc.join("stat")).map_err(unseen)?;
    start_in(&stat).map(<[u8]>::to_vec).ok_or_else(|| moving("its process ended"))
}

/// When a process began, by the text of its `stat`.
pub(in crate::host) fn start_in(stat: &[u8]) -> Option<&[u8]> {
    // The second field is the program's name, which may hold anything.
    let rest = stat.iter().rposition(|&b| b == b')').map(|end| &stat[end + 1..])?;
    rest.split(|&b| b == b' ').nth(20)
}

/// The control groups of a process, as `/proc/PID/cgroup` lists them: those that are named after the container.
fn groups_of(proc: &Path, running: &Running) -> Result<Vec<(String, String)>, Trouble> {
    groups_in(&read(&proc.join("cgroup")).map_err(|error| lost(&error))?, running)
}

/// The same by the text of its `cgroup`.
fn groups_in(text: &[u8], running: &Running) -> Result<Vec<(String, String)>, Trouble> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let its = |(_, path): &(&str, &str)| !running.id.is_empty() && path.contains(&running.id);
    let groups: Vec<(String, String)> =
        lines.filter(its).map(|(name, path)| (name.to_owned(), path.to_owned())).collect();
    if groups.is_empty() {
        return Err(Trouble::Unseen(
            "no control group of the process that the engine names has the container's ID: the process is one of another machine, \
             or the engine gives its containers no groups of their own (Podman without root: use --cgroup-manager systemd)"
                .to_owned(),
        ));
    }
    Ok(groups)
}

/// All processes of a container: those of its control group and of the groups below. `None` where they cannot be listed.
fn processes_of(groups: &[(String, String)], host: &MountTable) -> Option<Vec<u32>> {
    let dirs = groups.iter().filter_map(|(controllers, path)| {
        let mounted = host.group_directory(controllers)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(super::table::joined(
            mounted,
            path.trim_start_matches('/').as_bytes(),
        ))))
    });
    let mut open = vec![dirs.into_iter().find(|dir| dir.is_dir())?];
    let mut pids = Vec::new();
    while let Some(dir) = open.pop() {
        let listed = read(&dir.join("cgroup.procs")).and_then(|text| Ok((text, std::fs::read_dir(&dir)?)));
        let (text, entries) = match listed {
            Ok(listed) => listed,
            // A group that is gone has no processes.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        pids.extend(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse::<u32>().ok()));
        for entry in entries {
            let entry = entry.ok()?;
            if entry.file_type().ok()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Some(pids)
}

fn namespace_of(proc: &Path) -> Result<PathBuf, Trouble> {
    std::fs::read_link(proc.join("ns/mnt")).map_err(|error| lost(&error))
}

/// The root directory of a process; `None` where this user may not open it.
fn root_of(proc: &Path) -> Result<Option<OwnedFd>, Trouble> {
    match open_from(CWD, &proc.join("root"), ResolveFlags::empty()) {
        Ok(root) => Ok(Some(root)),
        Err(Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(_) => Err(moving("its process ended")),
    }
}

fn open_from(from: BorrowedFd<'_>, path: &Path, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if how.is_empty() {
        return rustix::fs::openat(from, path, flags, Mode::empty());
    }
    rustix::fs::openat2(from, path, flags, Mode::empty(), how)
}

fn inode(opened: BorrowedFd<'_>) -> Result<(u64, u64), Trouble> {
    let stat = rustix::fs::fstat(opened).map_err(|_| moving("its root is gone"))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Whether a root is a directory of a storage that gives each container a copy: `…/vfs/dir/` and 64 hex digits.
fn is_copy(path: &[u8]) -> bool {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    path.ends_with(&[b"/vfs/dir/", name].concat())
        && name.len() == 64
        && name.iter().all(u8::is_ascii_hexdigit)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL);
    std::fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
