//! Changes of single files of this machine, and programs that are run on it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use super::{
    AmendFault, Executed, Execution, FileChange, FilePlace, LARGEST_AMENDED, Ownership, PLAIN_MODE,
    PlaceState, tail,
};
use crate::atomic::{TEMPORARY, sweep};
use crate::control::child::{self, ChildError};
use crate::host::HostError;
use crate::model::{escaped, in_words};

/// The attributes that a file keeps when its content is replaced; `*` stands for all of a namespace.
const ATTRIBUTES: [&[u8]; 3] = [b"security.selinux", b"system.posix_acl_access", b"user.*"];
/// The largest list of attributes, and the largest attribute.
const ATTRIBUTE_ROOM: usize = 64 << 10;
/// How often another temporary name is tried.
const NAMES: u32 = 100;
/// How much a program may print.
const MOST_OUTPUT: u64 = 16 << 20;

fn system(errno: Errno) -> AmendFault {
    AmendFault::System(in_words(&errno.into()))
}

/// What stands at places.
pub(crate) fn held(places: &[FilePlace]) -> Vec<Result<PlaceState, AmendFault>> {
    places.iter().map(held_one).collect()
}

fn held_one(place: &FilePlace) -> Result<PlaceState, AmendFault> {
    let (dirs, name) = place.steps()?;
    match Held::open(place, &dirs, false) {
        Ok(held) => Ok(held.standing(name)?.0),
        Err(Descent::Gone) => Ok(PlaceState::Nothing),
        Err(Descent::Fault(fault)) => Err(fault),
    }
}

/// Changes files, one after the other; each of them is the old or the new one at any moment.
pub(crate) fn amend(changes: &[FileChange]) -> Vec<Result<(), AmendFault>> {
    changes.iter().map(change_one).collect()
}

fn change_one(change: &FileChange) -> Result<(), AmendFault> {
    let (dirs, name) = change.place.steps()?;
    let makes = change.after != PlaceState::Nothing;
    let held = match Held::open(&change.place, &dirs, makes) {
        Ok(held) => held,
        Err(Descent::Gone) => return if makes { Err(AmendFault::Moved) } else { Ok(()) },
        Err(Descent::Fault(fault)) => return Err(fault),
    };
    held.sweep();
    let (standing, before) = held.standing(name)?;
    if standing.state() != change.before {
        return Err(AmendFault::Moved);
    }
    match &change.after {
        PlaceState::Nothing => held.remove(name, before.as_ref(), change.may_empty, &dirs),
        PlaceState::Link(text) => held.put_link(name, text, before.as_ref()),
        PlaceState::File { bytes, ownership } => {
            let ownership = if change.keeps_owner { Some(*ownership) } else { None };
            let mode = ownership_mode(&change.after);
            held.put_file(name, bytes, (ownership, mode), before.as_ref())
        }
    }
}

fn ownership_mode(after: &PlaceState) -> u32 {
    if let PlaceState::File { ownership, .. } = after { ownership.mode & PLAIN_MODE } else { 0o644 }
}

/// Why a directory is not held.
enum Descent {
    /// One on the way is not there.
    Gone,
    Fault(AmendFault),
}

/// The directories from a base to a file, each held open.
struct Held {
    all: Vec<OwnedFd>,
}

