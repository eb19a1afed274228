//! Where a look is kept: a file that nobody else may read or write, and which disks it can tell of.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::FullScanReason;
use crate::atomic::replace_private_file;
use crate::host::read::kind_of;
use crate::model::in_words;

/// The file systems of disks and of memory that set the change time with every change of content, by the number that
/// `statfs(2)` gives, and by the names that find has for them. Others are read each time: what is made by the kernel when it is read
/// (`/proc`, `/sys`), what another machine may change (NFS, SMB, FUSE), FAT, which keeps no change time, and images that are made as a
/// whole (EROFS, `SquashFS`), whose times say nothing of when what is mounted there was exchanged for another.
const SURE: [(u64, &[&[u8]]); 10] = [
    (0xef53, &[b"ext2", b"ext3", b"ext4"]),
    (0x5846_5342, &[b"xfs"]),
    (0x9123_683e, &[b"btrfs"]),
    (0xf2f5_2010, &[b"f2fs"]),
    (0xca45_1a4e, &[b"bcachefs"]),
    (0x2fc1_2fc1, &[b"zfs"]),
    (0x3153_464a, &[b"jfs"]),
    (0x0102_1994, &[b"tmpfs"]),
    (0x8584_58f6, &[b"ramfs"]),
    (0x794c_7630, &[b"overlay"]),
];

/// Whether a file system of that name is one of these.
pub(super) fn is_sure(name: &[u8]) -> bool {
    SURE.iter().any(|(_, names)| names.contains(&name))
}

/// Reads the file, if it is one of this user's alone.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FullScanReason> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => FullScanReason::Nothing,
        Errno::LOOP | Errno::NXIO => FullScanReason::Exposed,
        errno => FullScanReason::Unreadable(in_words(&errno.into())),
    })?;
    let unreadable = |error: &io::Error| FullScanReason::Unreadable(in_words(error));
    let stat = rustix::fs::fstat(&opened).map_err(|errno| unreadable(&errno.into()))?;
    let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
    let is_open = Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
    if !is_own || is_open || kind_of(&stat) != rustix::fs::FileType::RegularFile {
        return Err(FullScanReason::Exposed);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0));
    File::from(opened).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

/// Replaces the file as a whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    replace_private_file(path, bytes)
}

/// Whether the file at `path`, relative to `dir`, lies on a disk that sets a time with every change. Nothing is opened to
/// be read.
pub(super) fn keeps_times(dir: impl AsFd, path: &[u8], device: u64) -> bool {
    let Ok(found) = rustix::fs::openat(dir, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let is_it = rustix::fs::statat(&found, c"", AtFlags::EMPTY_PATH).is_ok_and(|stat| stat.st_dev == device);
    let kind = rustix::fs::fstatfs(&found).map(|system| u64::try_from(system.f_type).unwrap_or(0));
    is_it && kind.is_ok_and(|kind| SURE.iter().any(|(number, _)| *number == kind & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_file_of_this_user_alone_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runtime/.remembered");
        assert_eq!(read(&path), Err(FullScanReason::Nothing));
        write(&path, b"x").unwrap();
        assert_eq!(read(&path).unwrap(), b"x");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path), Err(FullScanReason::Exposed), "{mode:o}");
        }
        write(&path, b"y").unwrap();
        assert_eq!(read(&path).unwrap(), b"y");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link), Err(FullScanReason::Exposed));
        assert_eq!(read(dir.path()), Err(FullScanReason::Exposed));
    }

    #[test]
    fn what_the_kernel_makes_up_is_on_no_disk() {
        let keeps = |path: &str| {
            let device = rustix::fs::stat(path).unwrap().st_dev;
            keeps_times(CWD, path.as_bytes(), device)
        };
        assert!(!keeps("/proc/self/status") && !keeps("/sys/kernel") && keeps("/dev/shm"));
        assert!(!keeps_times(CWD, b"/dev/shm", 0) && !keeps_times(CWD, b"/nowhere", 0));
    }
}
