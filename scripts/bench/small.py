"""Many small files on a warm cache, beside other tools; and what has not changed since."""

import os
import subprocess

import table
import trees

EACH = "find {dir} -type f -print0 | xargs -0 -n 500 -P{cores} {tool} >/dev/null"


def rows(bench):
    """A generated tree of the shape of real modules."""
    files = 300 if bench.short else 10_000
    project = trees.generated(bench, f"shaped{files}", files)
    yield from on(bench, "small files", project, project / "addons")


def wheels(bench):
    """Real modules, where they were downloaded."""
    addons = bench.scripts.parent / "target" / "wheels" / "addons"
    if not addons.is_dir():
        yield table.missing("real modules", "driftlock check", "no target/wheels/addons, see scripts/wheels.sh")
        return
    project = trees.gathered(bench, "wheels", {"addons": addons})
    yield from on(bench, "real modules", project, addons.resolve())


def on(bench, case, project, directory):
    count, total = trees.size(directory)
    case = f"{case}: {count:,}, {total / 1e6:.0f} MB"
    check, floor = bench.check(project), bench.floor_of(directory)
    ours = bench.time({"check": check, "floor": floor}, 25, shell=False)
    peers = bench.time(reading(bench, project, directory), 5)
    peers |= bench.time(forgetful(project, directory), 5, prepare=git(project, directory, "read-tree HEAD"))
    peers |= bench.time({"git status": git(project, directory, "status --porcelain")}, 5)
    if not (bench.short and count > 300):
        peers |= bench.time({"one sha256sum a file": f"find {directory} -type f -exec sha256sum {{}} ';' >/dev/null"}, 2, warmup=0)
    least = ours["floor"].median
    row = table.timed(case, "driftlock check", ours["check"], least, "floor", bench.peak(check))
    yield table.judged(row, ours["check"].median / least, 1.15)
    fastest = min((name for name in peers if name != "git status"), key=lambda name: peers[name].median)
    row = table.timed(case, "driftlock check", ours["check"], peers[fastest].median, f"fastest peer that reads: {fastest}")
    yield table.judged(row, ours["check"].median / peers[fastest].median, 1)
    yield table.timed(case, f"floor: open, read, SHA-256, {bench.cores} threads", ours["floor"], least, "floor", bench.peak(floor))
    for name, times in sorted(peers.items(), key=lambda each: each[1].median):
        note = f"{name} (reads nothing, trusts stat)" if name == "git status" else name
        yield table.timed(case, note, times, least, "floor")
    trees.forget_runs(project)


def reading(bench, project, directory):
    """Peers that read everything."""
    aide = project / "aide"
    aide.mkdir(exist_ok=True)
    for old in aide.iterdir():
        old.unlink()
    conf = aide / "aide.conf"
    conf.write_text(
        f"database_in=file:{aide}/aide.db\ndatabase_out=file:{aide}/aide.db\ngzip_dbout=no\nlog_level=error\n"
        f"report_url=stdout\nnum_workers={bench.cores}\n{directory} sha256\n"
    )
    subprocess.run(["aide", f"--config={conf}", "--init"], stdout=subprocess.DEVNULL, check=True)
    each = {name: EACH.format(dir=directory, cores=bench.cores, tool=name) for name in ("sha256sum", "openssl dgst -sha256")}
    commit(project, directory)
    return {
        **{f"xargs -P{bench.cores} {name}": command for name, command in each.items()},
        f"hashdeep -j{bench.cores} -c sha256": f"hashdeep -j{bench.cores} -c sha256 -r {directory} >/dev/null",
        f"AIDE --check, {bench.cores} workers": f"aide --config={conf} --check >/dev/null",
        "git ls-files | git hash-object": f"cd {directory} && {git(project, directory, 'ls-files')} | "
        f"{git(project, directory, 'hash-object --stdin-paths')} >/dev/null",
    }


