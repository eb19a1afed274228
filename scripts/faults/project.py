"""A small project in two states, and what must hold of it whatever happened."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile

DRIFTLOCK = os.environ["DRIFTLOCK"]
REPORT_KEYS = {"schema", "overall", "checks", "run", "mode"}
CONFIG = """[compose]
files = ["infra/stacks/*/docker-compose*.yml"]
[addons]
roots = ["odoo_modules/seisei"]
[files]
include = ["etc/*.conf"]
"""


class Lost(Exception):
    """What may not happen."""


def files_of(state):
    """The tree in one state; every lock file differs between any two."""
    files = {"infra/stacks/edge/docker-compose.yml": f"services: {{}} # {state}\n", "etc/odoo.conf": f"state = {state}\n"}
    for number in range(6):
        files[f"odoo_modules/seisei/m{number}/__manifest__.py"] = "{'name': 'x'}\n"
        files[f"odoo_modules/seisei/m{number}/models/order.py"] = f"state = '{state}'\n"
    return files


def put(root, files):
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def below(path):
    """Every file below a directory, by its relative name."""
    found = {}
    for where, _, names in os.walk(path):
        for name in names:
            full = os.path.join(where, name)
            found[os.path.relpath(full, path)] = read(full)
    return found


def run(root, *args, **more):
    """Runs driftlock to its end."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([DRIFTLOCK, *args], cwd=root, **pipes, **more) as process:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired as hung:
            where = threads(process.pid)
            process.kill()
            raise Lost(f"it does not end: {where}") from hung
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def threads(pid):
    """What every thread of a process waits for."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        texts = [read(f"/proc/{pid}/task/{task}/{name}").decode().strip() for name in ("comm", "wchan", "syscall")]
        found.append(" ".join(texts))
    return found


def spawn(root, *args):
    """Starts driftlock; its output goes to files that are no part of the project."""
    out = tempfile.TemporaryFile()
    return subprocess.Popen([DRIFTLOCK, *args], cwd=root, stdin=subprocess.DEVNULL, stdout=out, stderr=out), out


def said(out):
    out.seek(0)
    return out.read()


class Kit:
    """Projects ready to be copied: one whose baseline is as its tree, and one that has drifted."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.locks = {}
        base = os.path.join(scratch, "base")
        for state in ("old", "new"):
            put(base, files_of(state) | {"audit/driftlock.toml": CONFIG})
            self.must(run(base, "export", "--accept"), 0)
            self.locks[state] = below(os.path.join(base, "audit/locks"))
        assert all(self.locks["old"][name] != text for name, text in self.locks["new"].items())
        self.must(run(base, "check"), 0)
        self.clean = self.template(base, "clean", "new", 0)
        self.drifted = self.template(base, "drifted", "old", 2)

    @staticmethod
    def must(ran, code):
        assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)

    def template(self, base, name, locks, code):
        """A project in the new state with the baseline of `locks`, a newest report, and runs that are old."""
        root = os.path.join(self.scratch, name)
        shutil.copytree(base, root)
        shutil.rmtree(os.path.join(root, "audit/runtime"))
        put_bytes(os.path.join(root, "audit/locks"), self.locks[locks])
        self.must(run(root, "check"), code)
        runtime = os.path.join(root, "audit/runtime")
        newest = next(entry for entry in os.listdir(runtime) if entry[0] == "2")
        for day in range(1, 7):
            shutil.copytree(os.path.join(runtime, newest), os.path.join(runtime, f"2020010{day}_120000"))
        return root


def put_bytes(root, files):
    for name, text in files.items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(text)


