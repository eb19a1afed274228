"""A tree that is edited while it is read: lock files still tell of contents that were there."""

import hashlib
import os
import threading
import time

from project import Trial, files_of, run
from signals import CODES

STATES = ("old", "new", "third", "fourth")


def digests(name):
    """The digests of a file in all states that it ever has."""
    texts = [files_of(state)[name] for state in STATES] + [""]
    # One that is written in place may be read when only its beginning is there.
    texts += [text[: len(text) // 2] for text in texts]
    return {hashlib.sha256(text.encode()).hexdigest() for text in texts}


KNOWN = {name: digests(name) for name in files_of("new")}


def is_of_known_contents(locks):
    """Whether lock files are whole, and every file in them has a content that it once had."""
    lines = []
    for name, text in locks.items():
        if text and not text.endswith(b"\n"):
            return False
        if "modules" not in name:
            lines += text.decode().splitlines()
    for line in lines:
        digest, _, path = line.partition("  ")
        if path in KNOWN and digest not in KNOWN[path]:
            return False
    # What was taken away just then is missing, and with a manifest all of its module.
    told = {line.partition("  ")[2] for line in lines}
    return sum(path in told for path in KNOWN) >= len(KNOWN) // 2


class Edited:
    """An editor that works in place, by rename, or by taking a file away and making it again."""

    def __init__(self, kit, args):
        self.kit, self.args = kit, args

    def edit(self, trial, chance, over):
        """Writes contents that the baseline does not have, until it is over."""
        names, states = list(KNOWN), [state for state in STATES if trial.is_clean or state != "old"]
        while not over.is_set():
            name = chance.choice(names)
            path, text = trial.path(name), files_of(chance.choice(states))[name]
            way = chance.randrange(3)
            if way == 2:
                os.unlink(path)
            place = path + ".swp" if way == 1 else path
            with open(place, "w", encoding="utf-8") as file:
                file.write(text[: len(text) // 2])
                file.flush()
                file.write(text[len(text) // 2 :])
            if way == 1:
                os.rename(place, path)
            time.sleep(0.0002)

    def once(self, chance):
        trial = Trial(self.kit, chance)
        over = threading.Event()
        editor = threading.Thread(target=self.edit, args=(trial, chance, over))
        editor.start()
        ran = run(trial.root, *self.args)
        over.set()
        editor.join()
        may_hold = is_of_known_contents if self.args[0] == "export" else None
        state = trial.whole_locks(may_hold)
        was_clean, trial.is_clean = trial.is_clean, trial.is_clean or may_hold is not None
        trial.whole_reports(ran.returncode, self.args, ran.stdout)
        # What was there when all is over decides what the next runs say.
        for name, text in files_of("new").items():
            with open(trial.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        trial.next_runs(may_hold)
        return trial, state, ran.returncode != CODES.get(self.args[0], (0, 0))[0 if was_clean else 1]


def faults():
    return {
        "the tree edited during check": lambda kit: Edited(kit, ("check",)),
        "the tree edited during export --accept": lambda kit: Edited(kit, ("export", "--accept")),
    }
