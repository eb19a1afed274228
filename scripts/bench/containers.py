"""How often the engine is asked: counted by a proxy in front of its socket."""

import os
import re
import socket
import subprocess
import threading
from contextlib import contextmanager

import table
import trees

REQUEST = re.compile(rb"(?:^|\r\n\r\n)(GET|POST|HEAD|PUT|DELETE) (\S+) HTTP/1\.1\r\n")
IMAGE = "driftlock-bench:1"


class Proxy:
    """Passes everything on, and keeps the requests."""

    def __init__(self, path, engine):
        self.engine, self.requests = engine, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self.engine)
            threading.Thread(target=self.forward, args=(client, upstream, self.note), daemon=True).start()
            threading.Thread(target=self.forward, args=(upstream, client, lambda _: None), daemon=True).start()

    def note(self, piece):
        self.requests += [path.decode() for _, path in REQUEST.findall(piece)]

    @staticmethod
    def forward(source, sink, note):
        try:
            while piece := source.recv(65536):
                note(piece)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@contextmanager
def created(names):
    """Removes the containers, however many of them were created."""
    try:
        yield
    finally:
        subprocess.run(["docker", "rm", "-f", *names], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def rows(bench):
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    answers = subprocess.run(["sh", "-c", "docker version >/dev/null 2>&1"], check=False).returncode == 0
    if not engine.startswith("/") or not answers:
        yield table.missing("containers", "calls of the engine", "no engine answers on a socket")
        return
    counts = (1, 3) if bench.short else (1, 20, 200)
    names = [f"driftlock-bench-{number}" for number in range(counts[-1])]
    project = bench.dir / "containers"
    (project / "addons" / "module").mkdir(parents=True, exist_ok=True)
    (project / "addons" / "module" / "__manifest__.py").write_text("{}\n")
    place = f"{bench.dir}/engine.sock"
    if os.path.exists(place):
        os.unlink(place)
    proxy = Proxy(place, engine)
    subprocess.run(["sh", "-c", f"tar -C / -c etc/hostname | docker import -c 'CMD [\"true\"]' - {IMAGE} >/dev/null"], check=True)
    with created(names):
        for number, count in enumerate(counts):
            for name in names[counts[number - 1] if number else 0 : count]:
                label = ["--label", "com.docker.compose.project=bench", "--label", f"com.docker.compose.service={name}"]
                subprocess.run(["docker", "create", "--name", name, *label, IMAGE], stdout=subprocess.DEVNULL, check=True)
            yield asked(bench, project, proxy, place, count)
    proxy.listener.close()
    os.unlink(place)


def asked(bench, project, proxy, place, count):
    """One check of some containers."""
    os.environ["DOCKER_HOST"], before = f"unix://{place}", os.environ.get("DOCKER_HOST")
    try:
        trees.baseline(bench, project, ["addons"], docker='mode = "required"\ncontainers = ["driftlock-bench-*"]\n')
        command = bench.check(project)
        proxy.requests.clear()
        peak = bench.peak(command)
        requests = list(proxy.requests)
        times = bench.time({"check": command}, 5, shell=False)["check"]
    finally:
        del os.environ["DOCKER_HOST"]
        if before:
            os.environ["DOCKER_HOST"] = before
    trees.forget_runs(project)
    told = ", ".join(re.sub(r"^/v[0-9.]+|\?.*", "", path) for path in requests[:4])
    row = table.timed(f"containers: {count}", f"driftlock check: {len(requests)} calls ({told})", times, memory=peak)
    return table.judged(row, len(requests), 2, " calls")