impl Held {
    /// Opens the directories on the way; `makes` those that are not there.
    fn open(place: &FilePlace, dirs: &[&[u8]], makes: bool) -> Result<Self, Descent> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fault = |at: &[u8], errno| match errno {
            Errno::NOENT => Descent::Gone,
            Errno::LOOP | Errno::NOTDIR | Errno::MLINK => {
                Descent::Fault(AmendFault::NoDirectory(escaped(at)))
            }
            errno => Descent::Fault(system(errno)),
        };
        let base = rustix::fs::openat(CWD, &place.base, flags, Mode::empty());
        let base = base.map_err(|errno| fault(place.base.as_os_str().as_bytes(), errno));
        let mut all = vec![base?];
        for dir in dirs {
            let above = all.last().map(AsFd::as_fd).ok_or(Descent::Gone)?;
            let open = || rustix::fs::openat(above, *dir, flags | OFlags::NOFOLLOW, Mode::empty());
            let opened = match open() {
                Err(Errno::NOENT) if makes => {
                    make_dir(above, dir).map_err(|errno| Descent::Fault(system(errno)))?;
                    open()
                }
                opened => opened,
            };
            let opened = opened.map_err(|errno| fault(dir, errno))?;
            all.push(opened);
        }
        Ok(Self { all })
    }

    fn innermost(&self) -> BorrowedFd<'_> {
        // The base is always there.
        self.all[self.all.len() - 1].as_fd()
    }

    /// Clears away what a dead process left beside the file.
    fn sweep(&self) {
        sweep(&PathBuf::from(format!("/proc/self/fd/{}", self.innermost().as_raw_fd())));
    }

    /// What stands under a name, and what the system says of it.
    fn standing(&self, name: &[u8]) -> Result<(PlaceState, Option<Stat>), AmendFault> {
        let dir = self.innermost();
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok((PlaceState::Nothing, None)),
            stat => stat.map_err(system)?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(system)?;
                Ok((PlaceState::Link(text.into_bytes()), Some(stat)))
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(system)?;
                let now = rustix::fs::fstat(&file).map_err(system)?;
                if !is_same(&stat, &now) {
                    return Err(AmendFault::Moved);
                }
                Ok((read(file, &now)?, Some(now)))
            }
            _ => Err(AmendFault::NoFile),
        }
    }

    /// Whether a name still leads to what was looked at.
    fn is_still(&self, name: &[u8], before: Option<&Stat>) -> bool {
        match (rustix::fs::statat(self.innermost(), name, AtFlags::SYMLINK_NOFOLLOW), before) {
            (Ok(now), Some(before)) => is_same(&now, before) && is_untouched(&now, before),
            (Err(Errno::NOENT), None) => true,
            _ => false,
        }
    }

    fn remove(
        &self,
        name: &[u8],
        before: Option<&Stat>,
        may_empty: usize,
        dirs: &[&[u8]],
    ) -> Result<(), AmendFault> {
        if before.is_some() {
            if !self.is_still(name, before) {
                return Err(AmendFault::Moved);
            }
            rustix::fs::unlinkat(self.innermost(), name, AtFlags::empty()).map_err(system)?;
        }
        for (at, dir) in dirs.iter().enumerate().rev().take(may_empty) {
            if rustix::fs::unlinkat(&self.all[at], *dir, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        self.sync();
        Ok(())
    }

    fn put_link(&self, name: &[u8], text: &[u8], before: Option<&Stat>) -> Result<(), AmendFault> {
        let dir = self.innermost();
        let temporary = Self::free_name(&mut |free| rustix::fs::symlinkat(text, dir, free))?;
        self.put_in_place(&temporary, name, before)
    }

    fn put_file(
        &self,
        name: &[u8],
        bytes: &[u8],
        (ownership, mode): (Option<Ownership>, u32),
        before: Option<&Stat>,
    ) -> Result<(), AmendFault> {
        let (mut file, named) = self.draft()?;
        let remove_again = |fault| {
            if let Some(named) = &named {
                let _ = rustix::fs::unlinkat(self.innermost(), named, AtFlags::empty());
            }
            fault
        };
        self.fill(&mut file, bytes, (ownership, mode), (name, before)).map_err(remove_again)?;
        if let Some(named) = &named {
            return self.put_in_place(named, name, before);
        }
        let dir = self.innermost();
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = |free: &[u8]| rustix::fs::linkat(CWD, &own, dir, free, AtFlags::SYMLINK_FOLLOW);
        if before.is_none() {
            // A name that somebody took meanwhile is not taken from them.
            link(name)
                .map_err(|errno| if errno == Errno::EXIST { AmendFault::Moved } else { system(errno) })?;
            self.sync();
            return Ok(());
        }
        let temporary = Self::free_name(&mut |free| link(free))?;
        self.put_in_place(&temporary, name, before)
    }

    /// A new file without a name; where the file system has none such, with a temporary one.
    fn draft(&self) -> Result<(File, Option<Vec<u8>>), AmendFault> {
        let (dir, mode) = (self.innermost(), Mode::from_raw_mode(0o600));
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => return Ok((file.into(), None)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return Err(system(errno)),
        }
        let mut file = None;
        let named = Self::free_name(&mut |free| {
            file = Some(rustix::fs::openat(dir, free, flags | OFlags::CREATE | OFlags::EXCL, mode)?);
            Ok(())
        })?;
        let file = file.ok_or(AmendFault::Moved)?;
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok((file.into(), Some(named)))
    }

    /// Writes content, owner, mode and attributes, and brings them to the disk.
    fn fill(
        &self,
        file: &mut File,
        bytes: &[u8],
        (ownership, mode): (Option<Ownership>, u32),
        (name, before): (&[u8], Option<&Stat>),
    ) -> Result<(), AmendFault> {
        file.write_all(bytes).map_err(|error| AmendFault::System(in_words(&error)))?;
        let own = rustix::fs::fstat(&*file).map_err(system)?;
        match ownership {
            Some(it) if (it.uid, it.gid) != (own.st_uid, own.st_gid) => {
                let (uid, gid) = (Uid::from_raw(it.uid), Gid::from_raw(it.gid));
                rustix::fs::fchown(&*file, Some(uid), Some(gid)).map_err(|errno| {
                    let why = in_words(&errno.into());
                    AmendFault::System(format!(
                        "its owner (uid {}, gid {}) cannot be kept: {why}",
                        it.uid, it.gid
                    ))
                })?;
            }
            Some(_) => {}
            // Whose the directory is, theirs are its files; where that may not be given, it is this user's.
            None => drop(take_owner(file.as_fd(), self.innermost())),
        }
        // The mode comes last: an access list that is copied brings the mode of the old file with it.
        if before.is_some_and(|before| FileType::from_raw_mode(before.st_mode).is_file()) {
            self.copy_attributes(name, file.as_fd());
        }
        rustix::fs::fchmod(&*file, Mode::from_raw_mode(mode & PLAIN_MODE)).map_err(system)?;
        file.sync_all().map_err(|error| AmendFault::System(in_words(&error)))
    }

    /// Copies what a file has besides owner and mode, as far as that may be.
    fn copy_attributes(&self, name: &[u8], to: BorrowedFd<'_>) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(from) = rustix::fs::openat(self.innermost(), name, flags, Mode::empty()) else { return };
        let mut list = vec![0_u8; ATTRIBUTE_ROOM];
        let Ok(length) = rustix::fs::flistxattr(&from, &mut list[..]) else { return };
        let is_kept = |name: &[u8]| {
            ATTRIBUTES.iter().any(|kept| match kept.strip_suffix(b"*") {
                Some(start) => name.starts_with(start),
                None => *kept == name,
            })
        };
        for name in list[..length].split(|&b| b == 0).filter(|name| is_kept(name)) {
            let mut value = vec![0_u8; ATTRIBUTE_ROOM];
            if let Ok(length) = rustix::fs::fgetxattr(&from, name, &mut value[..]) {
                let _ = rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty());
            }
        }
    }

    /// Makes something under a temporary name that is free.
    fn free_name(put: &mut dyn FnMut(&[u8]) -> Result<(), Errno>) -> Result<Vec<u8>, AmendFault> {
        for _ in 0..NAMES {
            let name = temporary_name();
            match put(&name) {
                Err(Errno::EXIST) => {}
                made => return made.map(|()| name).map_err(system),
            }
        }
        Err(AmendFault::System("no temporary name is free".to_owned()))
    }

    /// Renames a temporary to its place, if that still is what was looked at.
    fn put_in_place(&self, temporary: &[u8], name: &[u8], before: Option<&Stat>) -> Result<(), AmendFault> {
        let dir = self.innermost();
        let renamed = if self.is_still(name, before) {
            rustix::fs::renameat(dir, temporary, dir, name).map_err(system)
        } else {
            Err(AmendFault::Moved)
        };
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(dir, temporary, AtFlags::empty());
        }
        self.sync();
        renamed
    }

    /// Brings names to the disk.
    fn sync(&self) {
        let _ = rustix::fs::fsync(self.innermost());
    }
}

