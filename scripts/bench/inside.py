"""What containers really have: the cost of looking at their mounts and at the files inside them, on a real engine."""

import os
import re
import shutil
import subprocess

import table
import trees
from containers import IMAGE, Proxy, created

ADDONS = "/mnt/addons"
INSPECT = re.compile(r"/containers/[^/]+/json(\?|$)")


def rows(bench):
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    busybox = shutil.which("busybox")
    if not busybox or subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
        yield table.missing("inside containers", "driftlock check", "no engine answers, or busybox is missing")
        return
    line = f"tar -C {os.path.dirname(busybox)} -c busybox | docker import -c 'CMD [\"/busybox\", \"sleep\", \"100000\"]' - {IMAGE}"
    subprocess.run(["sh", "-c", line], stdout=subprocess.DEVNULL, check=True)
    yield from mounts(bench, engine)
    yield from contents(bench)
    yield archive(bench)


def start(name, *options):
    """A running container."""
    line = ["docker", "run", "-d", "--network", "none", "--name", name, *options, IMAGE]
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)


def mounts(bench, engine):
    """The check of mounts beside the list of containers that is asked for anyway, and how often the engine is asked."""
    count = 2 if bench.short else 20
    project = trees.generated(bench, "inside-mounts", 100)
    names = [f"driftlock-inside-{number}" for number in range(count)]
    place = f"{bench.dir}/inside.sock"
    with created(names):
        for name in names:
            start(name, "-v", f"{project}/addons:{ADDONS}:ro")
        trees.baseline(bench, project, ["addons"], docker='mode = "required"\ncontainers = ["driftlock-inside-*"]\n')
        without, alone = bench.check(project, "--only", "docker_images"), bench.check(project, "--only", "docker_images", "--only", "container_mounts")
        times = bench.time({"without": without, "with": alone}, 30, shell=False)
        proxy = Proxy(place, engine)
        environment = {**os.environ, "DOCKER_HOST": f"unix://{place}"}
        subprocess.run(alone.split(), stdout=subprocess.DEVNULL, env=environment, check=True)
        inspects = sum(bool(INSPECT.search(path)) for path in proxy.requests)
        proxy.listener.close()
        os.unlink(place)
    trees.forget_runs(project)
    case = f"mounts of {count} containers"
    yield table.timed(case, "driftlock check --only docker_images", times["without"])
    more = times["with"].median - times["without"].median
    row = table.timed(case, f"the same with container_mounts: {more:+.1f} ms", times["with"])
    yield table.judged(row, more, 5, " ms more")
    row = table.Row(case, f"inspects: {inspects} of {count} containers")
    yield table.judged(row, inspects / count, 1, " a container")


def contents(bench):
    """Files inside a running container beside the same files on the host, and beside a copy by hand."""
    files = 100 if bench.short else 2_000
    project, name = trees.generated(bench, f"inside{files}", files, 25_000), "driftlock-inside-files"
    inside = f'mode = "required"\ncontainers = ["{name}"]\n[[docker.contents]]\ncontainer = "{name}"\npath = "{ADDONS}"\nis = "addons"\n'
    copy = bench.dir / "inside-copy"
    with created([name]):
        start(name)
        subprocess.run(["docker", "exec", name, "/busybox", "mkdir", "-p", "/mnt"], check=True)
        subprocess.run(["docker", "cp", "-q", f"{project}/addons", f"{name}:{ADDONS}"], check=True)
        trees.baseline(bench, project, ["addons"], docker=inside)
        hand = (
            f"rm -rf {copy} && mkdir {copy} && docker cp {name}:{ADDONS} - | tar -x -C {copy} "
            f"&& find {copy} -type f -print0 | xargs -0 -P{bench.cores} -n 500 sha256sum >/dev/null"
        )
        check = bench.check(project, "--only", "container_contents")
        host = bench.check(project, "--only", "addon_hashes")
        commands = {"inside": check, "host": host, "hand": hand}
        times = bench.time(commands, 10)
        peak = bench.peak(check)
    trees.forget_runs(project)
    shutil.rmtree(copy, ignore_errors=True)
    case = f"inside: {files:,} of 25 KB"
    yield table.timed(case, "driftlock check of the host's files", times["host"])
    row = table.timed(case, "driftlock check of the files in a running container", times["inside"], times["host"].median, "the host's", peak)
    yield table.judged(row, times["inside"].median / times["host"].median, 1.2)
    row = table.timed(case, "the same", times["inside"], times["hand"].median, "docker cp | tar -x, sha256sum")
    yield table.judged(row, times["inside"].median / times["hand"].median, 0.3)


def archive(bench):
    """Memory while an archive is read, of a container that does not run."""
    count, size = (2, 4) if bench.short else (5, 1024)
    case, name = f"archive of {count} x {size:,} MiB", "driftlock-inside-archive"
    project = bench.dir / "inside-archive"
    module = project / "addons" / "module_large"
    module.mkdir(parents=True, exist_ok=True)
    (module / "__manifest__.py").write_text("{}\n")
    for number in range(count):
        subprocess.run(["sh", "-c", f"head -c {size}M /dev/zero >{module}/large_{number}.bin"], check=True)
    inside = f'mode = "required"\ncontainers = ["{name}"]\n[[docker.contents]]\ncontainer = "{name}"\npath = "/addons"\nis = "addons"\n'
    with created([name]):
        subprocess.run(["docker", "create", "--name", name, IMAGE], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["docker", "cp", "-q", f"{project}/addons", f"{name}:/addons"], check=True)
        trees.baseline(bench, project, ["addons"], docker=inside)
        peak = bench.peak(bench.check(project, "--only", "container_contents"))
    shutil.rmtree(project)
    return table.judged(table.Row(case, "driftlock check: peak memory", memory=table.mb(peak)), peak, 40, " MB")
