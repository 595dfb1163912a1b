"""JSON records to Arrow: the fast way and the exact way give the same values, and both keep them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.json_rows import JsonRows
from lockstitch.toolkit.shapes import Fields, fields_of

FIELDS: Fields = {
    "id": "string",
    "price": "number",
    "count": "integer",
    "done": "boolean",
    "at": "date-time",
    "value": "any",
    "lines": [{"sku": "string", "at": "date-time"}],
    "meta": {"path": "string"},
}


def texts(*records: Any) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def rows(found: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows without nulls, at every depth: a field that is missing and one that is null are the same."""
    return [without_nulls(row) for row in found.to_pylist()]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(below) for name, below in value.items() if below is not None}
    return [without_nulls(below) for below in value] if isinstance(value, list) else value


def parsed_fast(reader: JsonRows, records: list[bytes]) -> bool:
    return parsed(reader, records) is not None


def parsed(reader: JsonRows, records: list[bytes]) -> pa.RecordBatch | None:
    return reader._parsed([b"[%b]" % b",".join(records)], len(records))


# --- without declared fields: every value as it is written ------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["2018-01-01T00:00:00Z", "2018-01-01", "", "\0", "12"])
)
names = st.sampled_from(["a", "b", "c", ""])
values = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3), max_leaves=6
)
records = st.dictionaries(names, values, min_size=1, max_size=4)


