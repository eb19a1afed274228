"""Tries every fault many times and prints one table."""

import concurrent.futures
import os
import random
import shutil
import sys
import tempfile
import traceback

import disks
import edits
import engine
import signals
import wire
from project import Kit, Lost

FAULTS = signals.faults() | disks.faults() | edits.faults() | wire.faults() | engine.faults()


class Count:
    """What came of the trials of one fault."""

    def __init__(self):
        self.trials = self.interrupted = self.old = self.new = self.lost = self.passed = 0

    def take(self, state, interrupted):
        self.trials += 1
        self.interrupted += interrupted
        self.old += state == "old"
        self.new += state == "new"

    def lose(self, why):
        self.trials += 1
        self.passed += "passed what has drifted" in why
        self.lost += 1

    def row(self, fault):
        cells = (self.trials, self.interrupted, f"{self.old} / {self.new}", self.lost - self.passed, self.passed)
        return f"| {fault} | " + " | ".join(map(str, cells)) + " |"


def trials(scene, wanted):
    """The numbers of the trials."""
    if "TRIAL" in os.environ:
        return [int(os.environ["TRIAL"])]
    every = getattr(scene, "every", None) or 200
    part, parts = map(int, os.environ.get("PART", "1/1").split("/"))
    return range(every if wanted == "all" else int(wanted))[part - 1 :: parts]


def attempt(scene, seed, fault, number, wanted):
    """One trial: its outcome, or why something was lost."""
    chance = random.Random(f"{seed}/{fault}/{number}")
    chance.number, chance.all = number, wanted == "all"
    try:
        trial, state, interrupted = scene.once(chance)
        trial.done()
        return state, interrupted, None
    except Lost as lost:
        return None, None, str(lost)
    except Exception:  # pylint: disable=broad-except
        return None, None, traceback.format_exc()


def tried(fault, kit, seed, wanted):
    """All trials of one fault."""
    count, scene = Count(), FAULTS[fault](kit)
    try:
        with concurrent.futures.ThreadPoolExecutor(getattr(scene, "lanes", 1)) as pool:
            numbers = trials(scene, wanted)
            outcomes = pool.map(lambda number: attempt(scene, seed, fault, number, wanted), numbers)
            for number, (state, interrupted, why) in zip(numbers, outcomes):
                if why is None:
                    count.take(state, interrupted)
                    continue
                count.lose(why)
                print(f"{fault}, trial {number}: {why}", file=sys.stderr)
                print(f"  again: SEED={seed} TRIAL={number} scripts/faults.sh {wanted} '{fault}'", file=sys.stderr)
    finally:
        getattr(scene, "end", lambda: None)()
    return count


def main(args):
    if args[:1] == ["list"]:
        print("\n".join(FAULTS))
        return 0
    wanted = args[0] if args else "200"
    faults = args[1:] or list(FAULTS)
    unknown = [fault for fault in faults if fault not in FAULTS]
    if unknown or not (wanted == "all" or wanted.isdigit()):
        print(f"faults.sh: what is {unknown or wanted}? see: scripts/faults.sh list", file=sys.stderr)
        return 2
    if os.getuid() != 0:
        faults = [fault for fault in faults if fault not in disks.faults()]
        print("the disks that fail are left out: they need root", file=sys.stderr)
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"SEED={seed}", file=sys.stderr)
    scratch = tempfile.mkdtemp(prefix="driftlock-faults-")
    lost = 0
    print("| fault | trials | interrupted in the middle | lock files old / new | lost | false PASS |")
    print("|---|---|---|---|---|---|", flush=True)
    try:
        kit = Kit(scratch)
        for fault in faults:
            count = tried(fault, kit, seed, wanted)
            lost += count.lost
            print(count.row(fault), flush=True)
    finally:
        if lost == 0:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            print(f"what was lost lies in {scratch}", file=sys.stderr)
    return 1 if lost else 0


sys.exit(main(sys.argv[1:]))
