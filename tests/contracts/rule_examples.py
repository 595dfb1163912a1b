"""Examples of the layout's rules, as data: what comes in, and what must stand then. Ids are those of docs/layout.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lockstitch.core.model import Batch, Message, Publish, Stream, Version

Rows = Sequence[Mapping[str, Any]]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MICROSECONDS = 1_767_323_045_000_000

KEYED = Stream("orders", (), ("id",))
KEYLESS = Stream("orders")


@dataclass(frozen=True, slots=True)
class Example:
    """Messages of one stream, and the rows of each table then: source's columns and `shows`, nulls left out.

    `rejects` are (table, reason) with X for the destination's title, in any order. `columns` are whole tables' columns
    in their order. `duckdb` holds what is other there.
    """

    rules: str
    messages: Sequence[Message]
    tables: Mapping[str, Rows]
    rejects: Sequence[tuple[str, str]] = ()
    stream: Stream = KEYED
    shows: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    duckdb: Mapping[str, Rows] | None = None
    duckdb_rejects: Sequence[tuple[str, str]] | None = None


def rows(kind: str = "upsert", *, stream: str = "orders", seq: Sequence[int] | None = None, **columns: Any) -> Batch:
    """Return a batch from columns, Arrow arrays or plain lists; `at` is not a column but the time of extraction."""
    at = columns.pop("at", None)
    arrays = [values if isinstance(values, pa.Array) else pa.array(values) for values in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    numbers = None if seq is None else pa.array(seq, pa.int64())
    return Batch(stream, batch, "delete" if kind == "delete" else "upsert", numbers, at)


def named(fields: Mapping[str, Any], *, stream: str = "orders") -> Batch:
    """Return a batch from columns whose names no Python argument can have."""
    return rows(stream=stream, **fields)


def text(*values: bytes | None) -> pa.Array:
    """Return text as it came, valid UTF-8 or not."""
    raw = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), raw.null_count)


def union(kinds: Sequence[pa.DataType], *pairs: tuple[int, Any]) -> pa.Array:
    """Return a union of (branch, value)."""
    branches: list[list[Any]] = [[] for _ in kinds]
    offsets = [len(branches[branch]) - 1 for branch, value in pairs if branches[branch].append(value) is None]
    arrays = [pa.array(values, kind) for values, kind in zip(branches, kinds, strict=True)]
    codes = pa.array([branch for branch, _ in pairs], pa.int8())
    return pa.UnionArray.from_dense(codes, pa.array(offsets, pa.int32()), arrays)


def version(number: int) -> Version:
    return Version("orders", number)


def publish(number: int, missing: Any = "remove") -> Publish:
    return Publish("orders", number, missing)


_NUMBERS_IN_OBJECTS = pa.list_(pa.struct([pa.field("n", pa.list_(pa.uint64()))]))
_N59, _N60 = "n" * 59, "n" * 60
_SYSTEM = ["_sdc_batched_at", "_sdc_received_at", "_sdc_sequence", "_sdc_table_version"]
_CHILD = [*_SYSTEM, "_sdc_source_key_id", "_sdc_level_0_id"]

NAMES = [
    Example(
        "R01",
        [named({"id": [1], "Name": ["a"]}), named({"id": [2], "NAME": ["b"]})],
        {"orders": [{"id": 1, "Name": "a"}, {"id": 2, "NAME": "b"}]},
        duckdb={"orders": [{"id": 1, "Name": "a"}, {"id": 2, "Name": "b"}]},
    ),
    Example(
        "R02",
        [named({"id": [1], "CUSTOMER! ID": [2], "naïve": [3]})],
        {"orders": [{"id": 1, "CUSTOMER ID": 2, "nave": 3}]},
    ),
    Example(
        "R03",
        [named({"id": [1], "123customerid": [2], "_987X": [3], " lead": [4], "trail ": [5]})],
        {"orders": [{"id": 1, "customerid": 2, "_987X": 3, "lead": 4, "trail ": 5}]},
    ),
    Example(
        "R04",
        [named({"id": [1, 2], "日本": [1, 2], "kept": [1, 2]})],
        {"orders": [{"id": 1, "kept": 1}, {"id": 2, "kept": 2}]},
        [("orders", "Column name 日本 has no characters that X allows")],
    ),
    Example(
        "R04",
        [named({"id": [1, 2], "日本": [1, 1], "!": [1, 1]})],
        {"orders": [{"id": 1}, {"id": 2}]},
        [
            ("orders", "Column name 日本 has no characters that X allows"),
            ("orders", "Column name ! has no characters that X allows"),
        ],
    ),
    Example(
        "R05",
        [named({"id": [1, 2, 3], "a": [1, 2, None], "a!": [1, None, 3]})],
        {"orders": [{"id": 2, "a": 2}, {"id": 3, "a": 3}]},
        [("orders", "Field collision on a")],
    ),
    Example(
        "R05",
        [named({"id": [1, 2], "a__b": [1, 2], "a": [{"b": 5}, None]})],
        {"orders": [{"id": 2, "a__b": 2}]},
        [("orders", "Field collision on a__b")],
    ),
    Example(
        "R05",
        [named({"id": [1], "a": [1], "A": ["x"]})],
        {"orders": [{"id": 1, "a": 1, "A": "x"}]},
        duckdb={},
        duckdb_rejects=[("orders", "Field collision on a")],
    ),
    Example(
        "R06",
        [named({"id": [1, 2], "a": [[1], [2]], "a!": [[3], []]})],
        {"orders": [{"id": 2}], "orders__a": [{"value": 2}]},
        [("orders", "Field collision on orders__a")],
    ),
    Example(
        "R07",
        [named({"id": [1], "select": [2], "order": [3], "table": [4], "user": [5]})],
        {"orders": [{"id": 1, "select": 2, "order": 3, "table": 4, "user": 5}]},
    ),
    Example(
        "R08",
        [named({"id": [1], "_sdc_mine": [1], "_RJM_x": [1], "!_SDC_sequence": [1], "_sdc_extra": ["kept"]})],
        {"orders": [{"id": 1, "_sdc_extra": "kept"}]},
        [
            ("orders", "column names from client should not include reserved prefix on _sdc_mine"),
            ("orders", "column names from client should not include reserved prefix on _RJM_x"),
            ("orders", "column names from client should not include reserved prefix on _SDC_sequence"),
        ],
        shows=["_sdc_extra"],
    ),
    Example(
        "R09",
        [rows(stream="_sdc_rejected", id=[1, 2])],
        {},
        [("_sdc_rejected", "table names from client should not include reserved prefix on _sdc_rejected")] * 2,
        stream=Stream("_sdc_rejected", (), ("id",)),
    ),
    Example(
        "R10",
        [named({"id": [1, 2], "a__bi": [None, 2], "b": [{"ST": "x"}, {"ST": "y"}], "c": [1, 2]})],
        {"orders": [{"id": 1, "c": 1}, {"id": 2, "c": 2}]},
        [
            ("orders", "column names from client should not include reserved datatype suffix on a__bi"),
            ("orders", "column names from client should not include reserved datatype suffix on b__ST"),
        ],
    ),
    Example(
        "R11",
        [named({"id": [1, 2], _N59: [1, None], _N60: [1, 2]}), named({"id": [3], _N59: ["x"]})],
        {"orders": [{"id": 1, f"{_N59}__bi": 1}, {"id": 2}, {"id": 3, f"{_N59}__st": "x"}]},
        [("orders", f"Column name {_N60} is too long for X")],
        duckdb={"orders": [{"id": 1, _N59: 1}, {"id": 2}, {"id": 3, f"{_N59}__st": "x"}]},
    ),
    Example(
        "R12",
        [rows(stream="t" * 64, id=[1, 2])],
        {},
        [("t" * 64, f"Table name {'t' * 64} is too long for X")] * 2,
        stream=Stream("t" * 64, (), ("id",)),
    ),
    Example(
        "R13",
        [named({"id": [1, 2], "a" * 56: [[[1]], [[2]]], "b": [[1], []]})],
        {"orders": [{"id": 1}, {"id": 2}], "orders__b": [{"value": 1}]},
        [(f"orders__{'a' * 56}", f"Table name orders__{'a' * 56} is too long for X")],
    ),
    Example(
        "R13",
        [named({"k" * 44: [1], "b": [[1]]})],
        {"orders": [{"k" * 44: 1}]},
        [("orders__b", f"Column name _sdc_source_key_{'k' * 44} is too long for X")],
        stream=Stream("orders", (), ("k" * 44,)),
    ),
    Example(
        "R14",
        [rows(id=[1]), named({"id": [2, 3], **{f"c{n}": [n, n] for n in range(1_596)}}), rows(id=[4])],
        {"orders": [{"id": 1}, {"id": 4}]},
        [("orders", "ERROR: too many columns")] * 2,
    ),
    Example(
        "R15",
        [named({"id__bi": [1], "a": [1]})],
        {},
        [("orders", "column names from client should not include reserved datatype suffix on id__bi")],
        stream=Stream("orders", (), ("id__bi",)),
    ),
]

TYPES = [
    Example(
        "R20",
        [
            rows(
                id=[1, 2],
                a=pa.array([255, 0], pa.uint8()),
                b=pa.array([2**63 - 1, -(2**63)], pa.int64()),
                c=pa.array([2**63 - 1, 2**63], pa.uint64()),
            )
        ],
        {"orders": [{"id": 1, "a": 255, "b": 2**63 - 1, "c": 2**63 - 1}]},
        [("orders", f"integer out of range for X on {2**63}")],
    ),
    Example("R21", [rows(id=[1, 2], a=[True, False])], {"orders": [{"id": 1, "a": True}, {"id": 2, "a": False}]}),
    Example(
        "R22",
        [rows(id=[1, 2, 3], a=[float("nan"), float("inf"), 0.1]), rows(id=[4], a=pa.array([0.5], pa.float32()))],
        {"orders": [{"id": 1, "a": "NaN"}, {"id": 2, "a": float("inf")}, {"id": 3, "a": 0.1}, {"id": 4, "a": 0.5}]},
    ),
    Example(
        "R23",
        [
            rows(id=[1], a=pa.array([Decimal("1.25")], pa.decimal128(5, 2))),
            rows(id=[2], a=pa.array([Decimal("1e-10")], pa.decimal128(20, 10))),
            rows(id=[3], a=pa.array([Decimal(10**37)], pa.decimal128(38, 0))),
        ],
        {
            "orders": [
                {"id": 1, "a": Decimal("1.25")},
                {"id": 2, "a": Decimal("1E-10")},
                {"id": 3, "a": Decimal("1E+37")},
            ]
        },
        duckdb={"orders": [{"id": 1, "a": Decimal("1.25")}]},
        duckdb_rejects=[
            ("orders", "decimal out of range for X on 1E-10"),
            ("orders", f"decimal out of range for X on {10**37}"),
        ],
    ),
    Example(
        "R24",
        [
            rows(
                id=[1],
                a=pa.array([AT], pa.timestamp("us", "America/New_York")),
                b=pa.array([AT.replace(tzinfo=None)], pa.timestamp("s")),
                c=pa.array([1], pa.date32()),
                d=pa.array([MICROSECONDS * 1_000], pa.timestamp("ns")),
            )
        ],
        {"orders": [{"id": 1, "a": MICROSECONDS, "b": MICROSECONDS, "c": 86_400_000_000, "d": MICROSECONDS}]},
    ),
    Example(
        "R25",
        [
            rows(id=[1, 2], a=pa.array([1, 2_000], pa.timestamp("ns"))),
            rows(id=[3, 4], a=pa.array([2**62, 0], pa.timestamp("s"))),
        ],
        {"orders": [{"id": 2, "a": 2}, {"id": 4, "a": 0}]},
        [("orders", "timestamp out of range for X")] * 2,
    ),
    Example(
        "R25",
        [rows(id=[1, 2], a=pa.array([-(2**31), 0], pa.int32()).view(pa.date32()))],
        {"orders": [{"id": 2, "a": 0}]},
        [("orders", "timestamp out of range for X")],
    ),
    Example(
        "R26",
        [rows(id=[1], a=pa.array(["x"]).dictionary_encode(), b=pa.array(["y"], pa.large_string()))],
        {"orders": [{"id": 1, "a": "x", "b": "y"}]},
    ),
    Example(
        "R26",
        [rows(id=[2], c=pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))))],
        {"orders": [{"id": 2, "c": "00000000-0000-0000-0000-000000000000"}]},
    ),
    Example(
        "R27",
        [rows(id=[1, 2, 3], a=text(b"fine", b"nul\0", b"\xff\0"))],
        {"orders": [{"id": 1, "a": "fine"}, {"id": 2, "a": "nul"}, {"id": 3, "a": "\ufffd"}]},
        [
            ("orders", "adjusted: U+0000 removed on a"),
            ("orders", "adjusted: U+0000 removed on a"),
            ("orders", "adjusted: invalid UTF-8 replaced on a"),
        ],
        duckdb={"orders": [{"id": 1, "a": "fine"}, {"id": 2, "a": "nul\0"}, {"id": 3, "a": "\ufffd\0"}]},
        duckdb_rejects=[("orders", "adjusted: invalid UTF-8 replaced on a")],
    ),
    Example(
        "R27",
        [
            rows(
                id=[1],
                a=pa.array([[b"\xff"]], pa.list_(pa.binary())),
                b=pa.ListArray.from_arrays([0, 1], text(b"\xff")),
            )
        ],
        {"orders": [{"id": 1}], "orders__a": [{"value": "/w=="}], "orders__b": [{"value": "\ufffd"}]},
        [("orders__b", "adjusted: invalid UTF-8 replaced on value")],
    ),
    Example(
        "R28",
        [rows(id=[1, 2], a=pa.array([b"caf\xc3\xa9", b"\xff\xfe"], pa.binary()))],
        {"orders": [{"id": 1, "a": "café"}, {"id": 2, "a": "//4="}]},
    ),
    Example(
        "R29",
        [
            rows(
                id=[1],
                a=pa.array([45_296], pa.time32("s")),
                b=pa.array([45_296_123], pa.time32("ms")),
                c=pa.array([45_296_000_001], pa.time64("us")),
                d=pa.array([90_500], pa.duration("ms")),
                e=pa.array([-1_000_000], pa.duration("us")),
                f=pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
            )
        ],
        {
            "orders": [
                {
                    "id": 1,
                    "a": "12:34:56",
                    "b": "12:34:56.123",
                    "c": "12:34:56.000001",
                    "d": "PT90.500S",
                    "e": "PT-1.000000S",
                }
            ]
        },
        [("orders", "Column f has the unsupported type month_day_nano_interval")],
    ),
    Example(
        "R30",
        [rows(id=[1], a=pa.array([None], pa.int64()), b=[1]), rows(id=[2], a=[None]), rows(id=[3], a=[True])],
        {"orders": [{"id": 1, "b": 1}, {"id": 2}, {"id": 3, "a": True}]},
    ),
    Example(
        "R31",
        [rows(a=[None, None], b=pa.array([[None], None], pa.list_(pa.int64())))],
        {"orders": [{}, {}], "orders__b": [{}]},
        stream=KEYLESS,
    ),
    Example(
        "R32 R34",
        [
            rows(id=[1], a=[1]),
            rows(id=[2], a=[1.5]),
            rows(id=[3], a=[None]),
            rows(id=[4], a=["x"]),
            rows(id=[5], a=[2]),
        ],
        {
            "orders": [
                {"id": 1, "a__bi": 1},
                {"id": 2, "a__do": 1.5},
                {"id": 3},
                {"id": 4, "a__st": "x"},
                {"id": 5, "a__bi": 2},
            ]
        },
        duckdb={
            "orders": [
                {"id": 1, "a": 1},
                {"id": 2, "a__do": 1.5},
                {"id": 3},
                {"id": 4, "a__st": "x"},
                {"id": 5, "a": 2},
            ]
        },
    ),
    Example(
        "R34",
        [
            rows(id=[1], a=[True], b=[AT], c=[Decimal("1.5")]),
            rows(id=[2], a=["x"], b=["x"], c=["x"]),
        ],
        {
            "orders": [
                {"id": 1, "a__bo": True, "b__ti": MICROSECONDS, "c__de": Decimal("1.5")},
                {"id": 2, "a__st": "x", "b__st": "x", "c__st": "x"},
            ]
        },
        duckdb={
            "orders": [
                {"id": 1, "a": True, "b": MICROSECONDS, "c": Decimal("1.5")},
                {"id": 2, "a__st": "x", "b__st": "x", "c__st": "x"},
            ]
        },
    ),
    Example(
        "R33",
        [rows(id=[1, 2, 3], a=union([pa.string(), pa.int64()], (0, "x"), (1, 5), (0, None)))],
        {"orders": [{"id": 1, "a__st": "x"}, {"id": 2, "a__bi": 5}, {"id": 3}]},
        duckdb={"orders": [{"id": 1, "a__st": "x"}, {"id": 2, "a": 5}, {"id": 3}]},
    ),
    Example(
        "R33",
        [rows(id=[1, 2], a=union([pa.timestamp("us"), pa.int64(), pa.timestamp("ns")], (0, 7), (1, 5)))],
        {"orders": [{"id": 1, "a__ti": 7}, {"id": 2, "a__bi": 5}]},
        duckdb={"orders": [{"id": 1, "a": 7}, {"id": 2, "a__bi": 5}]},
    ),
]

NESTING = [
    Example(
        "R40 R41",
        [rows(id=[1, 2, 3], a=[{"b": {"c": 1}, "d": "x"}, {"b": {"c": None}, "d": None}, None])],
        {"orders": [{"id": 1, "a__b__c": 1, "a__d": "x"}, {"id": 2}, {"id": 3}]},
    ),
    Example(
        "R40",
        [rows(id=[1, 2], a=pa.array([[("x!", 1), ("1y", 2)], []], pa.map_(pa.string(), pa.int64())))],
        {"orders": [{"id": 1, "a__x": 1, "a__1y": 2}, {"id": 2}]},
    ),
    Example(
        "R40",
        [
            rows(
                id=[1, 2],
                a=pa.StructArray.from_arrays(
                    [union([pa.int64(), pa.string()], (0, 1), (1, "x"))], names=["u"], mask=pa.array([False, True])
                ),
            )
        ],
        {"orders": [{"id": 1, "a__u": 1}, {"id": 2}]},
    ),
    Example(
        "R41",
        [rows(id=[1], a=pa.array([{}], pa.struct([])), b=pa.array([[]], pa.list_(pa.int64())))],
        {"orders": [{"id": 1}]},
    ),
    Example(
        "R42 R45",
        [
            rows(
                id=[7], lines=[[{"p": "pen", "taxes": [{"t": 1}, {"t": 2}]}, {"p": "ink", "taxes": []}]], o=[{"a": [5]}]
            )
        ],
        {
            "orders": [{"id": 7}],
            "orders__lines": [
                {"p": "pen", "_sdc_source_key_id": 7, "_sdc_level_0_id": 0},
                {"p": "ink", "_sdc_source_key_id": 7, "_sdc_level_0_id": 1},
            ],
            "orders__lines__taxes": [
                {"t": 1, "_sdc_source_key_id": 7, "_sdc_level_0_id": 0, "_sdc_level_1_id": 0},
                {"t": 2, "_sdc_source_key_id": 7, "_sdc_level_0_id": 0, "_sdc_level_1_id": 1},
            ],
            "orders__o__a": [{"value": 5, "_sdc_source_key_id": 7, "_sdc_level_0_id": 0}],
        },
        shows=["_sdc_source_key_id", "_sdc_level_0_id", "_sdc_level_1_id"],
    ),
    Example(
        "R43",
        [rows(id=[1], a=pa.array([[1, None]], pa.list_(pa.int64())), b=[[{"x": 1}, None, {"x": None}]])],
        {
            "orders": [{"id": 1}],
            "orders__a": [{"value": 1, "_sdc_level_0_id": 0}, {"_sdc_level_0_id": 1}],
            "orders__b": [{"x": 1, "_sdc_level_0_id": 0}, {"_sdc_level_0_id": 1}, {"_sdc_level_0_id": 2}],
        },
        shows=["_sdc_level_0_id"],
    ),
    Example(
        "R44",
        [rows(id=[1], a=[[[1, 2], [3]]])],
        {
            "orders": [{"id": 1}],
            "orders__a": [{"_sdc_level_0_id": 0}, {"_sdc_level_0_id": 1}],
            "orders__a__value": [
                {"value": 1, "_sdc_level_0_id": 0, "_sdc_level_1_id": 0},
                {"value": 2, "_sdc_level_0_id": 0, "_sdc_level_1_id": 1},
                {"value": 3, "_sdc_level_0_id": 1, "_sdc_level_1_id": 0},
            ],
        },
        shows=["_sdc_level_0_id", "_sdc_level_1_id"],
    ),
    Example(
        "R40 R42",
        [rows(id=[1], a=pa.array([[[("x", 1)]]], pa.list_(pa.map_(pa.string(), pa.int64()))))],
        {"orders": [{"id": 1}], "orders__a": [{"x": 1}]},
    ),
    Example(
        "R01 R42",
        [named({"id": [1], "a": [[1]]}), named({"id": [2], "A": [[2]]})],
        {"orders": [{"id": 1}, {"id": 2}], "orders__a": [{"value": 1}], "orders__A": [{"value": 2}]},
        duckdb={"orders": [{"id": 1}, {"id": 2}], "orders__a": [{"value": 1}, {"value": 2}]},
    ),
    Example(
        "R46",
        [rows(a=[[1], [2]])],
        {"orders": [{}, {}], "orders__a": [{"value": 1}, {"value": 2}]},
        stream=KEYLESS,
        columns={
            "orders": [*_SYSTEM, "__sdc_primary_key"],
            "orders__a": ["value", *_SYSTEM, "_sdc_source_key___sdc_primary_key", "_sdc_level_0_id"],
        },
    ),
    Example(
        "R47",
        [
            rows(
                id=[1, 2],
                a=pa.array([[{"n": [2**63]}], [{"n": [5]}]], pa.list_(pa.struct({"n": pa.list_(pa.uint64())}))),
            )
        ],
        {"orders": [{"id": 2}], "orders__a": [{}], "orders__a__n": [{"value": 5}]},
        [("orders", f"integer out of range for X on {2**63}")],
    ),
    Example(
        "R48",
        [rows(id=[1, 2], a=[[1, 2], [3]]), rows(id=[1], a=[[9]]), rows("delete", id=[2])],
        {"orders": [{"id": 1}, {"id": 2}], "orders__a": [{"value": 9}]},
    ),
    Example(
        "R48 R65",
        [rows(seq=[6, 6], id=[1, 1], a=[[1, 2, 3], [4]])],
        {"orders": [{"id": 1}], "orders__a": [{"value": 4}]},
    ),
]

SYSTEM = [
    Example(
        "R50 R52",
        [rows(id=[1], b=[1], a=[[1]], at=AT)],
        {"orders": [{"id": 1, "b": 1}], "orders__a": [{"value": 1}]},
        columns={
            "orders": ["id", "b", "_sdc_batched_at", "_sdc_extracted_at", *_SYSTEM[1:]],
            "orders__a": ["value", *_CHILD],
        },
    ),
    Example(
        "R50 R55",
        [rows(id=[1], a=[[1]])],
        {"orders": [{"id": 1}], "orders__a": [{"value": 1}]},
        stream=Stream("orders", (), ("id",), "LOG_BASED"),
        columns={"orders": ["id", "_sdc_batched_at", "_sdc_deleted_at", *_SYSTEM[1:]], "orders__a": ["value", *_CHILD]},
    ),
    Example(
        "R51 R54 R56",
        [version(5), rows(id=[1]), publish(5), rows(id=[2])],
        {"orders": [{"id": 1, "_sdc_table_version": 5}, {"id": 2, "_sdc_table_version": 5}]},
        stream=KEYLESS,
        shows=["_sdc_table_version"],
        columns={"orders": ["id", *_SYSTEM, "__sdc_primary_key"]},
    ),
    Example(
        "R53 R54",
        [rows(seq=[40, 50], id=[1, 2], a=[[1], []])],
        {
            "orders": [
                {"id": 1, "_sdc_sequence": 40, "_sdc_table_version": 0},
                {"id": 2, "_sdc_sequence": 50, "_sdc_table_version": 0},
            ],
            "orders__a": [{"value": 1, "_sdc_sequence": 40, "_sdc_table_version": 0}],
        },
        shows=["_sdc_sequence", "_sdc_table_version"],
    ),
    Example(
        "R52",
        [rows(id=[1]), rows(id=[2], at=AT)],
        {"orders": [{"id": 1}, {"id": 2, "_sdc_extracted_at": MICROSECONDS}]},
        shows=["_sdc_extracted_at"],
    ),
    Example(
        "R55 R71",
        [rows(id=[1, 2], a=[1, 2]), rows("delete", id=[2, 3], at=AT)],
        {
            "orders": [
                {"id": 1, "a": 1},
                {"id": 2, "_sdc_deleted_at": MICROSECONDS},
                {"id": 3, "_sdc_deleted_at": MICROSECONDS},
            ]
        },
        shows=["_sdc_deleted_at"],
    ),
]

LOADING = [
    Example(
        "R61",
        [rows(id=[1, None], a=[1, 2]), rows(a=[3])],
        {"orders": [{"id": 1, "a": 1}]},
        [("orders", "Key is null on id")] * 2,
    ),
    Example(
        "R62",
        [rows(id=[1]), rows(id=["1"]), rows(id=pa.array([2], pa.uint8()))],
        {"orders": [{"id": 1}, {"id": 2}]},
        [("orders", "Key of another type on id: string, the table has integer; reset the stream to change it")],
    ),
    Example(
        "R62 R30",
        [rows(id=["k" * 1_025]), rows(id=[1])],
        {"orders": [{"id": 1}]},
        [("orders", "Key cannot be stored on id")],
    ),
    Example(
        "R63",
        [rows(id=[[1]])],
        {},
        [("orders", "Key is no single value on id")],
    ),
    Example(
        "R63",
        [rows(id=[{"a": 1}])],
        {},
        [("orders", "Key is no single value on id")],
    ),
    Example(
        "R64",
        [rows(id=text(b"fine", b"nul\0", b"\xff", b"k" * 1_024, b"k" * 1_025))],
        {"orders": [{"id": "fine"}, {"id": "k" * 1_024}]},
        [("orders", "Key cannot be stored on id")] * 3,
        duckdb={"orders": [{"id": "fine"}, {"id": "nul\0"}, {"id": "k" * 1_024}]},
        duckdb_rejects=[("orders", "Key cannot be stored on id")] * 2,
    ),
    Example(
        "R65 R74",
        [rows(id=[1, 2, 1], a=[1, 2, 3], b=[1, 2, None]), rows(id=[2], a=[4]), rows(id=[3], c=[1])],
        {"orders": [{"id": 1, "a": 3}, {"id": 2, "a": 4}, {"id": 3, "c": 1}]},
    ),
    Example(
        "R65",
        [rows(seq=[5, 9, 5, 7], id=[1, 2, 1, 2], a=[1, 2, 3, 4]), rows(seq=[4, 9], id=[1, 2], a=[5, 6])],
        {"orders": [{"id": 1, "a": 3}, {"id": 2, "a": 6}]},
    ),
    Example(
        "R65 R48",
        [rows(seq=[9], id=[1]), rows(seq=[8], id=[1], a=[[1]])],
        {"orders": [{"id": 1}], "orders__a": []},
    ),
    Example(
        "R66",
        [rows(id=[1, 1]), rows(id=[1])],
        {"orders": [{"id": 1}, {"id": 1}, {"id": 1}]},
        stream=KEYLESS,
    ),
    Example(
        "R68",
        [version(1), rows(id=[1, 2], a=[1, 2], b=[[1], [2]]), publish(1), version(2), rows(id=[2], c=[3]), publish(2)],
        {"orders": [{"id": 2, "c": 3}], "orders__b": []},
    ),
    Example(
        "R68",
        [version(1), rows(id=[1]), publish(1), version(2), rows(id=[9])],
        {"orders": [{"id": 1}]},
    ),
    Example(
        "R68",
        [version(1), rows(id=[1]), publish(1), version(1), rows(id=[2]), publish(1)],
        {"orders": [{"id": 1}, {"id": 2}]},
    ),
    Example(
        "R68",
        [version(1), rows(id=[1]), publish(1), version(2), rows(id=[8]), version(3), rows(id=[9]), publish(3)],
        {"orders": [{"id": 9}]},
    ),
    Example(
        "R68 R30",
        [version(1), rows(id=[1]), publish(1), rows(id=[2], late=[5], a=[[1]])],
        {"orders": [{"id": 1}, {"id": 2, "late": 5}], "orders__a": [{"value": 1}]},
    ),
    Example(
        "R68 R71",
        [
            version(1),
            rows(seq=[2, 6], id=[1, 1], a=[1, 2]),
            publish(1),
            version(2),
            rows(seq=[3, 4], id=[1, 1], a=[3, 4]),
            publish(2),
            rows("delete", seq=[7], id=[1]),
        ],
        {"orders": [{"id": 1}]},
    ),
    Example(
        "R69",
        [version(1), rows(id=[1]), publish(1), version(2), rows(id=["a"]), publish(2), rows(id=["a", "b"], a=[1, 2])],
        {"orders": [{"id__st": "a", "a": 1}, {"id__st": "b", "a": 2}]},
    ),
    Example(
        "R69 R45",
        [
            version(1),
            rows(id=["x"], a=[[1]]),
            publish(1),
            version(2),
            rows(id=[5], a=[[2]], b=[[3]]),
            rows(id=[5], a=[[4]], b=[[6]]),
            publish(2),
            rows(id=[5], a=[[7]], b=[[8]]),
        ],
        {"orders": [{"id__bi": 5}], "orders__a": [{"value": 7}], "orders__b": [{"value": 8}]},
    ),
    Example(
        "R68",
        [
            version(1),
            rows(id=[1]),
            publish(1),
            version(2),
            rows(id=[8], late=[1]),
            version(1),
            rows(id=[2]),
            publish(1),
        ],
        {"orders": [{"id": 1}, {"id": 2}]},
    ),
    Example(
        "R68 R62",
        [version(1), rows(id=["x"]), publish(1), version(2), publish(2), rows(id=[1])],
        {"orders": []},
        [("orders", "Key of another type on id: integer, the table has string; reset the stream to change it")],
    ),
    Example(
        "R69 R70",
        [version(1), rows(id=["x"]), publish(1), version(2), rows(id=[5]), publish(2, "mark_deleted")],
        {"orders": [{"id__bi": 5}]},
    ),
    Example(
        "R70",
        [
            version(1),
            rows(id=[1, 2], a=[1, 2], b=[[1], [2]]),
            publish(1),
            version(2),
            rows(id=[2], a=[3]),
            publish(2, "mark_deleted"),
        ],
        {"orders": [{"id": 1, "_sdc_table_version": 1}, {"id": 2, "a": 3, "_sdc_table_version": 2}], "orders__b": []},
        shows=["_sdc_table_version"],
    ),
    Example(
        "R72",
        [rows(id=[1]), rows("delete", id=[1])],
        {"orders": [{"id": 1}]},
        [("orders", "Delete without a key on orders")],
        stream=KEYLESS,
    ),
]

EXAMPLES = [*NAMES, *TYPES, *NESTING, *SYSTEM, *LOADING]
