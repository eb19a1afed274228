"""A process that is ended from outside, at any moment of its run."""

import signal
import statistics
import subprocess
import time

from project import Lost, Trial, run, said, spawn

COMMANDS = {
    "export --accept": ("export", "--accept"),
    "accept": ("accept", "--yes"),
    "check": ("check",),
    "prune": ("prune",),
}
# How each of them ends by itself, on what is as its baseline and on what has drifted.
CODES = {"check": (0, 2)}


def length(kit, args):
    """How long a command takes undisturbed."""
    took = []
    for number in range(5):
        trial = Trial(kit, None, is_clean=number % 2 == 0)
        start = time.monotonic()
        run(trial.root, *args)
        took.append(time.monotonic() - start)
        trial.done()
    return statistics.median(took)


class Signal:
    """One signal during one command."""

    def __init__(self, kit, name, command):
        self.kit, self.signal, self.args = kit, getattr(signal, name), COMMANDS[command]
        self.command = command
        self.length = length(kit, self.args)

    def once(self, chance):
        trial = Trial(self.kit, chance)
        process, out = spawn(trial.root, *self.args)
        time.sleep(chance.uniform(0, self.length * 1.1))
        process.send_signal(self.signal)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        state = trial.verify(self.args, code, said(out))
        if state == "new" and not trial.is_clean and code in (130, 143) and b"audit/locks" not in said(out):
            raise Lost("the lock files were replaced and nobody was told")
        whole = CODES.get(self.command, (0, 0))[0 if trial.is_clean else 1]
        return trial, state, code != whole


def faults():
    return {
        f"{name} during {command}": lambda kit, name=name, command=command: Signal(kit, name, command)
        for name in ("SIGKILL", "SIGTERM", "SIGINT")
        for command in COMMANDS
    }
