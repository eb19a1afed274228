"""Disks that run full, turn read-only, or give errors in the middle. What is mounted is in a namespace of its own."""

import contextlib
import ctypes
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time

from project import Trial, run, said, spawn
from signals import CODES, COMMANDS, length

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MNT_DETACH = 1, 32, 2
FAR = 1 << 40


def mount(target, options, flags=0):
    """Mounts a file system in memory, or changes one; whether it worked."""
    return LIBC.mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, options.encode()) == 0


def unmount(target):
    LIBC.umount2(os.fsencode(target), MNT_DETACH)


class Mounted(Trial):
    """A project on a disk of its own."""

    def done(self):
        unmount(self.root)
        os.rmdir(self.root)

    def pages(self):
        stat = os.statvfs(self.root)
        return stat.f_blocks - stat.f_bfree, stat.f_files - stat.f_ffree


def in_memory(kit, chance, is_clean=None):
    root = tempfile.mkdtemp(dir=kit.scratch)
    assert mount(root, "size=64m,nr_inodes=10000,mode=755"), os.strerror(ctypes.get_errno())
    return Mounted(kit, chance, root, is_clean)


class Full:
    """A disk with so much room left, in blocks or in files."""

    def __init__(self, kit, command):
        self.kit, self.command, self.args = kit, command, COMMANDS[command]
        trial = in_memory(kit, None, False)
        before = trial.pages()
        run(trial.root, *self.args)
        self.needs = [after - was for after, was in zip(trial.pages(), before)]
        trial.done()

    def once(self, chance):
        trial = in_memory(self.kit, chance)
        blocks, files = trial.pages()
        # What is written beside the old is more than what stays.
        if chance.random() < 0.6:
            room = chance.randint(0, max(self.needs[0], 4) * 2)
            options = f"size={(blocks + room) * 4096}"
        else:
            room = chance.randint(0, max(self.needs[1], 2) * 2)
            options = f"nr_inodes={files + room}"
        assert mount(trial.root, options, MS_REMOUNT), os.strerror(ctypes.get_errno())
        ran = run(trial.root, *self.args)
        state = trial.whole_locks()
        trial.whole_reports(ran.returncode, self.args, ran.stdout)
        assert mount(trial.root, "size=64m,nr_inodes=10000", MS_REMOUNT)
        trial.verify(self.args, ran.returncode, ran.stdout)
        return trial, state, is_other(self.command, trial, ran.returncode, ran.stdout + ran.stderr)


def is_other(command, trial, code, output):
    """Whether a run did not go as one that nothing happens to."""
    whole = CODES.get(command, (0, 0))[0 if trial.is_clean else 1]
    troubles = (b"No space left", b"Read-only file system", b"Input/output error")
    return code != whole or any(trouble in output for trouble in troubles)


class Remounted:
    """A disk that somebody makes read-only; the system lets nobody do so while a file is open for writing."""

    def __init__(self, kit, command):
        self.kit, self.command, self.args = kit, command, COMMANDS[command]
        self.length = length(kit, self.args)

    def once(self, chance):
        trial = in_memory(self.kit, chance)
        process, out = spawn(trial.root, *self.args)
        time.sleep(chance.uniform(0, self.length))
        # The system refuses while a file is open for writing.
        while not mount(trial.root, "", MS_REMOUNT | MS_RDONLY) and process.poll() is None:
            pass
        code = process.wait(60)
        state = trial.whole_locks()
        assert mount(trial.root, "", MS_REMOUNT)
        trial.verify(self.args, code, said(out))
        return trial, state, is_other(self.command, trial, code, said(out))


class Errors:
    """A disk that gives an error at one call, or at every one from then on."""

    writing = 0

    def __init__(self, kit, command):
        self.kit, self.command, self.args = kit, command, COMMANDS[command]
        self.control = tempfile.NamedTemporaryFile(dir=kit.scratch)
        self.control.write(bytes(24))
        self.control.flush()
        self.shared = mmap.mmap(self.control.fileno(), 24)
        trial = self.mounted(None)
        self.arm(FAR, False)
        self.run(trial)
        self.calls = FAR - struct.unpack("qqq", self.shared[:])[0]
        self.arm(0, False)
        self.unmount(trial)

    def arm(self, calls, again):
        """The call of this number fails, and with `again` all that follow."""
        self.shared[:] = struct.pack("qqq", calls, again, self.writing)

    def run(self, trial):
        return run("/", *self.args, "--root", trial.root)

    def mounted(self, chance):
        self.arm(0, False)
        trial = Trial(self.kit, chance, is_clean=None if chance else False)
        trial.back, trial.root = trial.root, tempfile.mkdtemp(dir=self.kit.scratch)
        program = os.path.join(os.path.dirname(__file__), "failing.py")
        trial.server = subprocess.Popen([sys.executable, "-B", program, trial.back, trial.root, self.control.name])
        for _ in range(2000):
            if os.path.ismount(trial.root):
                return trial
            time.sleep(0.005)
        raise AssertionError("it is not mounted; is python3-fusepy installed?")

    @staticmethod
    def unmount(trial):
        unmount(trial.root)
        with contextlib.suppress(subprocess.TimeoutExpired):
            trial.server.wait(10)
        trial.server.kill()
        trial.server.wait()
        os.rmdir(trial.root)
        trial.root = trial.back
        trial.done()

    def again(self, chance):
        return chance.random() < 0.5

    def once(self, chance):
        trial = self.mounted(chance)
        try:
            self.arm(chance.randint(1, self.calls), self.again(chance))
            ran = self.run(trial)
            self.arm(0, False)
            state = trial.whole_locks()
            trial.verify(self.args, ran.returncode, ran.stdout)
        finally:
            self.arm(0, False)
            self.unmount(trial)
        trial.done = lambda: None
        return trial, state, is_other(self.command, trial, ran.returncode, ran.stdout + ran.stderr)


class ReadOnly(Errors):
    """A disk that turns read-only whatever is open, as one does that its system no longer believes in."""

    writing = 1

    def again(self, chance):
        return True


def faults():
    kinds = {"a full disk": Full, "a disk that turns read-only": ReadOnly, "a disk with I/O errors": Errors}
    found = {
        f"{name} during {command}": lambda kit, kind=kind, command=command: kind(kit, command)
        for name, kind in kinds.items()
        for command in COMMANDS
    }
    return found | {"a disk remounted read-only during check": lambda kit: Remounted(kit, "check")}
