"""Few large files, large and small ones together, and very many."""

import statistics
import subprocess

import table
import trees

GIB = 1 << 30
TINY = 4 << 20


def large(bench):
    """Throughput beside what the cores hash in memory."""
    count, size = (2, TINY) if bench.short else (4, GIB)
    case = f"large files: {count} of {size >> 20:,} MiB"
    root = trees.large(bench, f"large{count}x{size >> 20}", count, size)
    project = trees.gathered(bench, f"of-large{count}x{size >> 20}", {"large": root})
    one, every = rates(bench)
    check, floor = bench.check(project), bench.floor_of(root)
    times = bench.time({"check": check, "floor": floor}, 7, shell=False)
    total = count * size
    for name, what in (("check", "driftlock check"), ("floor", f"floor, {bench.cores} threads")):
        rate = total / times[name].median * 1e3
        told = f"{what}: {rate / 1e9:.2f} GB/s"
        memory = bench.peak(check if name == "check" else floor)
        row = table.timed(case, told, times[name], memory=memory)
        row.ratio, row.to = f"{rate / (one * bench.cores):.2f}", f"{bench.cores} x SHA-256 in memory"
        yield table.judged(row, rate / (one * bench.cores), 0.9, least=True) if name == "check" else row
    row = table.timed(case, "driftlock check", times["check"], times["floor"].median, "floor")
    yield table.judged(row, times["check"].median / times["floor"].median, 1.15)
    yield table.Row(case, "SHA-256 in memory, one thread", f"{one / 1e9:.2f} GB/s")
    yield table.Row(case, f"SHA-256 in memory, {bench.cores} threads together", f"{every / 1e9:.2f} GB/s")
    trees.forget_runs(project)


def rates(bench):
    """Bytes a second that one thread, and all together, hash in memory: the median of some tries."""
    tries = []
    for _ in range(bench.runs(5)):
        line = [bench.rate, str(bench.cores), "8" if bench.short else "1024"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        tries.append([float(each) for each in done.stdout.split()])
    return [statistics.median(each) for each in zip(*tries)]


def mixed(bench):
    """One large file and many small ones: no core may idle while another works."""
    size, files = (TINY, 300) if bench.short else (GIB, 10_000)
    case = f"mixed: 1 of {size >> 20:,} MiB and {files:,} small"
    root = trees.large(bench, f"large1x{size >> 20}", 1, size)
    small = trees.generated(bench, f"shaped{files}", files)
    alone = trees.gathered(bench, "of-large1", {"large": root})
    # The large one comes last in the order of names, which is the worst place for it.
    both = trees.gathered(bench, "of-both", {"addons": small / "addons", "large": root})
    commands = {"both": bench.check(both), "large": bench.check(alone), "small": bench.check(small)}
    times = bench.time(commands, 7, shell=False)
    work = times["large"].median + times["small"].median * bench.cores
    ideal = max(times["large"].median, work / bench.cores)
    row = table.timed(case, "driftlock check", times["both"], ideal, "max(large alone, all work / cores)", bench.peak(commands["both"]))
    yield table.judged(row, times["both"].median / ideal, 1.1)
    yield table.timed(case, "driftlock check, the large one alone", times["large"])
    yield table.timed(case, "driftlock check, the small ones alone", times["small"])
    for project in (alone, both, small):
        trees.forget_runs(project)


def many(bench):
    """A hundred times as many files: time for each, and memory."""
    few, more = (300, 600) if bench.short else (10_000, 1_000_000)
    each = {}
    for files in (few, more):
        project = trees.generated(bench, f"even{files}", files, 1024)
        command = bench.check(project)
        times = bench.time({"check": command}, 20 if files == few else 5, shell=False)["check"]
        peak = bench.peak(command)
        each[files] = times.median / files
        row = table.timed(f"many: {files:,} of 1 KB", f"driftlock check: {each[files] * 1e3:.2f} us a file", times, memory=peak)
        if files == more:
            row.ratio, row.to = f"{each[more] / each[few]:.2f}", f"us a file of {few:,}"
            yield table.judged(row, each[more] / each[few], 1.15)
            row = table.Row(row.case, "driftlock check: peak memory", memory=table.mb(peak))
            yield table.judged(row, peak, 300, " MB")
        else:
            yield row
        trees.forget_runs(project)
