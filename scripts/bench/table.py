"""Rows of the one table, for the terminal and for Markdown."""

from dataclasses import astuple, dataclass, fields


@dataclass
class Row:
    """One measurement beside its yardstick; everything is words by now."""

    case: str
    what: str
    median: str = ""
    best: str = ""
    memory: str = ""
    ratio: str = ""
    to: str = ""
    wanted: str = ""
    met: str = ""


def ms(value):
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def mb(value):
    return "" if value is None else f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB"


def timed(case, what, times, yardstick=None, to="", memory=None):
    """A row that nothing is wanted of."""
    row = Row(case, what, ms(times.median), ms(times.best), mb(memory))
    if yardstick is not None:
        row.ratio, row.to = f"{times.median / yardstick:.2f}", to
    return row


def judged(row, value, limit, unit="", least=False):
    """The same row, held against what is wanted: at most the limit, or at least."""
    row.wanted = f"{'≥' if least else '≤'} {limit:g}{unit}"
    row.met = "yes" if (value >= limit if least else value <= limit) else "no"
    return row


def missing(case, what, why):
    """A row for what cannot be measured here."""
    return Row(case, what, median=f"not measured: {why}", met="-")


def cells(row):
    return [str(cell) for cell in astuple(row)]


HEAD = [field.name for field in fields(Row)]


def plain(rows):
    """Columns for a terminal."""
    lines = [HEAD, *map(cells, rows)]
    long = 34
    widths = [max(len(line[i]) for line in lines if len(line[i]) <= long or i == 1) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown(rows):
    """A table for a document."""
    line = lambda each: "| " + " | ".join(cell.replace("|", "\\|") for cell in each) + " |"
    return "\n".join([line(HEAD), line(["---"] * len(HEAD)), *(line(cells(row)) for row in rows)])
