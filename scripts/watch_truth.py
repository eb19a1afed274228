#!/usr/bin/env python3
"""Holds a watcher to the truth: after operations at random its open findings must be those of a fresh check.

  scripts/watch_truth.py DRIFTLOCK [--steps 2000] [--kills 200] [--seed N] [--no-engine]
  scripts/watch_truth.py DRIFTLOCK --floods 10 [--files 50000]
  scripts/watch_truth.py DRIFTLOCK --away 60

A step is one to three operations over files, links, a git work tree, and containers of an engine of its own, which is now and then
restarted or killed. In as many steps as `--kills` says, the watcher is killed (SIGKILL), at any moment, and started anew. After each
step, until both agree:

- what is open by the journal is what `driftlock check` finds;
- the journal has each number once, no ID twice, and no event that leads to what was open already.

A flood is that many files of a module, created, rewritten and for the most part deleted by two writers as fast as they can; how long
after the last write the last event and the agreement came is printed.

With --away the engine is stopped, killed and frozen, each for so many seconds in which a file and a container change, too.

Ends with 1 where that fails, and keeps the project. Needs git and busybox, and for an engine dockerd and root.
"""

import argparse
import datetime
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
CONFIG = """\
[compose]
files = ["infra/stacks/*/docker-compose*.yml"]
[addons]
roots = ["odoo_modules/*"]
[files]
include = ["conf/*"]
"""
TREE = {
    "infra/stacks/edge/docker-compose.yml": "services: {web: {image: 'web:1'}}\n",
    "infra/stacks/erp/docker-compose.yml": "services: {erp: {image: 'erp:1'}}\n",
    "odoo_modules/own/orders/__manifest__.py": "{'version': '1'}\n",
    "odoo_modules/own/orders/models/order.py": "class Order: pass\n",
    "odoo_modules/own/printer/__manifest__.py": "{'version': '2'}\n",
    "odoo_modules/community/ocr/__manifest__.py": "{'version': '3'}\n",
    "odoo_modules/community/ocr/models/ocr.py": "class Ocr: pass\n",
    "conf/main.conf": "a = 1\n",
    "conf/more.conf": "b = 1\n",
}
PLACES = [*TREE, "infra/stacks/erp", "infra/stacks", "odoo_modules/own/orders/models", "odoo_modules/own/orders",
          "odoo_modules/community/ocr", "odoo_modules/own", "odoo_modules", "conf"]
NAMES = ["c0", "c1", "c2"]
OPTIONS = [[], ["--memory", "64m"], ["--restart", "unless-stopped"], ["-e", "A=1"], ["--read-only"], ["--cap-drop", "ALL"]]


def sh(*args, **more):
    return subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **more)


class Engine:
    """A dockerd of our own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wt_eng.", dir="/tmp")
        self.env = os.environ | {"DOCKER_HOST": f"unix://{self.dir}/docker.sock"}
        with open(f"{self.dir}/daemon.json", "w") as file:
            file.write("{}\n")
        self.child = None
        self.start()
        os.makedirs(f"{self.dir}/root/bin")
        shutil.copy("/bin/busybox", f"{self.dir}/root/bin/busybox")
        for number in (1, 2):
            with open(f"{self.dir}/root/number", "w") as file:
                file.write(str(number))
            sh("tar", "-C", f"{self.dir}/root", "-cf", f"{self.dir}/root.tar", "bin", "number")
            made = self.docker("import", f"{self.dir}/root.tar", f"app:{number}")
            if made.returncode:
                raise SystemExit(made.stderr)

    def start(self):
        log = open(f"{self.dir}/dockerd.log", "a")
        name = os.path.basename(self.dir).replace("_", "-").replace(".", "-").lower()
        self.child = subprocess.Popen(
            # In a network of its own: a dockerd that is told to have no bridge takes docker0 away, whose ever it is.
            ["unshare", "--net", "dockerd", "--config-file", f"{self.dir}/daemon.json", "--host", f"unix://{self.dir}/docker.sock", "--data-root",
             f"{self.dir}/data", "--exec-root", f"{self.dir}/exec", "--pidfile", f"{self.dir}/dockerd.pid",
             "--containerd-namespace", name, "--containerd-plugins-namespace", f"{name}-plugins",
             "--bridge=none", "--iptables=false", "--ip-masq=false"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while self.docker("version").returncode:
            if self.child.poll() is not None or time.monotonic() > until:
                with open(f"{self.dir}/dockerd.log") as file:
                    raise SystemExit("dockerd does not come up:\n" + "".join(file.readlines()[-12:]))
            time.sleep(0.1)

    def end(self, how=signal.SIGTERM):
        self.child.send_signal(how)
        self.child.wait()
        if how == signal.SIGKILL:
            # A containerd whose dockerd was killed does not always answer the next one.
            for pid in self.left_behind(b"containerd\0"):
                os.kill(pid, signal.SIGKILL)
        for leftover in (f"{self.dir}/dockerd.pid", f"{self.dir}/exec/containerd/containerd.pid"):
            if os.path.exists(leftover):
                os.unlink(leftover)

    def docker(self, *args):
        return sh("docker", *args, env=self.env, timeout=PATIENCE)

    def remove(self):
        if self.child.poll() is None:
            for name in self.docker("ps", "-aq").stdout.split():
                self.docker("rm", "-f", name)
            self.end()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)
        sh("sh", "-c", f"umount {self.dir}/data/*/* {self.dir}/exec/* 2>/dev/null")
        shutil.rmtree(self.dir, ignore_errors=True)

    def left_behind(self, program=b""):
        """What a killed dockerd has left: containerd, and a shim for each container."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = open(f"/proc/{pid}/cmdline", "rb").read()
            except OSError:
                continue
            if f"{self.dir}/".encode() in line and line.startswith(program) and int(pid) != os.getpid():
                yield int(pid)


