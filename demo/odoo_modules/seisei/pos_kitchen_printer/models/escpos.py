"""The few ESC/POS commands a kitchen ticket needs."""

INIT = b"\x1b@"
BOLD_ON, BOLD_OFF = b"\x1bE\x01", b"\x1bE\x00"
DOUBLE_ON, DOUBLE_OFF = b"\x1d!\x11", b"\x1d!\x00"
CENTER, LEFT = b"\x1ba\x01", b"\x1ba\x00"
FEED_AND_CUT = b"\x1bd\x04\x1dV\x01"

COLUMNS = {"58": 32, "80": 48}


def encode(text, encoding):
    """Encode for the printer; what its code page lacks becomes a question mark."""
    return text.encode(encoding, errors="replace")


def wrap(text, width, indent):
    """Break `text` at spaces into lines of at most `width`; continuation lines are indented."""
    lines, current = [], ""
    for word in text.split():
        candidate = f"{current} {word}" if current.strip() else current + word
        if len(candidate) > width and current.strip():
            lines.append(current)
            candidate = " " * indent + word
        current = candidate
    return [*lines, current] if current else lines


def ticket(title, subtitle, items, paper="80", encoding="cp858"):
    """Build one ticket. `items` is a list of (quantity, name, note)."""
    width = COLUMNS[paper]
    parts = [INIT, CENTER, DOUBLE_ON, encode(title, encoding), b"\n", DOUBLE_OFF]
    parts += [encode(subtitle, encoding), b"\n", LEFT, b"-" * width, b"\n"]
    for quantity, name, note in items:
        parts.append(BOLD_ON)
        for line in wrap(f"{quantity:g} x {name}", width, indent=4):
            parts += [encode(line, encoding), b"\n"]
        parts.append(BOLD_OFF)
        for line in wrap(f"* {note}" if note else "", width - 4, indent=2):
            parts += [b"    ", encode(line, encoding), b"\n"]
    parts.append(FEED_AND_CUT)
    return b"".join(parts)
