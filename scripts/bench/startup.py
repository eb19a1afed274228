"""From the start of the program to its end where there is nothing to do, and to the first file it opens."""

import ctypes
import os
import select
import statistics
import time

import table
import trees
from measure import Times

# Of <sys/inotify.h>.
IN_OPEN = 0x20
IN_CLOEXEC = 0o2000000


def rows(bench):
    project = bench.dir / "one"
    module = project / "addons" / "module"
    module.mkdir(parents=True, exist_ok=True)
    (module / "__manifest__.py").write_text("{}\n")
    trees.baseline(bench, project, ["addons"])
    commands = {f"driftlock {flag}": f"{bench.driftlock} {flag}" for flag in ("--version", "--help")}
    commands["driftlock check of one file"] = bench.check(project)
    times = bench.time(commands, 40, shell=False, warmup=3)
    for name, command in commands.items():
        row = table.timed("start-up", name, times[name], memory=bench.peak(command))
        yield table.judged(row, times[name].median, 10, " ms") if "--" in name else row
    first = first_open(module / "__manifest__.py", bench.check(project).split(), bench.runs(40))
    row = table.timed("start-up", "start to the first open of a file of a module", first)
    yield table.judged(row, first.median, 5, " ms")
    trees.forget_runs(project)


def first_open(path, command, runs):
    """How long after its start a command opens a file: the kernel tells, so the command is not slowed down."""
    took = []
    for _ in range(runs):
        watch = watch_opens(path)
        start = time.perf_counter()
        child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        ready, _, _ = select.select([watch], [], [], 10)
        took.append((time.perf_counter() - start) * 1e3)
        os.close(watch)
        _, status = os.waitpid(child, 0)
        if not ready or status:
            raise RuntimeError(f"{' '.join(command)} did not open {path}, or failed: {status}")
    return Times(statistics.median(took), min(took))


def watch_opens(path):
    """A descriptor that can be read once the file is opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(IN_CLOEXEC)
    if watch < 0 or libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN) < 0:
        raise OSError(ctypes.get_errno(), f"inotify: {path}")
    return watch
