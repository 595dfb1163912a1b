"""Tables as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table_html(headers: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """Return a table, whole numbers to the right with their thousands set apart; nothing where there is no row."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def line_html(text: str) -> str:
    """Return a line of text."""
    return f"<div>{escape(text)}</div>"


def _cell(value: str | int) -> str:
    if isinstance(value, int):
        return f'<td style="text-align:right">{value:,}</td>'
    return f'<td style="text-align:left">{escape(value)}</td>'