/// A name beside a file, of those that are cleared away once their writer is dead.
fn temporary_name() -> Vec<u8> {
    let random = uuid::Uuid::now_v7().simple().to_string();
    // The end of it is random, its beginning the time.
    [TEMPORARY.as_bytes(), &random.as_bytes()[random.len() - 6..]].concat()
}

fn make_dir(above: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(above, name, flags, Mode::empty())?;
    let _ = take_owner(dir.as_fd(), above);
    let _ = rustix::fs::fsync(above);
    Ok(())
}

/// Gives a new file or directory the owner of the directory around it.
fn take_owner(of: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> Result<(), Errno> {
    let (own, around) = (rustix::fs::fstat(of)?, rustix::fs::fstat(dir)?);
    if (own.st_uid, own.st_gid) == (around.st_uid, around.st_gid) {
        return Ok(());
    }
    rustix::fs::fchown(of, Some(Uid::from_raw(around.st_uid)), Some(Gid::from_raw(around.st_gid)))
}

/// Whether two looks saw the same inode.
fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino, one.st_mode) == (other.st_dev, other.st_ino, other.st_mode)
}

/// Whether nothing was written to an inode between two looks.
fn is_untouched(one: &Stat, other: &Stat) -> bool {
    (one.st_size, one.st_mtime, one.st_mtime_nsec, one.st_ctime, one.st_ctime_nsec)
        == (other.st_size, other.st_mtime, other.st_mtime_nsec, other.st_ctime, other.st_ctime_nsec)
}

