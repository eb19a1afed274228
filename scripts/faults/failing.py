"""A file system that passes all calls on to a directory, until one shall fail: failing.py DIRECTORY MOUNT CONTROL

The file CONTROL holds three numbers: which call gives an I/O error (0: none does), whether all that follow do so, too,
and whether only calls that write count, which then say that the disk is read-only."""

import errno
import mmap
import os
import struct
import sys

from fusepy import FUSE, FuseOSError, Operations


WRITING = "rename link symlink unlink rmdir mkdir chmod chown utimens create write truncate".split()


def is_writing(op, args):
    """Whether a call changes anything."""
    return op in WRITING or op == "open" and args[1] & os.O_ACCMODE != os.O_RDONLY


class Failing(Operations):
    """Passes calls on."""

    def __init__(self, root, control):
        self.root = root
        with open(control, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 24)

    def __call__(self, op, *args):
        left, again, writing = struct.unpack("qqq", self.shared[:])
        if left and (is_writing(op, args) if writing else op not in ("init", "destroy", "release")):
            self.shared[:] = struct.pack("qqq", 1 if left == 1 and again else left - 1, again, writing)
            if left == 1:
                raise FuseOSError(errno.EROFS if writing else errno.EIO)
        if not hasattr(self, op):
            raise FuseOSError(errno.ENOSYS)
        args = (self.root + args[0], *args[1:]) if args and isinstance(args[0], str) else args
        return getattr(self, op)(*args)

    def getattr(self, path, fh=None):
        found = os.lstat(path) if fh is None else os.fstat(fh)
        keys = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid", "st_ino")
        return {key: getattr(found, key) for key in keys}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(path)]

    def readlink(self, path):
        return os.readlink(path)

    def statfs(self, path):
        found = os.statvfs(path)
        keys = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize", "f_namemax")
        return {key: getattr(found, key) for key in keys}

    def rename(self, old, new):
        os.rename(old, self.root + new)

    def link(self, target, source):
        os.link(self.root + source, target)

    def symlink(self, target, source):
        os.symlink(source, target)

    def unlink(self, path):
        os.unlink(path)

    def rmdir(self, path):
        os.rmdir(path)

    def mkdir(self, path, mode):
        os.mkdir(path, mode)

    def chmod(self, path, mode):
        os.chmod(path, mode)

    def chown(self, path, uid, gid):
        os.chown(path, uid, gid)

    def utimens(self, path, times=None):
        os.utime(path, times)

    def open(self, path, flags):
        return os.open(path, flags)

    def create(self, path, mode, fi=None):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(path if fh is None else fh, length)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def fsyncdir(self, path, datasync, fh):
        return 0

    def release(self, path, fh):
        os.close(fh)


FUSE(
    Failing(os.path.realpath(sys.argv[1]), sys.argv[3]),
    sys.argv[2],
    foreground=True,
    nothreads=True,
    attr_timeout=0,
    entry_timeout=0,
    negative_timeout=0,
    allow_other=True,
)