class Hand:
    """What is done to a project and its containers."""

    def __init__(self, dice, root, engine):
        self.dice, self.root, self.engine, self.serial = dice, root, engine, 0

    def path(self, place):
        return os.path.join(self.root, place)

    def act(self):
        kinds = [self.file, self.file, self.file, self.tree]
        if self.engine:
            kinds += [self.container] * 3
            if self.dice.random() < 0.04:
                kinds = [self.restart_engine]
        try:
            return self.dice.choice(kinds)()
        except (OSError, shutil.Error) as error:
            return f"nothing: {error}"

    def text(self):
        self.serial += 1
        return self.dice.choice([f"x = {self.serial}\n", f"# {self.dice.randrange(4)}\n" * self.dice.randrange(1, 200)])

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def gone(self, path):
        if os.path.islink(path) or not os.path.isdir(path):
            if os.path.lexists(path):
                os.unlink(path)
        else:
            shutil.rmtree(path)

    def file(self):
        place, spare = self.dice.choice(PLACES), f"spare{self.dice.randrange(3)}"
        path, beside = self.path(place), self.path(spare)
        what = self.dice.choice(["write", "write", "append", "sed", "chmod", "new", "unlink", "away", "back", "replace", "link", "module",
                                 "mkdir", "slow", "empty", "restore", "restore", "restore"])
        if what == "write":
            self.write(path, self.text())
        elif what == "append":
            with open(path, "a") as file:
                file.write(self.text())
        elif what == "sed":
            sh("sed", "-i", f"s/1/{self.serial % 7}/", path)
        elif what == "chmod":
            os.chmod(path, self.dice.choice([0o644, 0o755, 0o600]))
        elif what == "new":
            self.write(os.path.join(path, f"new{self.dice.randrange(3)}.py"), self.text())
        elif what == "unlink":
            self.gone(path)
        elif what == "away":
            os.rename(path, beside)
        elif what == "back":
            os.rename(beside, path)
        elif what == "replace":
            self.write(path + "~", self.text())
            os.rename(path + "~", path)
        elif what == "link":
            os.rename(path, beside)
            os.symlink(self.dice.choice([beside, os.path.relpath(beside, os.path.dirname(path))]), path)
        elif what == "module":
            module = self.path(f"odoo_modules/community/extra{self.dice.randrange(3)}")
            os.makedirs(f"{module}/models", exist_ok=True)
            self.write(f"{module}/models/a.py", self.text())
            self.write(f"{module}/__manifest__.py", "{}\n")
        elif what == "mkdir":
            os.makedirs(path, exist_ok=True)
        elif what == "slow":
            module = self.path(f"odoo_modules/own/slow{self.dice.randrange(2)}")
            for number in range(8):
                os.makedirs(f"{module}/d{number}", exist_ok=True)
                time.sleep(self.dice.random() * 0.02)
                self.write(f"{module}/d{number}/f.py", self.text())
            self.write(f"{module}/__manifest__.py", "{}\n")
        elif what == "empty":
            self.write(path, "")
        else:
            self.restore(place)
        return f"{what} {place} {spare}"

    def restore(self, place):
        self.gone(self.path(place))
        for way in [place, *(place[:at] for at, it in enumerate(place) if it == "/")]:
            if os.path.islink(self.path(way)) or os.path.isfile(self.path(way)):
                os.unlink(self.path(way))
        for own, text in TREE.items():
            if own == place or own.startswith(place + "/"):
                os.makedirs(os.path.dirname(self.path(own)), exist_ok=True)
                self.write(self.path(own), text)

    def tree(self):
        what = self.dice.choice(["other", "main", "main", "clean"])
        if what == "clean":
            sh("git", "clean", "-qfdx", "odoo_modules", "infra", "conf", cwd=self.root)
            sh("git", "clean", "-qfd", "odoo_modules", "infra", "conf", cwd=self.root)
        else:
            sh("git", "checkout", "-qf", what, "--", "odoo_modules", "infra", "conf", cwd=self.root)
        return f"git {what}"

    def run(self, name, image, options):
        return self.engine.docker("run", "-d", "--net", "none", "--name", name, *options, image, "/bin/busybox", "sleep", "100000")

    def container(self):
        name = self.dice.choice(NAMES)
        docker = self.engine.docker
        what = self.dice.choice(["stop", "start", "start", "restart", "kill", "rm", "run", "run", "run", "pause", "unpause", "unpause", "rename",
                                 "update", "exec", "cp", "more", "tag", "baseline", "baseline"])
        if what in ("stop", "restart"):
            docker(what, "-t", "0", name)
        elif what in ("start", "kill", "pause", "unpause"):
            docker(what, name)
        elif what == "rm":
            docker("rm", "-f", name)
        elif what == "run":
            docker("rm", "-f", name)
            self.run(name, self.dice.choice(["app:1", "app:2"]), self.dice.choice(OPTIONS))
        elif what == "rename":
            docker("rename", name, "away")
            docker("rename", "away", self.dice.choice(NAMES))
        elif what == "update":
            docker("update", *self.dice.choice([["--memory", "80m", "--memory-swap", "160m"], ["--restart", "always"], ["--restart", "no"]]), name)
        elif what == "exec":
            docker("exec", name, "/bin/busybox", "true")
        elif what == "cp":
            docker("cp", self.path("audit/driftlock.toml"), f"{name}:/bin/more")
        elif what == "more":
            docker("rm", "-f", "extra")
            if self.dice.random() < 0.5:
                self.run("extra", "app:1", [])
        elif what == "tag":
            docker("tag", self.dice.choice(["app:1", "app:2"]), "app:latest")
        else:
            docker("rm", "-f", name)
            self.run(name, "app:1", [])
        return f"{what} {name}"

    def restart_engine(self):
        how = self.dice.choice([signal.SIGTERM, signal.SIGKILL])
        self.engine.end(how)
        pause = self.dice.choice([0, 0, 1, 3])
        time.sleep(pause)
        self.engine.start()
        return f"engine {how.name}, away for {pause} s"