def forgetful(project, directory):
    """Git where its index knows no stat of any file: it has to read them all."""
    return {"git status without its stat cache": git(project, directory, "status --porcelain >/dev/null")}


def git(project, directory, rest):
    """A command of git on the tree, whose repository lies beside it."""
    return f"git --git-dir={project}/git --work-tree={directory} {rest}"


def commit(project, directory):
    """Commits the tree, once."""
    if not (project / "git" / "committed").exists():
        subprocess.run(["rm", "-rf", f"{project}/git"], check=True)
        identity = "-c user.name=bench -c user.email=bench@example.org -c gc.auto=0"
        for rest in ("init -q", "add -A -f", "commit -q --no-verify -m tree"):
            command = f"git {identity} {git(project, directory, rest)[4:]}"
            subprocess.run(["sh", "-c", command], check=True)
        (project / "git" / "committed").touch()


def since(bench):
    """Nothing changed since the last check, beside a walk that only looks."""
    files = 300 if bench.short else 10_000
    case = f"nothing changed: {files:,}"
    told = subprocess.run([bench.driftlock, "check", "--help"], capture_output=True, text=True, check=True)
    project = trees.generated(bench, f"shaped{files}", files)
    addons = project / "addons"
    commands = {"walk": bench.floor_of(addons, "--stat")}
    if "--since-last" in told.stdout:
        commands["check"] = bench.check(project, "--since-last")
    ours = bench.time(commands, 25, shell=False)
    found = bench.time({"find": f"find {addons} -printf '%p %s %T@ %C@\\n' >/dev/null"}, 10)
    walk = ours["walk"].median
    if "check" in ours:
        row = table.timed(case, "driftlock check --since-last", ours["check"], walk, "walk", bench.peak(commands["check"]))
        yield table.judged(row, ours["check"].median / walk, 1.5)
    else:
        yield table.missing(case, "driftlock check --since-last", "this driftlock has no --since-last")
    yield table.timed(case, f"walk: stat of every file, {bench.cores} threads", ours["walk"], walk, "walk")
    yield table.timed(case, "find -printf", found["find"], walk, "walk")
    trees.forget_runs(project)


def cold(bench):
    """Nothing in the page cache, beside `cat` of every file in the best order."""
    files = 300 if bench.short else 10_000
    case = f"cold cache: {files:,}"
    if os.geteuid() != 0 or not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        yield table.missing(case, "driftlock check", "needs root")
        return
    project = trees.generated(bench, f"shaped{files}", files)
    listed = f"find {project}/addons -type f"
    orders = {
        "cat, directory order": f"{listed} -print0 | xargs -0 cat >/dev/null",
        "cat, inode order": f"{listed} -printf '%i\\t%p\\0' | sort -zn | cut -z -f2- | xargs -0 cat >/dev/null",
        "cat, path order": f"{listed} -print0 | sort -z | xargs -0 cat >/dev/null",
    }
    # The programs themselves are warm: files alone are measured.
    programs = f"{bench.driftlock} {bench.floor} /bin/cat /usr/bin/find /usr/bin/xargs /usr/bin/sort /usr/bin/cut"
    drop = f"sync; echo 3 >/proc/sys/vm/drop_caches; cat {programs} >/dev/null; {bench.driftlock} --version >/dev/null"
    check = bench.check(project)
    all_of_them = {"check": check, "floor": bench.floor_of(project / "addons"), **orders}
    times = bench.time(all_of_them, 5, prepare=drop, warmup=0)
    best = min(orders, key=lambda name: times[name].median)
    yardstick = times[best].median
    row = table.timed(case, "driftlock check", times["check"], yardstick, f"best cat ({best[5:]})", bench.peak(check))
    yield table.judged(row, times["check"].median / yardstick, 1.1)
    for name in ["floor", *orders]:
        yield table.timed(case, name, times[name], yardstick, "best cat")
    trees.forget_runs(project)
