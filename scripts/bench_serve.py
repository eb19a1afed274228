#!/usr/bin/env python3
"""Measures the agent under load, beside nginx with files of the same size, and its memory: see docs/performance.md.

Usage: scripts/bench_serve.py --driftlock FILE [--seconds 10] [--minutes 10] [--connections 10]

Needs wrk and nginx. Makes a project with a journal of 10,000 events below $TMPDIR; everything runs on this machine, on 127.0.0.1."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid

EVENTS = 10_000
# So many findings are open at the end; all others were resolved.
OPEN = 20
STACKS = 20
PATHS = ["/metrics", "/drift/events", "/"]
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
PATIENCE = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def uuid7(milliseconds):
    """A UUIDv7 of a moment (RFC 9562)."""
    bits = milliseconds << 80 | int.from_bytes(os.urandom(10)) & ((1 << 80) - 1)
    bits = bits & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=bits & ~(0b11 << 62) | 0b10 << 62))


class Agent:
    """An agent of a project, until the end of a block."""

    def __init__(self, binary, project):
        self.binary, self.project, self.port = binary, project, free_port()
        self.process = None
        config = project / "audit" / "driftlock.toml"
        text = re.sub(r'(?m)^listen = .*$', f'listen = "127.0.0.1:{self.port}"', config.read_text())
        config.write_text(text)

    def __enter__(self):
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([self.binary, "serve"], cwd=self.project, stdout=quiet, stderr=quiet)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5)
                return self
            time.sleep(0.01)
        raise RuntimeError("the agent does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def ask(self, path, token, body=None):
        """The bytes of an answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def memory(self):
        """Resident memory, in MB (10^6)."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 / 1e6

    def runs(self, token):
        """How many runs have ended."""
        counts = re.findall(r"driftlock_deployment_duration_seconds_count\S* (\d+)", self.ask("/metrics", token).decode())
        return int(counts[0]) if counts else 0


def project_in(directory, binary):
    """A project with a baseline, of which some stacks have changed; and a token."""
    project = directory / "project"
    stacks = [project / "infra" / "stacks" / f"stack-{n:03}" / "docker-compose.yml" for n in range(STACKS)]
    for stack in stacks:
        stack.parent.mkdir(parents=True)
        stack.write_text("services: {}\n")
    (project / "audit").mkdir()
    (project / "audit" / "driftlock.toml").write_text(
        '[compose]\nfiles = ["infra/stacks/*/docker-compose*.yml"]\n[docker]\nmode = "off"\n'
        '[serve]\nlisten = "127.0.0.1:0"\n[[deployments]]\nname = "erp"\ninterval = "1h"\n'
    )
    quiet = {"cwd": project, "stdout": subprocess.DEVNULL, "check": True}
    subprocess.run([binary, "export", "--accept"], **quiet)
    for stack in stacks[:OPEN]:
        stack.write_text("services: {web: {}}\n")
    made = subprocess.run(
        [binary, "serve", "token", "bench", "--role", "operate"], cwd=project, capture_output=True, text=True, check=True
    )
    return project, made.stdout.split()[-1]


def fill_journal(project):
    """Puts events before those that the agent has written, in its own form."""
    directory = project / "audit" / "state" / "serve" / "erp" / "audit" / "state" / "events"
    (file,) = directory.glob("*.jsonl")
    known = [json.loads(line) for line in file.read_text().splitlines()]
    now = int(time.time()) - EVENTS
    lines = []
    for number in range(EVENTS - len(known)):
        pair, is_over = divmod(number, 2)
        at = now + number
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
        event = {**known[0], "id": uuid7(at * 1000), "seq": number + 1, "subject": f"infra/stacks/old-{pair % 500}/docker-compose.yml"}
        event |= {"event": "drift.resolved" if is_over else "drift.detected", "detected_at": moment, "detected_at_unix": at}
        lines.append(event)
    for event in known:
        lines.append({**event, "seq": len(lines) + 1})
    file.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


@contextlib.contextmanager
def nginx(directory, bodies):
    """A server of files; gives its addresses."""
    port = free_port()
    served = directory / "served"
    served.mkdir()
    for name, body in bodies.items():
        (served / name).write_bytes(body)
    os.chmod(directory, 0o755)
    config = directory / "nginx.conf"
    config.write_text(
        f"user root;\nworker_processes auto;\ndaemon off;\npid {directory}/nginx.pid;\nerror_log /dev/null;\nevents {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; root {served}; }} }}\n"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield {name: f"http://127.0.0.1:{port}/{name}" for name in bodies}
    finally:
        process.terminate()
        process.wait(10)


def wrk(url, token, seconds, connections):
    """Latencies in milliseconds (half of all, 99 of 100) and requests a second."""
    line = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=10s", "--latency"]
    line += ["--header", f"Authorization: Bearer {token}", url]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        raise RuntimeError(text)
    share = {name: float(value) * UNITS[unit] for name, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", text)}
    return share["50"], share["99"], float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def compared(given, agent, token, directory):
    """Both servers one after the other, twice; the better one of each counts."""
    bodies = {f"f{number}": agent.ask(path, token) for number, path in enumerate(PATHS)}
    print("| path | bytes | nginx: p50, p99 (ms) | agent: p50, p99 (ms) | ratio of p50 | ratio of p99 | requests a second |")
    print("|---|---|---|---|---|---|---|")
    with nginx(directory, bodies) as files:
        for path, (name, body) in zip(PATHS, bodies.items(), strict=True):
            address = f"http://127.0.0.1:{agent.port}{path}"
            theirs, ours = [], []
            for _ in range(2):
                theirs.append(wrk(files[name], token, given.seconds, given.connections))
                ours.append(wrk(address, token, given.seconds, given.connections))
            (t50, t99, their_rate), (o50, o99, rate) = min(theirs), min(ours)
            cells = [f"`{path}`", f"{len(body)}", f"{t50:.2f}, {t99:.2f}", f"{o50:.2f}, {o99:.2f}"]
            print("| " + " | ".join([*cells, f"{o50 / t50:.1f}", f"{o99 / t99:.1f}", f"{rate:.0f} of {their_rate:.0f}"]) + " |", flush=True)


def loaded(given, agent, token):
    """Memory while everything is read and checked."""
    begin, samples, first = time.monotonic(), [], agent.runs(token)
    while time.monotonic() < begin + given.minutes * 60:
        for path in PATHS:
            wrk(f"http://127.0.0.1:{agent.port}{path}", token, 1, given.connections)
            agent.ask("/drift/reconcile", token, b"{}")
            samples.append((time.monotonic() - begin, agent.memory()))
    print(f"under load: {agent.runs(token) - first} runs in {given.minutes:g} min")
    tenth = max(1, len(samples) // 10)
    for part in range(0, len(samples), tenth):
        some = samples[part : part + tenth]
        print(f"  {some[0][0]:4.0f} s: {min(it[1] for it in some):.1f} to {max(it[1] for it in some):.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftlock", required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=10)
    given = parser.parse_args()
    binary = str(pathlib.Path(given.driftlock).resolve())
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        project, token = project_in(directory, binary)
        with Agent(binary, project) as agent:
            while agent.runs(token) < 1:
                time.sleep(0.05)
        fill_journal(project)
        # What has been numbered anew is read once.
        with Agent(binary, project) as agent:
            while agent.runs(token) < 1:
                time.sleep(0.05)
        begin = time.monotonic()
        with Agent(binary, project) as agent:
            print(f"start to ready with {EVENTS} events: {(time.monotonic() - begin) * 1e3:.0f} ms")
            while agent.runs(token) < 1:
                time.sleep(0.05)
            time.sleep(2)
            print(f"idle: {agent.memory():.1f} MB")
            compared(given, agent, token, directory)
            print(f"after that: {agent.memory():.1f} MB")
            loaded(given, agent, token)
            time.sleep(5)
            print(f"idle again: {agent.memory():.1f} MB")


main()