class Truth:
    """A watcher of a project, and what its journal says."""

    def __init__(self, driftlock, dice, engine):
        self.driftlock, self.dice, self.engine = os.path.abspath(driftlock), dice, engine
        self.root = tempfile.mkdtemp(prefix="wt_project.")
        self.elsewhere = tempfile.mkdtemp(prefix="wt_report.")
        self.env = engine.env if engine else os.environ.copy()
        self.hand = Hand(dice, self.root, engine)
        self.hand.restore("")
        for place in TREE:
            self.hand.restore(place)
        os.makedirs(f"{self.root}/audit/locks")
        docker = "[docker]\nmode = \"required\"\n" if engine else ""
        self.hand.write(f"{self.root}/audit/driftlock.toml", CONFIG + docker)
        if engine:
            for name in NAMES:
                self.hand.run(name, "app:1", [])
        self.expect(self.call("export", "--accept"))
        git = lambda *args: self.expect(sh("git", "-c", "user.name=x", "-c", "user.email=x@example.org", *args, cwd=self.root))
        git("init", "-q", "-b", "main")
        git("add", "infra", "odoo_modules", "conf")
        git("commit", "-qm", "one")
        git("checkout", "-qb", "other")
        self.hand.write(self.hand.path("odoo_modules/own/orders/models/order.py"), "import os\n")
        self.hand.write(self.hand.path("conf/other.conf"), "c = 1\n")
        self.hand.gone(self.hand.path("odoo_modules/community/ocr"))
        git("add", "-A", "infra", "odoo_modules", "conf")
        git("commit", "-qm", "two")
        git("checkout", "-q", "main")
        self.offset, self.open, self.ids, self.last, self.events = {}, {}, set(), 0, 0
        self.kinds, self.newest = {}, None
        self.child = None
        self.start()

    def off(self):
        return [] if self.engine else ["--docker", "off"]

    def call(self, *args):
        return sh(self.driftlock, *args, *self.off(), cwd=self.root, env=self.env)

    def expect(self, ended):
        if ended.returncode:
            raise SystemExit(f"{ended.args}: {ended.stdout}{ended.stderr}")
        return ended

    def start(self):
        place = f"{self.elsewhere}/ready"
        if os.path.exists(place):
            os.unlink(place)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(place)
            ready.settimeout(PATIENCE)
            out = open(f"{self.elsewhere}/stdout", "a")
            err = open(f"{self.elsewhere}/stderr", "a")
            self.child = subprocess.Popen(
                [self.driftlock, "watch", "--format", "jsonl", *self.off()], cwd=self.root, env=self.env | {"NOTIFY_SOCKET": place},
                stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            while not ready.recv(64).startswith(b"READY=1"):
                pass

    def kill(self):
        self.child.kill()
        self.child.wait()

    def read(self):
        """Takes what the journal has more, and holds it to its promises."""
        journal = f"{self.root}/audit/state/events"
        for name in sorted(it for it in os.listdir(journal) if it.endswith(".jsonl")):
            with open(f"{journal}/{name}", "rb") as file:
                file.seek(self.offset.get(name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.offset[name] = self.offset.get(name, 0) + len(line)
                    self.take(json.loads(line))

    def take(self, event):
        self.events += 1
        self.last += 1
        self.newest = event
        name = event["event"]
        self.kinds[name] = self.kinds.get(name, 0) + 1
        if event["seq"] != self.last:
            self.fail(f"number {event['seq']} after {self.last - 1}: {event}")
        if event["id"] in self.ids:
            self.fail(f"its ID came before: {event}")
        self.ids.add(event["id"])
        if "check" not in event:
            return
        key = (event["check"], event.get("subject"))
        if name == "drift.resolved":
            if key not in self.open:
                self.fail(f"nothing of it was open: {event}")
            self.open.pop(key, None)
            return
        if self.open.get(key) == event["fingerprint"]:
            self.fail(f"it was open as that already: {event}")
        if name == "drift.detected" and key in self.open:
            self.fail(f"it was open already: {event}")
        self.open[key] = event["fingerprint"]

    def found(self):
        """What a check finds now; None where it made no report."""
        ended = self.call("check", "--format", "json", "--output", f"{self.elsewhere}/runs")
        try:
            report = json.loads(ended.stdout)
        except json.JSONDecodeError:
            return None
        found = {}
        for check in report["checks"]:
            if check.get("errors"):
                found[check["name"], None] = ""
            for finding in check.get("findings", []):
                found[check["name"], finding["subject"]] = finding["fingerprint"]
        return found

    def agree(self, done):
        """Waits until journal and check agree; gives how long that took."""
        began = time.monotonic()
        while True:
            found = self.found()
            self.read()
            # The words of an error may differ from one look to the next.
            own = {key: it if key[1] else "" for key, it in self.open.items()}
            if own == found:
                return time.monotonic() - began
            if self.child.poll() is not None:
                self.fail(f"the watcher has ended: {self.child.returncode}")
            if time.monotonic() - began > PATIENCE:
                only = lambda a, b: {key: it for key, it in a.items() if b.get(key) != it}
                self.fail(f"after {done}\nby the journal alone: {only(own, found or {})}\nby a check alone: {only(found or {}, own)}")

    def remove(self):
        self.kill()
        for place in (self.root, self.elsewhere):
            shutil.rmtree(place, ignore_errors=True)

    def fail(self, why):
        print(f"FAILED: {why}\nkept: {self.root} {self.elsewhere}", flush=True)
        self.kill()
        sys.exit(1)


def write_flood(base, files, is_all_deleted):
    os.makedirs(base, exist_ok=True)
    for text in ("first\n", "second\n"):
        for number in range(files):
            with open(f"{base}/f{number}.py", "w") as file:
                file.write(text + str(number))
    for number in range(files):
        if is_all_deleted or number % 100:
            os.remove(f"{base}/f{number}.py")


def floods(truth, rounds, files):
    for number in range(rounds):
        began, writers = time.time(), []
        for writer in range(2):
            pid = os.fork()
            if pid == 0:
                write_flood(truth.hand.path(f"odoo_modules/own/orders/flood{writer}"), files // 2, number % 2)
                os._exit(0)
            writers.append(pid)
        for pid in writers:
            os.waitpid(pid, 0)
        end = time.time()
        took = truth.agree([f"flood {number}"])
        at = datetime.datetime.fromisoformat(truth.newest["detected_at"].replace("Z", "+00:00")).timestamp()
        print(f"flood {number}: written in {end - began:.1f} s; last event {at - end:+.2f} s after the last write; "
              f"agreed, the check with it, after {took:.2f} s; {truth.kinds}", flush=True)


def away(truth, seconds):
    """An engine that is gone for long: both changes of that time are told when it is back, or before."""
    engine, name = truth.engine, NAMES[0]
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        engine.docker("rm", "-f", name)
        truth.hand.run(name, "app:1", [])
        truth.hand.restore("conf/main.conf")
        truth.agree(["before"])
        inside = int(engine.docker("inspect", "-f", "{{.State.Pid}}", name).stdout)
        if how == signal.SIGSTOP:
            engine.child.send_signal(how)
        else:
            engine.end(how)
        began = time.monotonic()
        truth.hand.write(truth.hand.path("conf/main.conf"), f"away = {how}\n")
        try:
            os.kill(inside, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It went with its engine.
        told = None
        while time.monotonic() - began < seconds:
            truth.read()
            if told is None and any(subject == "conf/main.conf" for _, subject in truth.open):
                told = time.monotonic() - began
            time.sleep(0.05)
        unread = sum(subject is None for _, subject in truth.open)
        if how == signal.SIGSTOP:
            engine.child.send_signal(signal.SIGCONT)
        else:
            engine.start()
        took = truth.agree([f"engine {how.name}, away for {seconds} s"])
        if not any(subject and name in subject for _, subject in truth.open):
            truth.fail(f"that {name} ended is not open: {truth.open}")
        told = "only when it was back" if told is None else f"after {told:.2f} s"
        print(f"engine {how.name}, away for {seconds} s: the file was told {told}, {unread} checks could not look; "
              f"agreed {took:.2f} s after it was back, with the container that ended in between", flush=True)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("driftlock")
    parse.add_argument("--steps", type=int, default=2000)
    parse.add_argument("--kills", type=int, default=200)
    parse.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parse.add_argument("--no-engine", action="store_true")
    parse.add_argument("--floods", type=int, default=0)
    parse.add_argument("--away", type=int, default=0)
    parse.add_argument("--files", type=int, default=50000)
    args = parse.parse_args()
    print(f"seed {args.seed}", flush=True)
    dice = random.Random(args.seed)
    engine = None if args.no_engine or args.floods else Engine()
    try:
        truth = Truth(args.driftlock, dice, engine)
        if args.floods:
            floods(truth, args.floods, args.files)
            return truth.remove()
        if args.away:
            away(truth, args.away)
            return truth.remove()
        killed = set(dice.sample(range(args.steps), min(args.kills, args.steps)))
        operations, times, began = 0, [], time.monotonic()
        for step in range(args.steps):
            done = []
            moment = dice.choice(["before", "during", "after", "late"]) if step in killed else None
            if moment == "before":
                truth.kill()
            for number in range(dice.choice([1, 1, 1, 2, 3])):
                if moment == "during" and number == 0:
                    time.sleep(dice.random() * 0.05)
                done.append(truth.hand.act())
                operations += 1
                if moment == "during" and number == 0:
                    truth.kill()
            if moment in ("after", "late"):
                time.sleep(dice.random() * (0.02 if moment == "after" else 0.3))
                truth.kill()
            if moment:
                truth.start()
                done.append(f"killed {moment}")
            times.append(truth.agree(done))
            if step % 50 == 49:
                print(f"{step + 1} steps, {operations} operations, {truth.events} events, {time.monotonic() - began:.0f} s", flush=True)
        times.sort()
        print(f"{args.steps} steps, {operations} operations, {len(killed)} kills: open findings as a fresh check has them after each; "
              f"{truth.events} events {truth.kinds}, none twice, none missing")
        print(f"from the last operation to agreement, the check with it: median {times[len(times) // 2]:.2f} s, most {times[-1]:.2f} s")
        truth.remove()
    finally:
        if engine:
            engine.remove()


main()
