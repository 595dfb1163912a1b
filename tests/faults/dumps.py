"""A small bucket in Heap's format, dump by dump, and the truth: what its tables must hold after each file.

The truth is folded in plain Python out of the rows that were written, and knows nothing of our connector or engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch.testing.heap_bucket import DumpTable, write_dump

Row = dict[str, Any]

#: A table and its subtables: relation -> its rows, as text, each with how often it is there.
Content = Mapping[str, Counter[str]]

#: Loads are cut at the first file's end after so many rows: each file is one.
LOAD_ROWS = 10

KEYS = {
    "users": "user_id",
    "user_migrations": "from_user_id",
    "sessions": "event_id",
    "clicks": "event_id",
    "purchases": "event_id",
}
#: Has no column of the key that Heap's tables have, so that its rows are appended.
KEYLESS = "visits"

_AVRO = {"int": "long", "text": "string", "float": "double", "flag": "boolean"}
_FIELDS: dict[str, dict[str, Any]] = {
    "users": {"user_id": "int", "email": "text", "score": "float", "admin": "flag"},
    "user_migrations": {"from_user_id": "int", "to_user_id": "int", "time": "text"},
    "sessions": {"event_id": "int", "time": "text", "landing_page": "text", "browser": "text"},
    "clicks": {"event_id": "int", "time": "text", "items": [{"sku": "text", "codes": ["int"]}], "tags": ["text"]},
    "visits": {"page": "text", "seconds": "int", "notes": ["text"]},
    "purchases": {"event_id": "int", "price": "float"},
}


@dataclass(frozen=True)
class Delivery:
    """One table in one dump: its rows, file by file. A full one replaces what was there."""

    files: tuple[tuple[Row, ...], ...]
    full: bool = False
    lacks: str = ""


def _user(n: int, edition: int) -> Row:
    return {"user_id": n, "email": f"{n}@{edition}", "score": n / 7 if n % 5 else None, "admin": n % 2 == 0}


def _migration(n: int, edition: int) -> Row:
    return {"from_user_id": n, "to_user_id": n * 10 + edition, "time": f"2026-01-0{edition}"}


def _session(n: int, edition: int) -> Row:
    row = {"event_id": n, "time": f"2026-01-0{edition}", "landing_page": f"/{n % 6}"}
    return row | ({"browser": f"browser {n % 3}"} if edition == 3 else {})


def _click(n: int, edition: int) -> Row:
    items = [{"sku": f"{n}-{at}-{edition}", "codes": list(range((n + at) % 3))} for at in range((n + edition) % 4)]
    tags = [f"tag {n + at}" for at in range(n % 3)] if edition < 3 else []
    return {"event_id": n, "time": f"2026-01-0{edition}", "items": items, "tags": tags}


def _visit(n: int, edition: int) -> Row:
    """Many visits are alike, each is a row of its own."""
    return {"page": f"/{n % 3}", "seconds": n % 2 + edition % 2, "notes": ["seen", f"{n % 2}"][: n % 3]}


def _purchase(n: int, edition: int) -> Row:
    return {"event_id": n, "price": n / edition}


_ROWS = {
    "users": _user,
    "user_migrations": _migration,
    "sessions": _session,
    "clicks": _click,
    "visits": _visit,
    "purchases": _purchase,
}


def _delivery(table: str, edition: int, *files: Sequence[int], full: bool = False, lacks: str = "") -> Delivery:
    return Delivery(tuple(tuple(_ROWS[table](n, edition) for n in file) for file in files), full, lacks)


def _together(*deliveries: Delivery) -> Delivery:
    return Delivery(tuple(file for delivery in deliveries for file in delivery.files))


def _one_file(*deliveries: Delivery) -> Delivery:
    return Delivery((tuple(row for file in _together(*deliveries).files for row in file),))


#: A first fill; an increment with new, changed and repeated rows; a resync of event tables, one with a new property,
#: and an event table that was not there before. `user_migrations` comes whole each time.
DUMPS: dict[int, dict[str, Delivery]] = {
    100: {
        "users": _delivery("users", 1, range(12), range(12, 24), range(24, 36), full=True),
        "user_migrations": _delivery("user_migrations", 1, range(12), range(12, 24), full=True),
        "sessions": _delivery("sessions", 1, range(15), range(15, 30), range(30, 45), full=True, lacks="browser"),
        "clicks": _delivery("clicks", 1, range(10), range(10, 20), range(20, 30), full=True),
        "visits": _delivery("visits", 1, range(12), range(12, 24), full=True),
    },
    101: {
        # Changed users, users as they were, and a file that has its users twice: the later row counts.
        "users": _together(
            _delivery("users", 2, range(6, 18)),
            _delivery("users", 1, range(18, 30)),
            _one_file(_delivery("users", 1, range(34, 40)), _delivery("users", 2, range(34, 40))),
        ),
        "user_migrations": _delivery("user_migrations", 2, range(4, 16), full=True),
        "sessions": _delivery("sessions", 2, range(40, 52), range(52, 64), lacks="browser"),
        "clicks": _delivery("clicks", 2, range(5, 15), range(15, 25), range(25, 35)),
        "visits": _delivery("visits", 2, range(12), range(12), range(3, 15)),
    },
    102: {
        "users": _delivery("users", 3, range(30, 45), range(45, 60)),
        "user_migrations": _delivery("user_migrations", 3, range(12), range(12, 24), range(24, 36), full=True),
        "sessions": _delivery("sessions", 3, range(10, 22), range(22, 34), range(60, 72), full=True),
        "clicks": _delivery("clicks", 3, range(20, 32), range(32, 44), full=True),
        "visits": _delivery("visits", 3, range(12), range(12, 24)),
        "purchases": _delivery("purchases", 3, range(12), range(12, 24)),
    },
}


class Bucket:
    """The bucket as it grows, and the contents that readers may see of each table meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: dict[str, list[Content]] = {}
        self._rows: dict[str, list[Row]] = {}
        folder.mkdir()

    def write(self, dump: int, tables: Mapping[str, Delivery] | None = None) -> None:
        """Write one of the dumps above, or another one."""
        tables = DUMPS[dump] if tables is None else tables
        write_dump(self.folder, dump, {name: _dump_table(name, delivery) for name, delivery in tables.items()})
        for name, delivery in tables.items():
            self._fold(name, delivery)

    @property
    def truth(self) -> dict[str, Content]:
        """Return what every table must hold once all that was written is replicated."""
        return {table: states[-1] for table, states in self.states.items()}

    def _fold(self, table: str, delivery: Delivery) -> None:
        """Add the states that a table goes through. A first fill and a replacement show as a whole, or not at all."""
        states = self.states.setdefault(table, [{}])
        whole = delivery.full or table not in self._rows
        rows = [] if whole else self._rows[table]
        for number, file in enumerate(delivery.files, start=1):
            rows = _added(table, rows, file)
            if not whole or number == len(delivery.files):
                states.append(content(table, rows))
        self._rows[table] = rows