/// The whole of a file that has one name.
fn read(file: OwnedFd, stat: &Stat) -> Result<PlaceState, AmendFault> {
    if stat.st_nlink > 1 {
        return Err(AmendFault::ManyNames(stat.st_nlink));
    }
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    if size > LARGEST_AMENDED {
        return Err(AmendFault::TooLarge(size));
    }
    let mut bytes = Vec::new();
    let read = File::from(file).take(LARGEST_AMENDED + 1).read_to_end(&mut bytes);
    read.map_err(|error| AmendFault::System(in_words(&error)))?;
    if bytes.len() as u64 != size {
        return Err(AmendFault::Moved);
    }
    let ownership = Ownership { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid };
    Ok(PlaceState::File { bytes: bytes.into(), ownership })
}

/// Runs a program to its end, without a terminal, in a process group of its own, which is killed as soon as it `is_unwanted`.
///
/// # Errors
/// When it cannot be started, does not end in time, prints too much, or was not wanted any more.
pub(crate) fn run(execution: &Execution<'_>, is_unwanted: &dyn Fn() -> bool) -> Result<Executed, HostError> {
    let Some((program, arguments)) = execution.argv.split_first() else {
        return Err(HostError::Unreachable("there is no program to run".to_owned()));
    };
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(arguments.iter().map(|it| OsStr::from_bytes(it))).env_clear();
    command.envs(execution.variables.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = execution.dir {
        command.current_dir(dir);
    }
    let printed =
        child::printed_by_group_while_wanted(&mut command, execution.time, MOST_OUTPUT, is_unwanted);
    let printed = printed.map_err(|error| {
        let program = escaped(program);
        HostError::Unreachable(match error {
            error if error.is_not_found() => format!("{program}: there is no such program"),
            ChildError::Late(time) => {
                format!("{program}: no end within {} s, and it was ended", time.as_secs())
            }
            error => format!("{program}: {error}"),
        })
    })?;
    Ok(Executed { code: printed.status.code(), said: tail([printed.stdout, printed.stderr].concat()) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;
    use crate::host::amend::PlaceDigest;
    use crate::model::Digest;

    fn place(base: &Path, path: &str) -> FilePlace {
        FilePlace { base: base.to_owned(), path: path.into() }
    }

    fn change(base: &Path, path: &str, before: PlaceDigest, text: &str) -> FileChange {
        let ownership = Ownership { mode: 0o4644, uid: 0, gid: 0 };
        let after = PlaceState::File { bytes: text.as_bytes().into(), ownership };
        FileChange { place: place(base, path), before, after, keeps_owner: false, may_empty: 0 }
    }

    fn file(text: &str) -> PlaceDigest {
        PlaceDigest::File(Digest::of(text.as_bytes()))
    }

    #[test]
    fn a_file_is_replaced_by_a_new_one_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let path = dir.path().join("a/f");
        std::fs::write(&path, "old").unwrap();
        let before = path.metadata().unwrap().ino();
        std::fs::write(dir.path().join("a/.driftlock-tmp-aaaaaa"), "dead").unwrap();
        assert_eq!(amend(&[change(dir.path(), "a/f", file("old"), "new")]), [Ok(())]);
        let meta = path.metadata().unwrap();
        assert_ne!(meta.ino(), before);
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), meta.mode() & 0o7777), ("new", 0o644));
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
        assert_eq!(amend(&[change(dir.path(), "b/c/f", PlaceDigest::Nothing, "x")]), [Ok(())]);
        assert_eq!(std::fs::read_to_string(dir.path().join("b/c/f")).unwrap(), "x");
        let gone = FileChange {
            after: PlaceState::Nothing,
            may_empty: 2,
            ..change(dir.path(), "b/c/f", file("x"), "")
        };
        assert_eq!(amend(&[gone]), [Ok(())]);
        assert!(!dir.path().join("b").exists());
    }

    #[test]
    fn what_moved_and_what_is_no_file_of_its_own_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("f"), "theirs").unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        symlink("real", dir.path().join("file-link")).unwrap();
        std::fs::write(dir.path().join("real"), "old").unwrap();
        std::fs::write(dir.path().join("twice"), "old").unwrap();
        std::fs::hard_link(dir.path().join("twice"), dir.path().join("again")).unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let one = |path: &str, before| amend(&[change(dir.path(), path, before, "new")]).remove(0);
        assert_eq!(one("link/f", file("theirs")), Err(AmendFault::NoDirectory("link".to_owned())));
        assert_eq!(one("file-link", file("old")), Err(AmendFault::Moved));
        assert_eq!(one("twice", file("old")), Err(AmendFault::ManyNames(2)));
        assert_eq!(one("real", file("other")), Err(AmendFault::Moved));
        assert_eq!(one("none", file("other")), Err(AmendFault::Moved));
        assert_eq!(one("real", PlaceDigest::Nothing), Err(AmendFault::Moved));
        assert_eq!(one("d", PlaceDigest::Nothing), Err(AmendFault::NoFile));
        for path in ["../x", "a/../x", "/x", "", "a//x", "."] {
            assert_eq!(one(path, PlaceDigest::Nothing), Err(AmendFault::BadPath), "{path}");
        }
        assert_eq!(std::fs::read_to_string(outside.path().join("f")).unwrap(), "theirs");
        assert_eq!(std::fs::read_to_string(dir.path().join("real")).unwrap(), "old");
        // A link is replaced itself, never what it leads to.
        assert_eq!(one("file-link", PlaceDigest::Link(Digest::of(b"real"))), Ok(()));
        assert!(!dir.path().join("file-link").symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(dir.path().join("real")).unwrap(), "old");
    }

    #[test]
    fn owner_mode_and_attributes_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let told = rustix::fs::setxattr(&path, "user.mark", b"1", XattrFlags::empty());
        let PlaceState::File { ownership, .. } = held(&[place(dir.path(), "f")]).remove(0).unwrap() else {
            panic!("no file")
        };
        let after = PlaceState::File { bytes: b"new"[..].into(), ownership };
        let keeping = FileChange { after, keeps_owner: true, ..change(dir.path(), "f", file("old"), "") };
        assert_eq!(amend(&[keeping]), [Ok(())]);
        let meta = path.metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o640, ownership.uid));
        if told.is_ok() {
            let mut value = [0; 4];
            assert_eq!(rustix::fs::getxattr(&path, "user.mark", &mut value[..]).unwrap(), 1);
        }
    }

    /// The access list `u::rw-,u:99:rwx,g::r--,m::rwx,o::---` as the kernel has it.
    fn access_list() -> Vec<u8> {
        let entry = |tag: u16, rights: u16, id: u32| {
            [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let none = u32::MAX;
        let all = [(1, 6, none), (2, 7, 99), (4, 4, none), (0x10, 7, none), (0x20, 0, none)];
        let entries = all.into_iter().flat_map(|(tag, rights, id)| entry(tag, rights, id));
        2_u32.to_le_bytes().into_iter().chain(entries).collect()
    }

    #[test]
    fn an_access_list_stays_and_brings_no_mode_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "old").unwrap();
        let name = "system.posix_acl_access";
        if rustix::fs::setxattr(&path, name, &access_list(), XattrFlags::empty()).is_err() {
            println!("SKIP: no access lists on this file system");
            return;
        }
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o670);
        let PlaceState::File { ownership, .. } = held(&[place(dir.path(), "f")]).remove(0).unwrap() else {
            panic!("no file")
        };
        let after =
            PlaceState::File { bytes: b"new"[..].into(), ownership: Ownership { mode: 0o640, ..ownership } };
        let keeping = FileChange { after, keeps_owner: true, ..change(dir.path(), "f", file("old"), "") };
        assert_eq!(amend(&[keeping]), [Ok(())]);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
        let mut value = [0; 256];
        let length = rustix::fs::getxattr(&path, name, &mut value[..]).unwrap();
        let kept = &value[..length];
        let has_user = access_list()[12..20] == kept[12..20];
        assert!(length == access_list().len() && has_user, "{kept:?}");
    }
}
