#!/usr/bin/env python3
"""Measures `driftlock watch`: latency, idleness, memory, and events into Redis.

Usage: scripts/bench_watch.py DRIFTLOCK latency [CHANGES] | idle [SECONDS] | large [MODULES] | redis [EVENTS [AWAY]]

Each makes a project of its own in a temporary directory. `latency` has `inotifywait | redis-cli` beside the watcher and
`aide --check` after it, where they are installed; `idle` needs strace, `redis` and the agent need redis-server.
The Redis is killed ten times, and each time away for up to AWAY seconds, one where nothing is said.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

FILES = 31  # of a module: 317 of them have 9,827 files
CONFIG = '[compose]\nfiles = ["infra/stacks/*/docker-compose*.yml"]\n[addons]\nroots = ["addons"]\n[files]\ninclude = ["conf/*"]\n'


class Project:
    """A tree of modules, compose and configuration files that is the baseline."""

    def __init__(self, driftlock, modules, configs=60, files=FILES):
        self.driftlock = os.path.abspath(driftlock)
        self.dir = tempfile.mkdtemp(prefix="bench_watch.")
        self.places = []
        for module in range(modules):
            root = f"{self.dir}/addons/m{module:05}"
            os.makedirs(f"{root}/models")
            self.write(f"{root}/__manifest__.py", "{'version': '18.0.1.0.0'}\n")
            for number in range(files - 1):
                self.write(f"{root}/models/f{number:03}.py", f"# {module} {number}\n" + "x = 1\n" * (number % 40))
                if module < 1000:
                    self.places.append(f"addons/m{module:05}/models/f{number:03}.py")
        for stack in range(20):
            os.makedirs(f"{self.dir}/infra/stacks/s{stack}")
            self.put(f"infra/stacks/s{stack}/docker-compose.yml", "services: {web: {image: 'web:1'}}\n")
        os.makedirs(f"{self.dir}/conf")
        for number in range(configs):
            self.put(f"conf/c{number:05}.conf", f"key = {number}\n")
        os.makedirs(f"{self.dir}/audit/locks")
        self.write(f"{self.dir}/audit/driftlock.toml", CONFIG)
        self.run("export", "--accept", "--docker", "off")

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def put(self, place, text):
        self.places.append(place)
        self.write(f"{self.dir}/{place}", text)

    def run(self, *args):
        return subprocess.run([self.driftlock, *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def watch(self, *args):
        return Watcher(self, args)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Watcher:
    """A running watcher, and its events with the moment when each came."""

    def __init__(self, project, args):
        place = f"{project.dir}/ready.sock"
        if os.path.exists(place):
            os.unlink(place)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(place)
        self.began = time.monotonic()
        self.child = subprocess.Popen(
            [project.driftlock, "watch", "--format", "jsonl", "--docker", "off", *args],
            cwd=project.dir, env=os.environ | {"NOTIFY_SOCKET": place}, stdout=subprocess.PIPE, text=True)
        self.events, self.more = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        while not ready.recv(64).startswith(b"READY=1"):
            pass
        self.ready = time.monotonic()

    def read(self):
        for line in self.child.stdout:
            now, event = time.monotonic(), json.loads(line)
            with self.more:
                self.events.append((now, event))
                self.more.notify_all()

    def wait(self, begin, is_it, patience=60):
        """The first event from `begin` on that is it, with the moment when it came."""
        until = time.monotonic() + patience
        with self.more:
            while True:
                for at, event in self.events[begin:]:
                    if is_it(event):
                        return at, event
                begin = len(self.events)
                if not self.more.wait(until - time.monotonic()):
                    raise SystemExit("an event did not come")

    def status(self, key):
        text = open(f"/proc/{self.child.pid}/status").read()
        return int(re.search(rf"{key}:\s+(\d+)", text).group(1))

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()


def quantiles(name, times):
    times = sorted(1000 * it for it in times)
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print(f"{name}: n {len(times)}, median {statistics.median(times):.1f} ms, p95 {at(.95):.1f} ms, p99 {at(.99):.1f} ms, max {times[-1]:.1f} ms")


def subject_of(place):
    return place.split("/")[1] if place.startswith("addons/") else place


class Redis:
    """A server of our own, which answers a write once it is on the disk."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bench_redis.")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self):
        self.child = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
             "--appendfsync", "always", "--dir", self.dir], stdout=subprocess.DEVNULL)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def ask(self, *words):
        said = subprocess.run(["redis-cli", "-p", str(self.port), "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        try:
            return json.loads(said.stdout)
        except json.JSONDecodeError:
            return None


def agent(project, redis):
    """The shell agent of older set-ups, in a session of its own."""
    line = (f"inotifywait -q -m -r -e modify,create,delete,move --format '%w%f' {project.dir}/addons {project.dir}/infra {project.dir}/conf |"
            f" while read -r file; do redis-cli -p {redis.port} XADD drift.file_changed '*' path \"$file\" ci_id here >/dev/null; done")
    return subprocess.Popen(["sh", "-c", line], start_new_session=True, stderr=subprocess.DEVNULL)


def latency(driftlock, count):
    project = Project(driftlock, 317)
    watcher = project.watch()
    print(f"start to ready: {watcher.ready - watcher.began:.2f} s; resident {watcher.status('VmRSS') // 1024} MiB, highest {watcher.status('VmHWM') // 1024} MiB")
    own, back = [], []
    for number in range(count):
        place = random.choice(project.places)
        path, subject = f"{project.dir}/{place}", subject_of(place)
        before = open(path).read()
        for text, event, times in ((f"by hand {number}\n", "drift.detected", own), (before, "drift.resolved", back)):
            begin = len(watcher.events)
            if number % 2:
                project.write(path + "~", text)
                os.rename(path + "~", path)
            else:
                project.write(path, text)
            changed = time.monotonic()
            at, _ = watcher.wait(begin, lambda it: it["event"] == event and it["subject"] == subject)
            times.append(at - changed)
        time.sleep(random.uniform(0, 0.05))
    quantiles("driftlock, to drift.detected", own)
    quantiles("driftlock, to drift.resolved", back)
    print(f"resident at the end {watcher.status('VmRSS') // 1024} MiB")
    watcher.end()
    if shutil.which("inotifywait") and shutil.which("redis-server"):
        beside(project, min(count, 300))
    if shutil.which("aide"):
        aide(project)
    project.remove()


def beside(project, count):
    redis = Redis()
    while redis.ask("PING") != "PONG":
        time.sleep(0.05)
    shell = agent(project, redis)
    time.sleep(5)
    reader = socket.create_connection(("127.0.0.1", redis.port))
    times, last = [], "$"
    for number in range(count):
        place = random.choice(project.places)
        path = f"{project.dir}/{place}"
        before = open(path).read()
        # What came of the change before is out of the way.
        time.sleep(0.1)
        newest = redis.ask("XREVRANGE", "drift.file_changed", "+", "-", "COUNT", "1")
        last = newest[0][0] if newest else "0"
        project.write(path, f"by hand {number}\n")
        changed = time.monotonic()
        reader.sendall(f"XREAD COUNT 1 BLOCK 10000 STREAMS drift.file_changed {last}\r\n".encode())
        reader.recv(65536)
        times.append(time.monotonic() - changed)
        project.write(path, before)
    quantiles("inotifywait | redis-cli, to the entry (no verdict)", times)
    os.killpg(shell.pid, signal.SIGKILL)
    redis.kill()
    shutil.rmtree(redis.dir)


def aide(project):
    conf = f"{project.dir}/aide.conf"
    project.write(conf, f"database_in=file:{project.dir}/aide.db\ndatabase_out=file:{project.dir}/aide.db\ndatabase_new=file:{project.dir}/aide.db\n"
                        f"gzip_dbout=no\nA = ftype+sha256\n{project.dir}/(addons|infra|conf) A\n")
    subprocess.run(["aide", "--init", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    began = time.monotonic()
    ended = subprocess.run(["aide", "--check", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    print(f"aide --check: {time.monotonic() - began:.2f} s (exit {ended.returncode}); each minute a change waits 30 s on average, 60 s at most")


def idle(driftlock, seconds):
    project = Project(driftlock, 317)
    watcher = project.watch()
    time.sleep(5)
    # Not in the project: each write there would be an event.
    out = f"{tempfile.mkdtemp(prefix='bench_strace.')}/strace"
    trace = subprocess.Popen(["strace", "-f", "-q", "-tt", "-o", out, "-p", str(watcher.child.pid)])
    time.sleep(2)
    held = sum(1 for _ in open(out))
    time.sleep(seconds)
    resident = watcher.status("VmRSS") // 1024
    lines = list(open(out))[held:]
    trace.send_signal(signal.SIGINT)
    trace.wait()
    names = {}
    for line in lines:
        name = re.match(r"\d+ +\S+ +(?:<\.\.\. )?(\w+)", line)
        if name:
            names[name.group(1)] = names.get(name.group(1), 0) + 1
    print(f"{seconds} idle seconds, 9,827 files: {len(lines)} system calls begun or ended {names}; resident {resident} MiB, threads {watcher.status('Threads')}")
    watcher.end()
    shutil.rmtree(os.path.dirname(out))
    project.remove()


def large(driftlock, modules):
    began = time.monotonic()
    project = Project(driftlock, modules, files=50)
    print(f"made in {time.monotonic() - began:.0f} s: {modules * 50} files in {modules} modules")
    for _ in range(2):
        began = time.monotonic()
        ended = project.run("check", "--quiet", "--docker", "off")
        print(f"check: {time.monotonic() - began:.2f} s (exit {ended.returncode})")
    watcher = project.watch()
    print(f"start to first verdict: {watcher.ready - watcher.began:.2f} s; highest {watcher.status('VmHWM') // 1024} MiB, resident {watcher.status('VmRSS') // 1024} MiB")
    time.sleep(10)
    print(f"resident afterwards {watcher.status('VmRSS') // 1024} MiB; {[it['event'] for _, it in watcher.events]}")
    place = project.places[7]
    project.write(f"{project.dir}/{place}", "by hand\n")
    changed = time.monotonic()
    at, _ = watcher.wait(0, lambda it: it["event"] == "drift.detected", 300)
    print(f"one change: {1000 * (at - changed):.1f} ms")
    watcher.end()
    project.remove()


def redis(driftlock, count, away=1):
    configs = 5000
    project, server = Project(driftlock, 2, configs=configs), Redis()
    while server.ask("PING") != "PONG":
        time.sleep(0.05)
    host = tempfile.mkdtemp(prefix="bench_host.")
    with open(f"{host}/host.toml", "w") as file:
        file.write(f'[events.redis]\nurl = "redis://127.0.0.1:{server.port}"\n')
    watcher = project.watch("--host-config", f"{host}/host.toml")
    rounds, kills = -(-count // configs), 0
    for number in range(rounds):
        begin = len(watcher.events)
        for place in range(configs):
            project.write(f"{project.dir}/conf/c{place:05}.conf", f"round {number} {place}\n")
        until = time.monotonic() + 120
        while sum(it["event"].startswith("drift.") for _, it in watcher.events[begin:]) < configs and time.monotonic() < until:
            time.sleep(0.2)
        if kills < 10:
            kills += 1
            server.kill()
            time.sleep(random.uniform(away / 2, away))
            server.start()
    all_events = [it for _, it in watcher.events]
    began, want = time.monotonic(), {it["id"] for it in all_events}
    seen, order = {}, []
    streams = [f"drift.{it}" for it in ("detected", "changed", "resolved", "unreadable", "watch.started", "watch.gap")]
    last = max(all_events, key=lambda it: it["seq"])
    name = "drift." + last["event"].removeprefix("drift.")
    # What was sent again counts in the lengths, so those say nothing of the end.
    while time.monotonic() - began < 600:
        newest = server.ask("XREVRANGE", name, "+", "-", "COUNT", "1")
        if newest and last["id"] in newest[0][1]:
            break
        time.sleep(0.5)
    drained = time.monotonic() - began
    doubled = 0
    for stream in streams:
        for _, fields in server.ask("XRANGE", stream, "-", "+") or []:
            event = json.loads(dict(zip(fields[::2], fields[1::2]))["payload"])
            if event["id"] in seen:
                doubled += 1
            else:
                order.append((stream, event["seq"]))
            if event["id"] in seen and seen[event["id"]] != event:
                print("two events with one id differ")
            seen[event["id"]] = event
    sorted_each = all(all(a <= b for a, b in zip(its, its[1:])) for its in
                      ([seq for name, seq in order if name == stream] for stream in streams))
    print(f"{len(want)} events, {kills} kills: {len(want - set(seen))} missing, {len(set(seen) - want)} unknown, {doubled} sent again, "
          f"in order: {sorted_each}; all there {drained:.0f} s after the last")
    print(f"resident {watcher.status('VmRSS') // 1024} MiB, highest {watcher.status('VmHWM') // 1024} MiB")
    watcher.end()
    server.kill()
    for place in (server.dir, host):
        shutil.rmtree(place)
    project.remove()


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in ("latency", "idle", "large", "redis"):
        sys.exit(__doc__)
    work = {"latency": (latency, 1000), "idle": (idle, 600), "large": (large, 20000), "redis": (redis, 100000)}
    run, usual = work[sys.argv[2]]
    run(sys.argv[1], *(map(int, sys.argv[3:]) if len(sys.argv) > 3 else [usual]))


main()