def _added(table: str, before: Sequence[Row], file: Sequence[Row]) -> list[Row]:
    if table == KEYLESS:
        return [*before, *file]
    by_key = {row[KEYS[table]]: row for row in (*before, *file)}
    return list(by_key.values())


def content(table: str, rows: Sequence[Row]) -> Content:
    """Return rows as a destination's tables hold them: arrays of a table with a key are subtables of their own."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for relation, one in _relations(table, row):
            found.setdefault(relation, Counter())[as_text(one)] += 1
    return found


def _relations(table: str, row: Row) -> Iterator[tuple[str, Row]]:
    if table != "clicks":
        yield table, row
        return
    own = {"_sdc_source_key_event_id": row["event_id"]}
    yield table, {name: value for name, value in row.items() if name not in ("items", "tags")}
    for at, tag in enumerate(row["tags"]):
        yield "clicks__tags", {**own, "_sdc_level_0_id": at, "value": tag}
    for at, item in enumerate(row["items"]):
        yield "clicks__items", {**own, "_sdc_level_0_id": at, "sku": item["sku"]}
        for below, code in enumerate(item["codes"]):
            yield "clicks__items__codes", {**own, "_sdc_level_0_id": at, "_sdc_level_1_id": below, "value": code}


def as_text(row: Row) -> str:
    """Return a row as text in which 1, 1.0, true and "1" differ, and null and a missing column do not."""
    return ", ".join(f"{name}={value!r}" for name, value in sorted(row.items()) if value not in (None, []))


def _dump_table(table: str, delivery: Delivery) -> DumpTable:
    fields = {name: kind for name, kind in _FIELDS[table].items() if name != delivery.lacks}
    avro = [{"name": name, "type": ["null", _avro_type(kind, name)]} for name, kind in fields.items()]
    schema = {"type": "record", "name": "row", "fields": avro}
    rows = [row for file in delivery.files for row in file]
    assert len(rows) == len(delivery.files) * len(delivery.files[0]), "write_dump deals rows to files evenly"
    return DumpTable(rows, schema, incremental=not delivery.full, files=len(delivery.files))


def _avro_type(kind: Any, name: str) -> Any:
    if isinstance(kind, list):
        return {"type": "array", "items": _avro_type(kind[0], name)}
    if isinstance(kind, dict):
        fields = [{"name": each, "type": _avro_type(own, each)} for each, own in kind.items()]
        return {"type": "record", "name": f"one_of_{name}", "fields": fields}
    return _AVRO[kind]
