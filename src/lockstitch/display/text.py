"""How results look: JSON for machines, aligned columns and plain numbers for people."""

from __future__ import annotations

from collections.abc import Sequence


def json_text(document: object) -> str:
    """Return the document on one line; what JSON does not know becomes text."""
    import json

    return json.dumps(document, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, frozenset | set) else str(value)


def columns(headers: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """Return a table of aligned columns; whole numbers to the right, with their thousands set apart."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(headers), *cells]) for at in range(len(headers))]
    right = [bool(rows) and isinstance(rows[0][at], int) for at in range(len(headers))]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        )
        for row in [list(headers), *cells]
    ]
    return "\n".join(line.rstrip() for line in lines)


def count(number: int, noun: str) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Return bytes as a reader wants them: "12 B", "3.4 MB"."""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def clock(seconds: float) -> str:
    """Return a time span as "0:07", "12:05" or "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