class Trial:
    """One project that something happens to."""

    def __init__(self, kit, chance, root=None, is_clean=None):
        self.kit, self.chance = kit, chance
        self.is_clean = chance.random() < 0.5 if is_clean is None else is_clean
        template = kit.clean if self.is_clean else kit.drifted
        self.root = root or tempfile.mkdtemp(dir=kit.scratch)
        shutil.copytree(template, self.root, dirs_exist_ok=True)

    def path(self, name):
        return os.path.join(self.root, name)

    def locks_now(self):
        """The lock files as a reader finds them: where two directories cannot be exchanged, the old one lies aside."""
        place, aside = self.path("audit/locks"), self.path("audit/.driftlock.old-locks")
        return below(place if os.path.isdir(place) else aside)

    def verify(self, args, code, output, may_hold=None):
        """What must hold at once, and after the next runs; gives which lock files are there."""
        state = self.whole_locks(may_hold)
        self.whole_reports(code, args, output)
        self.next_runs(may_hold)
        return state

    def whole_locks(self, may_hold=None):
        """Which lock files are there: the old or the new ones, byte for byte."""
        now = self.locks_now()
        for state in ("new",) if self.is_clean else ("old", "new"):
            if now == self.kit.locks[state]:
                return state
        if may_hold and may_hold(now):
            return "new"
        raise Lost(f"lock files are neither the old nor the new: {sorted(now)}")

    def whole_reports(self, code, args, output):
        """Every report is whole, and none passes what has drifted."""
        runtime = self.path("audit/runtime")
        for name in os.listdir(runtime):
            path = os.path.join(runtime, name)
            if re.fullmatch(r"latest(\.\w+)?\.json", name):
                self.whole_report(path)
            elif re.match(r"\d{8}_\d{6}", name):
                files = os.listdir(path)
                if not files:
                    raise Lost(f"the run {name} is empty")
                if "drift_report.json" in files:
                    self.whole_report(os.path.join(path, "drift_report.json"))
        self.whole_record()
        if not self.is_clean and args[0] == "check" and (code == 0 or b"OVERALL: PASS" in output):
            raise Lost(f"passed what has drifted: exit code {code}\n{output.decode()}")

    def whole_record(self, torn=1):
        """Of the record of acceptances a disk may take a part of the last line, which then is no other one's beginning."""
        lines = []
        with contextlib.suppress(FileNotFoundError):
            lines = read(self.path("audit/accepted.jsonl")).splitlines()
        for line in lines:
            try:
                json.loads(line)
            except ValueError as error:
                torn -= 1
                if torn < 0 or line.count(b'"baseline"') > 1:
                    raise Lost(f"accepted.jsonl holds a torn line: {line}") from error

    def whole_report(self, path):
        try:
            report = json.loads(read(path))
        except ValueError as error:
            raise Lost(f"{path}: {error}") from error
        missing = REPORT_KEYS - report.keys()
        if missing:
            raise Lost(f"{path}: without {missing}")
        if report["overall"] == "PASS" and not self.is_clean:
            raise Lost(f"{path}: passed what has drifted")

    def next_runs(self, may_hold=None):
        """The next runs work without anybody's help, and clear away what was left."""
        is_new = self.locks_now() == self.kit.locks["new"]
        ran = run(self.root, "check", "--format", "json")
        expected = {0} if is_new else {0, 2} if may_hold else {2}
        if ran.returncode not in expected:
            raise Lost(f"the next check ends with {ran.returncode}, not {expected}: {ran.stdout.decode()}{ran.stderr.decode()}")
        report = json.loads(ran.stdout)
        if (report["overall"] == "PASS") != (ran.returncode == 0):
            raise Lost("the report of the next check is not as its exit code")
        ran = run(self.root, "export", "--accept")
        if ran.returncode != 0 or self.locks_now() != self.kit.locks["new"]:
            raise Lost(f"the next export ends with {ran.returncode}: {ran.stdout.decode()}{ran.stderr.decode()}")
        self.tidy()

    def tidy(self):
        """Nothing is left that a run has to clear away."""
        self.whole_record()
        for where, dirs, names in os.walk(self.path("audit")):
            for name in dirs + names:
                if name.startswith(".driftlock"):
                    raise Lost(f"left behind: {os.path.join(where, name)}")
        old = [name for name in os.listdir(self.path("audit/runtime")) if name.startswith("2020")]
        if old:
            raise Lost(f"runs that are old stay: {old}")

    def done(self):
        shutil.rmtree(self.root, ignore_errors=True)
