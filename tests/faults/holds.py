"""What must hold of a destination's tables: every row there, once; the ledger adds up; nothing else is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from faults.dumps import KEYLESS, Bucket, Content, as_text
from faults.warehouses import Reader, Row, Warehouse

SCHEMA = "heap"

_SYSTEM = ("_sdc_batched_at", "_sdc_received_at", "_sdc_sequence", "_sdc_table_version")
_GENERATED_KEY = "__sdc_primary_key"
_SOURCE_KEY = "_sdc_source_key_"

#: All rows by table, subtables beside their parents; `_sdc_rejected` and generations left out.
Tables = Mapping[str, Sequence[Row]]


def check_whole(warehouse: Warehouse, bucket: Bucket, home: Path) -> None:
    """Fail unless everything that was written has landed, once, and nothing else; and nothing is left behind."""
    with warehouse.reading() as read:
        tables = _read(read)
        held = _by_stream(tables)
        for stream, expected in bucket.truth.items():
            assert not (told := list(_differences(held.get(stream, {}), expected))), _told(stream, told)
        assert held.keys() == bucket.truth.keys()
        _check_system_columns(tables)
        _check_ledger(read, {name: len(rows) for name, rows in tables.items()})
        _check_nothing_is_left(read, warehouse.own_tables)
    assert [path for path in home.glob("spool/*") if path.is_dir()] == []


def check_between(warehouse: Warehouse, bucket: Bucket, before: Mapping[str, int]) -> dict[str, int]:
    """Fail unless each table is as it is after one of its files, and not an earlier one than before.

    No more than that may a reader ever see, whatever becomes of a run. Return each table's place among its states.
    """
    with warehouse.reading() as read:
        tables = _read(read)
        held = _by_stream(tables)
        places = {
            stream: _place(stream, held.get(stream, {}), bucket, before.get(stream, 0)) for stream in bucket.states
        }
        _check_system_columns(tables)
        _check_ledger(read, {})
    return places


def read_marks(read: Reader) -> dict[str, int]:
    """Return the number of loads that each lane has committed."""
    made = read("select 1 from information_schema.tables where table_schema = '_lockstitch' and table_name = 'marks'")
    return {row["lane"]: row["number"] for row in read("select lane, number from _lockstitch.marks")} if made else {}


def _place(stream: str, held: Content, bucket: Bucket, earliest: int) -> int:
    states = bucket.states[stream]
    places = [at for at, state in enumerate(states) if not any(_differences(held, state))]
    if not places:
        nearest = min((list(_differences(held, state)) for state in states), key=len)
        raise AssertionError(_told(f"{stream} is in a state that no reader may see; the nearest", nearest))
    assert places[-1] >= earliest, f"{stream} went back to the state after file {places[-1]}, from {earliest}"
    return max(places[0], earliest)


def _read(read: Reader) -> Tables:
    found = read(f"select table_name from information_schema.tables where table_schema = '{SCHEMA}'")
    names = sorted(row["table_name"] for row in found)
    return {name: read(f'select * from {SCHEMA}."{name}"') for name in names if not name.startswith("_sdc")}


def _by_stream(tables: Tables) -> dict[str, Content]:
    """Return the tables as the truth has them: without our columns, and each subtable with its top table."""
    held: dict[str, dict[str, Counter[str]]] = {}
    for name, rows in tables.items():
        stream = name.partition("__")[0]
        if stream == KEYLESS:
            continue
        texts = Counter(as_text({column: row[column] for column in row if column not in _SYSTEM}) for row in rows)
        held.setdefault(stream, {})[name] = texts
    if KEYLESS in tables:
        held[KEYLESS] = {KEYLESS: _joined(tables)}
    return {stream: {name: rows for name, rows in content.items() if rows} for stream, content in held.items()}


def _joined(tables: Tables) -> Counter[str]:
    """Join the notes of visits, whose key is generated, to their visit. Notes without one make a row of their own."""
    notes: dict[str, dict[int, str]] = defaultdict(dict)
    for row in tables.get(f"{KEYLESS}__notes", ()):
        own = notes[row[_SOURCE_KEY + _GENERATED_KEY]]
        assert row["_sdc_level_0_id"] not in own, f"a note is there twice: {row}"
        own[row["_sdc_level_0_id"]] = row["value"]
    visits: Counter[str] = Counter()
    for row in tables[KEYLESS]:
        own = notes.pop(row[_GENERATED_KEY], {})
        shown = {column: value for column, value in row.items() if column not in (*_SYSTEM, _GENERATED_KEY)}
        visits[as_text({**shown, "notes": [own[at] for at in sorted(own)]})] += 1
    visits.update(f"notes without a visit: {own}" for own in notes.values())
    return visits


def _differences(held: Content, expected: Content) -> list[str]:
    told: list[str] = []
    for relation in sorted({*held, *expected}):
        have, want = held.get(relation, Counter[str]()), expected.get(relation, Counter[str]())
        told += [f"{relation} lacks {number} x {row}" for row, number in (want - have).items()]
        told += [f"{relation} has {number} too many of {row}" for row, number in (have - want).items()]
    return told


def _told(what: str, differences: Sequence[str]) -> str:
    return "\n".join([f"{what}: {len(differences)} differences", *differences[:10]])


def _check_system_columns(tables: Tables) -> None:
    """Each record has a number of its own; all rows of a table are of one version; subtables go with their parents."""
    for name, rows in tables.items():
        assert all(row[column] is not None for row in rows for column in _SYSTEM if column in row), name
        assert len({row["_sdc_table_version"] for row in rows}) <= 1, f"{name} has rows of several versions"
        top = name.partition("__")[0]
        numbers = Counter(row["_sdc_sequence"] for row in rows)
        if name == top:
            assert max(numbers.values(), default=1) == 1, f"{name} has a sequence number twice"
            continue
        parents = {row["_sdc_sequence"] for row in tables[top]}
        assert numbers.keys() <= parents, f"{name} has rows that came with another version of their parent"


def _check_ledger(read: Reader, counts: Mapping[str, int]) -> None:
    """Each load accounts for its rows, no load is missing, and together they make the tables' row counts."""
    marks = read_marks(read)
    loads: dict[str, set[int]] = defaultdict(set)
    total: dict[str, int] = defaultdict(int)
    for row in read("select * from _lockstitch.ledger order by lane, number") if marks else ():
        landed = row["inserted"] + row["updated"] + row["superseded"] + row["rejected"]
        assert row["read"] == landed, f"the ledger does not add up: {row}"
        loads[row["lane"]].add(row["number"])
        name = row["table_name"]
        total[name] = row["total"] if row["total"] is not None else total[name] + row["inserted"] - row["removed"]
    assert {lane: set(range(1, number + 1)) for lane, number in marks.items()} == loads
    assert {name: total[name] for name in counts} == counts


def _check_nothing_is_left(read: Reader, own: frozenset[str]) -> None:
    found = read("select table_schema, table_name from information_schema.tables")
    ours = {row["table_name"] for row in found if row["table_schema"] == "_lockstitch"}
    assert ours == own
    assert read("select * from _lockstitch.generations") == []
    users = {row["table_name"] for row in found if row["table_schema"] == SCHEMA}
    assert {name for name in users if name.startswith("_")} == {"_sdc_rejected"}
    assert read(f"select * from {SCHEMA}._sdc_rejected") == []
    assert {row["table_schema"] for row in found} - {SCHEMA, "_lockstitch"} <= {"pg_catalog", "information_schema"}
