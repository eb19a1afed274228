"""Running commands: how long they take, how much memory, on what machine."""

import json
import os
import pathlib
import platform
import subprocess
import tempfile
from dataclasses import dataclass


@dataclass
class Times:
    """Of several runs, in milliseconds."""

    median: float
    best: float


@dataclass
class Bench:
    """The programs, the place for trees, and how thorough a run is."""

    driftlock: str
    floor: str
    rate: str
    tree: str
    dir: pathlib.Path
    scripts: pathlib.Path
    short: bool

    @property
    def cores(self):
        return len(os.sched_getaffinity(0))

    def runs(self, wanted):
        """So many runs as wanted, or few where only working matters."""
        return 2 if self.short else wanted

    def time(self, commands, runs, shell=True, prepare=None, warmup=1):
        """Times by name, of commands by name."""
        with tempfile.NamedTemporaryFile(dir=self.dir, suffix=".json") as out:
            line = ["hyperfine", "--style", "none", "--export-json", out.name, f"--warmup={warmup}"]
            line += [f"--runs={self.runs(runs)}", "--shell=sh" if shell else "--shell=none"]
            if prepare:
                line += ["--prepare", prepare]
            for name, command in commands.items():
                line += ["--command-name", name, command]
            done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"hyperfine: {done.stderr.strip()}")
            results = json.load(out)["results"]
        return {each["command"]: Times(each["median"] * 1e3, each["min"] * 1e3) for each in results}

    def check(self, project, *more):
        """The command of a check."""
        return " ".join([self.driftlock, f"--root={project}", "check", "--quiet", *more])

    def peak(self, command):
        """Peak memory of a command in MB (2^20)."""
        with tempfile.NamedTemporaryFile(dir=self.dir, mode="r") as out:
            line = ["/usr/bin/time", "--format=%M", f"--output={out.name}", *command.split()]
            subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
            return int(out.read()) / 1024

    def floor_of(self, directory, *options):
        """The command that reads a directory and does nothing else."""
        return " ".join([self.floor, *options, str(directory), str(self.cores)])


def machine(directory):
    """What was measured on, in words."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    said = lambda *line: subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "file system": said("findmnt", "-no", "FSTYPE", "-T", str(directory)) or "unknown",
        "compiler": said("rustc", "--version") or "unknown",
    }

