"""Runs the cases and prints the one table. Called by scripts/bench.sh, which builds what is measured."""

import argparse
import pathlib
import sys

import containers
import inside
import measure
import servers
import sizes
import small
import startup
import table

CASES = {
    "small": small.rows,
    "wheels": small.wheels,
    "start": startup.rows,
    "large": sizes.large,
    "mixed": sizes.mixed,
    "many": sizes.many,
    "cold": small.cold,
    "since": small.since,
    "ssh": servers.rows,
    "docker": containers.rows,
    "inside": inside.rows,
}


def main():
    given = arguments()
    scripts = pathlib.Path(__file__).resolve().parent.parent
    programs = {name: str(pathlib.Path(getattr(given, name)).resolve()) for name in ("driftlock", "floor", "rate", "tree")}
    bench = measure.Bench(**programs, dir=given.dir.resolve(), scripts=scripts, short=given.short)
    rows = []
    for name in given.cases or CASES:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += CASES[name](bench)
    told = measure.machine(bench.dir)
    print("\n".join(f"{what}: {said}" for what, said in told.items()) + "\n\n" + table.plain(rows))
    if given.short:
        print("\nA short run shows that everything works, not how fast: its figures mean nothing.")
    document = "\n".join([*(f"- {what}: {said}" for what, said in told.items()), "", table.markdown(rows), ""])
    (bench.dir / "table.md").write_text(document)
    print(f"\nThe same as Markdown: {bench.dir / 'table.md'}")
    if given.document:
        replace(scripts.parent / "docs" / "performance.md", document)


def replace(page, document):
    """Puts the table where the page has the last one."""
    before, begin, rest = page.read_text().partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    if not end:
        raise RuntimeError(f"{page} has no place for the table")
    page.write_text(before + begin + document + end + after)


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("driftlock", "floor", "rate", "tree"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--document", action="store_true")
    parser.add_argument("cases", nargs="*", choices=[[], *CASES])
    return parser.parse_args()


if __name__ == "__main__":
    main()
