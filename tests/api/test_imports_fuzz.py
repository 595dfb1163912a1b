"""Any body at all: no answer is a 5xx, what is answered 201 is in the inbox, and nothing else is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.calling import Served
from tests.api.importing import JSON, TRANSIT, Pushing, pushing
from tests.importing.bodies import batch, message

_texts = st.text(max_size=5) | st.sampled_from(["~t2020-01-01T00:00:00Z", "~f1.5", "~i5", "^0", "^ ", "~#set", "id"])
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | _texts
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4), max_leaves=12
)
_names = st.sampled_from(["id", "n", "t"]) | _texts
_sequences = st.integers(-(2**63), 2**63 - 1) | st.integers()
_good_data = st.builds(
    lambda more, key: {**more, "id": key}, st.dictionaries(_names, _values, max_size=3), st.integers(0, 9)
)
_datas = _good_data | st.dictionaries(_names, _values, max_size=4)
_good_sequences = st.integers(-(2**63), 2**63 - 1)
#: An argument is mostly as it should be, sometimes anything, sometimes not there.
_good_push = st.fixed_dictionaries(
    {"data": _good_data, "sequence": _good_sequences},
    optional={"table_name": st.sampled_from(["a", "b"]), "table_version": st.integers(0, 9), "namespace": _texts},
)
_push = st.fixed_dictionaries(
    {},
    optional={
        "table_name": _names | _values,
        "action": st.sampled_from(["upsert", "switch_view", "delete"]),
        "sequence": _sequences | _values,
        "key_names": st.just(["id"]) | st.lists(_names, max_size=3) | _values,
        "data": _datas | _values,
        "table_version": st.none() | st.integers(0, 9) | _values,
        "namespace": _texts,
        "client_id": _values,
    },
)
_types = st.sampled_from(["integer", "string", "number", "boolean", "object", "array", "null", "any"])
_schemas = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _types | st.lists(_types, max_size=3),
            "format": st.sampled_from(["date-time", "date", "singer.decimal", "uri"]),
            "multipleOf": st.sampled_from([0.01, 0, 5, "x"]),
            "enum": st.lists(_values, max_size=2),
            "maximum": _scalars,
            "required": st.lists(_names, max_size=2),
            "$ref": st.sampled_from(["#", "#/definitions/a", "#/nowhere", "http://example.com"]),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(_names, inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "definitions": st.dictionaries(st.just("a"), inner, max_size=1),
        },
    ),
    max_leaves=4,
)


def _messages(data: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    changes = st.fixed_dictionaries({"data": data}, optional=more)
    return st.lists(st.builds(lambda changed: message(**changed), changes), min_size=1, max_size=3)


_good_batch = st.fixed_dictionaries(
    {"schema": st.just({}), "messages": _messages(_good_data, sequence=_good_sequences)},
    optional={
        "key_names": st.sampled_from([[], ["id"], None]),
        "table_version": st.none() | st.integers(0, 9),
        "table_name": st.sampled_from(["a", "b"]),
        "bookmark_names": st.lists(_texts, max_size=2),
    },
)
_wild_batch = st.fixed_dictionaries(
    {
        "schema": _schemas | _values,
        "messages": _messages(
            _datas | _values,
            action=st.sampled_from(["upsert", "activate_version", "delete"]),
            sequence=_sequences | _values,
            time_extracted=st.sampled_from(["2024-01-01T00:00:00Z", "now"]) | _values,
        )
        | _values,
    },
    optional={
        "key_names": st.sampled_from([[], ["id"], ["id", "id"]]) | _values,
        "table_version": st.none() | st.integers(-1, 9) | _values,
        "table_name": _names | _values,
        "bookmark_names": _values,
        "more": _values,
    },
)
#: A good body with one or two arguments of a wild one; or good, or wild.
_mixed_batch = st.builds(
    lambda good, wild, names: {**good, **{name: wild[name] for name in names if name in wild}},
    _good_batch,
    _wild_batch,
    st.lists(st.sampled_from(["schema", "messages", "key_names", "table_version", "table_name"]), max_size=2),
)
_batch = st.builds(lambda changes: batch(**changes), _good_batch | _mixed_batch | _mixed_batch | _wild_batch)


@pytest.fixture(scope="module")
def source(served: Served) -> Pushing:
    return pushing(served.account())


def _sent(source: Pushing, content: bytes, kind: str, media: str) -> None:
    before = len(source.waiting())
    answer = source.send(content, kind, media=media)
    assert answer.status_code < 500, (answer.text, content)
    assert (answer.status_code == 201) or len(source.waiting()) == before, (answer.text, content)
    if answer.status_code == 201:
        records = json.loads(content)
        found = [(table, sequence) for table, sequences, _ in source.waiting()[before:] for sequence in sequences]
        if media == JSON:
            assert sorted(found) == sorted(_rows(kind, records))


def _rows(kind: str, body: Any) -> Iterator[tuple[str, int]]:
    """What must be in the inbox of a body that was accepted."""
    if kind == "push":
        yield from ((one["table_name"], one["sequence"]) for one in body if one["action"] == "upsert")
    else:
        table = body["table_name"]
        yield from ((table, one["sequence"]) for one in body["messages"] if one["action"] == "upsert")


_slow = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def _checked(source: Pushing, kind: str, body: Any, media: str = JSON) -> None:
    _sent(source, json.dumps(body).encode(), kind, media)
    # What waits is taken out, so that looking at it stays quick.
    inbox = source.account.served.server.inboxes
    inbox.remove(inbox.kept() & {source.source_id})


_pushes = st.lists(_good_push, min_size=1, max_size=3) | st.lists(_good_push | _push, max_size=3)


def _owned(source: Pushing, body: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [source.record(**one) for one in body]


@settings(_slow, max_examples=100)
@given(body=_pushes)
def test_pushes(source: Pushing, body: list[dict[str, Any]]):
    _checked(source, "push", _owned(source, body))


@settings(_slow, max_examples=100)
@given(body=_pushes | _values)
def test_transit(source: Pushing, body: Any):
    _checked(source, "push", _owned(source, body) if _is_push(body) else body, TRANSIT)


@settings(_slow, max_examples=100)
@given(body=_batch)
def test_batches(source: Pushing, body: Any):
    _checked(source, "batch", body)


@settings(_slow, max_examples=60)
@given(content=st.binary(max_size=60), zips=st.booleans(), kind=st.sampled_from(["push", "batch", "validate"]))
def test_bytes(source: Pushing, content: bytes, *, zips: bool, kind: str):
    content = gzip.compress(content)[:-1] if zips else content
    for media in (JSON, TRANSIT):
        answer = source.send(content, kind, media=media, Content_Encoding="gzip" if zips else None)
        assert 400 <= answer.status_code < 500, answer.text
    assert source.waiting() == []


@pytest.mark.long
@settings(_slow, max_examples=3_000)
@given(body=_pushes, media=st.sampled_from([JSON, TRANSIT]))
def test_many_pushes(source: Pushing, body: list[dict[str, Any]], media: str):
    _checked(source, "push", _owned(source, body), media)


@pytest.mark.long
@settings(_slow, max_examples=3_000)
@given(body=_batch | _values)
def test_many_batches(source: Pushing, body: Any):
    _checked(source, "batch", body)


def _is_push(body: Any) -> bool:
    return isinstance(body, list) and all(isinstance(one, dict) for one in body)
