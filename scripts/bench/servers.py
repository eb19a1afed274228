"""A server over SSH without delay: a private sshd on this machine."""

import os
import pathlib
import shutil
import subprocess
import tempfile
from contextlib import contextmanager

import table
import trees


@contextmanager
def server(bench):
    """A running sshd: its directory, with `port`, `key` and `known_hosts` in it."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="driftlock-bench."))
    script = bench.scripts / "bench" / "sshd.sh"
    try:
        subprocess.run([script, "start", place], check=True)
        yield place
    finally:
        subprocess.run([script, "stop", place], check=False)
        shutil.rmtree(place)


def target(place, project):
    """The part of the configuration that names it."""
    port = (place / "port").read_text().strip()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f'[targets.near]\nhost = "127.0.0.1"\nport = {port}\nuser = "{user}"\nssh_key = "{place}/key"\n'
        f'known_hosts = "{place}/known_hosts"\nroot = "{project}"\ndocker = "off"\n'
    )


def rows(bench):
    if not os.access("/usr/sbin/sshd", os.X_OK) or not shutil.which("ssh"):
        yield table.missing("SSH", "driftlock check --target near", "sshd or ssh is missing")
        return
    with server(bench) as place:
        yield from beside_a_pipeline(bench, place)
        yield memory(bench, place)


def beside_a_pipeline(bench, place):
    files = 300 if bench.short else 10_000
    case = f"SSH: {files:,}"
    project = trees.generated(bench, f"shaped{files}", files)
    trees.baseline(bench, project, ["addons"], target(place, project))
    port = (place / "port").read_text().strip()
    ssh = f"ssh -F none -o BatchMode=yes -o IdentityAgent=none -o UserKnownHostsFile={place}/known_hosts -i {place}/key -p {port} 127.0.0.1"
    hand = f"cd {project}/addons && find . -type f -print0 | sort -z | xargs -0 -P{bench.cores} -n 500 sha256sum"
    check, since = bench.check(project, "--target", "near"), bench.check(project, "--target", "near", "--since-last")
    commands = {"check": check, "hand": f"{ssh} '{hand}' >/dev/null", "true": f"{ssh} true"}
    # The first one remembers what it reads; the limits are those of one run, side by side.
    if has_since_last := subprocess.run(since.split(), capture_output=True, check=False).returncode == 0:
        commands["since"] = since
    times = bench.time(commands, 10)
    by_hand = times["hand"].median
    row = table.timed(case, "driftlock check --target near", times["check"], by_hand, "the same by hand", bench.peak(check))
    yield table.judged(row, times["check"].median / by_hand, 0.8)
    what = "driftlock check --target near --since-last, nothing changed"
    if has_since_last:
        row = table.timed(case, what, times["since"], by_hand, "the same by hand", bench.peak(since))
        yield table.judged(row, times["since"].median / by_hand, 0.3)
    else:
        yield table.missing(case, what, "servers are read whole by this driftlock")
    yield table.timed(case, f"by hand: ssh 'find | sort -z | xargs -P{bench.cores} sha256sum'", times["hand"], by_hand, "the same by hand")
    yield table.timed(case, "ssh true", times["true"], by_hand, "the same by hand")
    trees.baseline(bench, project, ["addons"])


def memory(bench, place):
    files = 600 if bench.short else 100_000
    project = trees.generated(bench, f"even{files}", files, 1024)
    trees.baseline(bench, project, ["addons"], target(place, project))
    peak = bench.peak(bench.check(project, "--target", "near"))
    trees.forget_runs(project)
    row = table.Row(f"SSH: {files:,} of 1 KB", "peak memory on this side", memory=table.mb(peak))
    return table.judged(row, peak, 100, " MB")