@given(batches=st.lists(st.lists(records, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(deadline=None)
def test_every_value_is_kept_batch_after_batch(batches: list[list[dict[str, Any]]]):
    reader = JsonRows()
    for batch in batches * 2:  # the second time all types are known
        told = rows(reader.batch(texts(*batch)))
        assert [exactly(row) for row in told] == [exactly(without_nulls(record)) for record in batch]


@given(arrays=st.lists(st.lists(records, max_size=4), min_size=1, max_size=4))
@settings(deadline=None)
def test_arrays_are_the_same_rows_as_their_records(arrays: list[list[dict[str, Any]]]):
    whole, one_by_one = JsonRows(), JsonRows()
    for _ in range(2):
        told = whole.of_arrays([json.dumps(array).encode() for array in arrays])
        wanted = one_by_one.batch(texts(*(record for array in arrays for record in array)))
        assert (told.schema, rows(told)) == (wanted.schema, rows(wanted))


def exactly(value: Any) -> Any:
    """Tell 1 from true, and let a number be the same number as int, as float and as decimal."""
    if isinstance(value, dict):
        return {name: exactly(below) for name, below in value.items()}
    if isinstance(value, list):
        return [exactly(below) for below in value]
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return Fraction(value) if is_number else (type(value), value)


@given(batches=st.lists(st.lists(records, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(deadline=None)
def test_what_fits_has_the_same_types_by_both_ways(batches: list[list[dict[str, Any]]]):
    reader = JsonRows()
    for batch in batches * 2:
        written = texts(*batch)
        reader.batch(written)
        if (fast := parsed(reader, written)) is not None:
            assert repr(sorted_rows(fast)) == repr(sorted_rows(reader._decoded(written)))


def sorted_rows(found: pa.RecordBatch) -> Any:
    """Return the rows with the fields of all objects in order, so that `repr` tells 1 from 1.0."""
    return json.loads(json.dumps(rows(found), sort_keys=True))


def test_a_field_that_began_with_floats_goes_on_with_them():
    reader = JsonRows()
    reader.batch([b'{"a":1.5,"b":[{"c":2.5}]}'])
    for record in (b'{"a":2,"b":[{"c":3}]}', b'{"a":2,"b":[{"c":3}],"new":"x"}', b'{"a":2,"b":[{"c":3}],"new":7}'):
        (told,) = reader.batch([record]).to_pylist()
        assert (repr(told["a"]), repr(told["b"])) == ("2.0", "[{'c': 3.0}]")
    assert rows(reader.batch([b'{"a":9007199254740993,"new":"y"}'])) == [{"a": Decimal(2**53 + 1), "new": "y"}]


@given(batches=st.lists(st.lists(st.integers(-(10**25), 10**25), min_size=1, max_size=3), min_size=1, max_size=4))
@settings(deadline=None)
def test_numbers_keep_their_digits_wherever_the_point_is(batches: list[list[int]]):
    reader = JsonRows({"price": "number"})
    for batch in batches:
        for point in (0, 3, 12, 20):
            written = [f"{Decimal(number).scaleb(-point):f}" for number in batch]
            told = reader.batch([f'{{"price":{text}}}'.encode() for text in written]).to_pylist()
            for row, text in zip(told, written, strict=True):
                found = row["price"]
                if len(text.lstrip("-").replace(".", "").lstrip("0")) <= 17:
                    assert float(found) == float(text)
                else:
                    # A float is told by its shortest text, but an integer may be precisely what a float holds.
                    assert Decimal(text) in (
                        Decimal(found),
                        Decimal(repr(found) if found.__class__ is float else found),
                    )


def test_what_fits_the_known_types_is_read_fast_and_what_does_not_teaches_them():
    reader = JsonRows()
    first = texts({"a": 1, "b": [{"x": "y"}]})
    assert rows(reader.batch(first)) == [{"a": 1, "b": [{"x": "y"}]}]
    assert parsed_fast(reader, first)
    wider = texts({"a": 1, "b": [{"x": "y", "z": None}], "c": {"d": True}})
    assert not parsed_fast(reader, wider)
    assert rows(reader.batch(wider)) == [{"a": 1, "b": [{"x": "y"}], "c": {"d": True}}]
    assert parsed_fast(reader, wider)
    assert rows(reader.batch(texts({"b": [{"z": 4}]}))) == [{"b": [{"z": 4}]}]


def test_a_field_of_several_types_is_kept_and_forgotten_when_it_is_one_again():
    reader = JsonRows()
    mixed = texts({"id": "1", "a": 1}, {"id": "2", "a": "x"})
    assert rows(reader.batch(mixed)) == [{"id": "1", "a": 1}, {"id": "2", "a": "x"}]
    assert rows(reader.batch(texts({"id": "3"}))) == [{"id": "3"}]
    assert parsed_fast(reader, texts({"id": "4"}))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (b'{"a":"x","a":"y"}', {"a": "y"}),  # as most readers do
        (b'{\n "a" :\n "x" }\n', {"a": "x"}),
        (b'{"a":12345678901234567890123}', {"a": Decimal("12345678901234567890123")}),
        (b'{"a":1e3}', {"a": 1000.0}),
        (b'{"a":0.10000000000000001}', {"a": 0.1}),  # 17 digits: how some write each float
        (b'{"a":0.1000000000000000055}', {"a": Decimal("0.1000000000000000055")}),
        (b'{"a":[0.5,1e-400 ]}', {"a": [0.5, "1E-400"]}),  # what no float and no decimal can hold
        (b'{"a":-1E400}', {"a": "-1E+400"}),
        (b'{"a":5e-324}', {"a": 5e-324}),
        (b'{"a":1.2345e-320}', {"a": "1.2345E-320"}),  # near to 0 floats have fewer digits
        (b'{"a":0e-400}', {"a": 0.0}),
    ],
)
def test_what_a_reader_could_get_wrong(record: bytes, told: dict[str, Any]):
    reader = JsonRows()
    for _ in range(2):
        assert rows(reader.batch([record])) == [told]


def test_text_that_no_utf_8_can_hold_is_left_to_the_layout():
    for record in (b'{"a":"\\ud800x"}', b'{"a":"\xff"}'):
        found = JsonRows().batch([record]).column(0)
        with pytest.raises(UnicodeDecodeError):
            found.to_pylist()


@pytest.mark.parametrize("record", [b"[1]", b'{"a":', b"nothing", b'"x"', b"1 2"])
def test_what_is_no_object_is_refused(record: bytes):
    reader = JsonRows()
    reader.batch([b'{"a":1}'])
    with pytest.raises(SourceDataError) as refused:
        reader.batch([record])
    assert refused.value.hint


@pytest.mark.parametrize("record", [b'{"a":1}{"a":2}', b'{"a":1},{"a":2}', b'{"a":1}]}\n{"rows":[{"a":2}'])
def test_two_objects_in_one_record_are_refused(record: bytes):
    reader = JsonRows()
    reader.batch([b'{"a":1}'])
    with pytest.raises(SourceDataError):
        reader.batch([record])


@pytest.mark.parametrize(
    "array", [b'[{"a":1},null]', b'[{"a":1},[{"a":2}]]', b'[{"a":1}', b'[{"a":1}],"rows":[{"a":2}]', b"", b"[1]"]
)
def test_what_is_no_array_of_objects_is_refused(array: bytes):
    reader = JsonRows()
    reader.of_arrays([b'[{"a":1}]'])
    with pytest.raises(SourceDataError) as refused:
        reader.of_arrays([b'[{"a":3}]', array])
    assert refused.value.hint


def test_no_records_are_no_rows():
    assert JsonRows().batch([]).num_rows == 0
    assert JsonRows(FIELDS, closed=True).batch([]).num_rows == 0


# --- with declared fields ---------------------------------------------------------------------------------------------

NOON = datetime(2018, 6, 2, 12, tzinfo=UTC)


def test_declared_types_hold_for_what_is_the_same_number():
    reader = JsonRows(FIELDS)
    told = reader.batch(
        texts({"id": 7, "price": 10, "count": 5.0, "done": True, "value": 3}, {"price": 2**53 + 1, "value": "x"})
    )
    assert rows(told) == [
        {"id": "7", "price": 10.0, "count": 5, "done": True, "value": 3},
        {"price": Decimal(2**53 + 1), "value": "x"},
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2018-06-02T12:00:00Z", NOON),
        ("2018-06-02T12:00:00+00:00", NOON),
        ("2018-06-02T14:00:00+02:00", NOON),
        ("2018-06-02T12:00:00", NOON),
        ("2018-06-02T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("2018-06-02T12:00:00.1Z", NOON.replace(microsecond=100000)),
        ("2018-06-02", NOON.replace(hour=0)),
        ("soon", "soon"),
        ("", ""),
    ],
)
def test_moments_at_every_depth(text: str, told: Any):
    for others in ([], [{"at": "2020-01-01T00:00:00Z"}]):
        found = rows(JsonRows(FIELDS).batch(texts(*others, {"at": text, "lines": [{"sku": "a", "at": text}, {}]})))
        assert found[-1] == {"at": told, "lines": [{"sku": "a", "at": told}, {}]}


def test_moments_beside_values_of_other_types():
    found = rows(JsonRows(FIELDS).batch(texts({"at": 5}, {"at": "2018-06-02T12:00:00Z"}, {"at": {"x": 1}}, {})))
    assert found == [{"at": 5}, {"at": NOON}, {"at": {"x": 1}}, {}]


def test_closed_fields_leave_out_the_others_and_name_them():
    reader = JsonRows(FIELDS, closed=True)
    record = {"id": "1", "new": 1, "lines": [{"sku": "a", "size": 3}], "meta": {"method": "GET"}, "value": {"any": 1}}
    for _ in range(2):  # the second time by the fast way
        found = rows(reader.batch(texts(record)))
        assert found == [{"id": "1", "lines": [{"sku": "a"}], "meta": {}, "value": {"any": 1}}]
    assert reader.unseen == {"new", "lines.size", "meta.method"}
    assert rows(JsonRows(FIELDS).batch(texts(record))) == [record]


def test_fields_are_told_by_their_types():
    told = {field.name: (field.type, field.format, field.inclusion) for field in fields_of(FIELDS, ("id",))}
    assert told == {
        "id": ("string", None, "automatic"),
        "price": ("number", None, "available"),
        "count": ("integer", None, "available"),
        "done": ("boolean", None, "available"),
        "at": ("string", "date-time", "available"),
        "value": ("string", None, "available"),
        "lines": ("array", None, "available"),
        "meta": ("object", None, "available"),
    }
