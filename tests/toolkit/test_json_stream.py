"""Records out of a stream: exactly those of the file, whatever their strings hold and wherever a piece ends."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.toolkit.json_stream import NotRecords, Record, records

HOSTILE = ["},{", "}", "{", '"', "\\", '\\"},{"', "]", "[{", "\n", "\\\\", "\ud800", "},\n{", ",", "\u2028", "é", "\0"]
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=4).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=4)


def read(text: bytes, piece: int) -> list[bytes]:
    return [bytes(record) for some in records(io.BytesIO(text), "the file", piece=piece) for record in some]


def decoded(found: list[bytes]) -> list[Any]:
    return [json.loads(record) for record in found]


@given(
    rows=st.lists(objects, max_size=6),
    piece=st.integers(1, 40),
    form=st.sampled_from(["compact", "spaced", "indented"]),
    ascii_only=st.booleans(),
)
@settings(deadline=None)
def test_an_array_gives_its_records(rows: list[dict[str, Any]], piece: int, form: str, ascii_only: bool) -> None:
    style: dict[str, Any] = {"compact": {"separators": (",", ":")}, "spaced": {}, "indented": {"indent": 1}}[form]
    text = json.dumps(rows, ensure_ascii=ascii_only, **style).encode("utf-8", "surrogatepass")
    found = read(text, piece)
    assert [record.decode("utf-8", "surrogatepass") for record in found] == [
        _as_within(row, ascii_only, style) for row in rows
    ]


def _as_within(row: dict[str, Any], ascii_only: bool, style: dict[str, Any]) -> str:
    alone = json.dumps([row], ensure_ascii=ascii_only, **style)
    return alone[1:-1].strip()


@given(rows=st.lists(objects, max_size=6), piece=st.integers(1, 40), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
@settings(deadline=None)
def test_lines_give_their_records(rows: list[dict[str, Any]], piece: int, end: str) -> None:
    text = "".join(json.dumps(row) + end for row in rows).encode()
    assert decoded(read(text, piece)) == rows
    assert decoded(read(text.removesuffix(end.encode()), piece)) == rows


@given(rows=st.lists(objects, min_size=1, max_size=4), piece=st.integers(1, 40), data=st.data())
@settings(deadline=None)
def test_a_cut_array_is_never_taken_for_a_whole_one(
    rows: list[dict[str, Any]], piece: int, data: st.DataObject
) -> None:
    text = json.dumps(rows).encode()
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    taken: list[bytes] = []

    def take() -> None:
        for some in records(io.BytesIO(cut), "the file", piece=piece):
            taken.extend(bytes(record) for record in some)

    with pytest.raises(NotRecords):
        take()
    assert decoded(taken) == rows[: len(taken)]


@pytest.mark.parametrize(
    "text",
    [
        b'[{"a":1} {"a":2}]',
        b'[{"a":1},]',
        b'[,{"a":1}]',
        b'[{"a":1}],',
        b'[{"a":1}][{"a":2}]',
        b'[{"a":1},{"a":2}x]',
        b'[{"a":1}x,{"a":2}]',
        b'[{"a":1},"x",{"a":"\\ud800"}]',
        b'[{"a":1}}]',
        b"<html>[]</html>",
        b'{"a":1}\n[]',
        b"null",
    ],
)
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_what_is_no_list_of_records_is_refused(text: bytes, piece: int) -> None:
    with pytest.raises(NotRecords) as refused:
        read(text, piece)
    assert refused.value.hint


@pytest.mark.parametrize("text", [b"", b" \n", b"[]", b"\xef\xbb\xbf[ ]\n", b"[\n]"])
@pytest.mark.parametrize("piece", [1, 1000])
def test_an_empty_file_has_no_records(text: bytes, piece: int) -> None:
    assert read(text, piece) == []


def test_text_that_a_strict_reader_refuses_is_handed_on() -> None:
    text = b'[{"a":"\xff"},{"a":"\\ud800},{"},{"a":"x\ty"},{"a":1}]'
    assert read(text, 1000) == [b'{"a":"\xff"}', b'{"a":"\\ud800},{"}', b'{"a":"x\ty"}', b'{"a":1}']


def test_a_large_record_full_of_false_ends_is_read_in_a_moment() -> None:
    row = {"a": "},{" * 200_000, "b": [{"c": 1}] * 1000}
    text = json.dumps([row, {"a": 2}, row]).encode()
    assert decoded(read(text, 1 << 16)) == [row, {"a": 2}, row]


class _Endless(io.RawIOBase):
    """An array of `count` records that nobody ever holds as a whole."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._waiting = b"["

    def read(self, size: int = -1) -> bytes:
        while len(self._waiting) < size and self._left:
            some = min(self._left, 100)
            self._left -= some
            self._waiting += b'{"EventType":"click","UserId":1234567890123456},' * some
            if not self._left:
                self._waiting = self._waiting[:-1] + b"]"
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken


def test_memory_does_not_grow_with_the_file() -> None:
    source: BinaryIO = _Endless(400_000)  # pyright: ignore[reportAssignmentType] - what is read of it
    tracemalloc.start()
    count = 0
    some: list[Record]
    for some in records(source, "the file", piece=1 << 17):
        assert isinstance(some[0], msgspec.Raw)
        count += len(some)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 400_000
    assert peak < 4 << 20  # of 20 MB
