"""Transit's own examples, and those of its rules that clients rely on."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.importing.bodies import CLIENT, taken, told

from lockstitch.importing.push import receive_push
from lockstitch.importing.transit import parse_transit
from lockstitch.toolkit.exact import Exact


def _read(node: Any) -> Any:
    return parse_transit(json.dumps(node).encode())


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (["~#'", 42], 42),
        (["~#'", "text"], "text"),
        (["~_"], [None]),
        (["~?t", "~?f", True, None], [True, False, True, None]),
        (["~i123", "~n123456789012345678901234567890", 5], [123, 123456789012345678901234567890, 5]),
        (["~i9007199254740993"], [9007199254740993]),
        (["~d1.5", 2.5], [1.5, 2.5]),
        (["~f1.10"], [Exact("1.10")]),
        (["~m0", "~m-1"], [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)]),
        (["~t1985-04-12T23:20:50.52Z"], [datetime(1985, 4, 12, 23, 20, 50, 520000, tzinfo=UTC)]),
        (["~u531a379e-31bb-4ce1-8690-158dceb64be6"], ["531a379e-31bb-4ce1-8690-158dceb64be6"]),
        ([["~#u", [5988159807121214689, -8750470377178248218]]], ["531a379e-31bb-4ce1-8690-158dceb64be6"]),
        (["~:keyword", "~$symbol", "~rhttp://x.y", "~ca"], ["keyword", "symbol", "http://x.y", "a"]),
        (["~baGVsbG8="], [b"hello"]),
        (["~zINF", "~z-INF"], [math.inf, -math.inf]),
        (["~~tilde", "~^caret", "~`tick", "", "~~"], ["~tilde", "^caret", "`tick", "", "~"]),
        (["~#list", [1, 2]], [1, 2]),
        (["~#set", ["~:a1"]], ["a1"]),
        (["^ ", "a", 1, "~:b", [1]], {"a": 1, "b": [1]}),
        (["^ "], {}),
        (["^ ", "~i1", "one", "~t2020-01-01T00:00:00Z", 2], {"1": "one", "2020-01-01T00:00:00+00:00": 2}),
        (["~#cmap", ["a", 1, "~?t", 2]], {"a": 1, "true": 2}),
        ({"plain": 1, "~:key": "~i2"}, {"plain": 1, "key": 2}),
        ({"~#set": [1, 2]}, [1, 2]),
        ({"~#'": "~m0"}, datetime(1970, 1, 1, tzinfo=UTC)),
        ([[], [[]]], [[], [[]]]),
    ],
)
def test_kinds_of_values(written: Any, value: Any) -> None:
    found = _read(written)
    assert found == value
    assert [type(one) for one in found] == [type(one) for one in value] if isinstance(value, list) else True


def test_not_a_number() -> None:
    assert math.isnan(_read(["~zNaN"])[0])


def test_what_comes_again_is_a_code() -> None:
    written = [
        ["^ ", "name", "~:red", "~:colour", 1],
        ["^ ", "^0", "^1", "^2", 2],
        ["^ ", "key", 3, "~:ab", 4],
        ["^3", "~$sym", "^4", "name"],
    ]
    assert _read(written) == [
        {"name": "red", "colour": 1},
        {"name": "red", "colour": 2},
        {"key": 3, "ab": 4},
        ["ab", "sym", "sym", "name"],
    ]


def test_tags_are_codes_too() -> None:
    assert _read([["~#list", [1]], ["^0", [2]], ["~#set", []], ["^1", [3]]]) == [[1], [2], [], [3]]


def test_codes_have_two_digits_from_the_45th_on_and_begin_anew_after_1936() -> None:
    keywords = [f"~:key{number}" for number in range(1936)]
    assert _read([*keywords, "^0", "^10", "^[[", "~:next", "^0"])[1936:] == ["key0", "key44", "key1935", "next", "next"]
    with pytest.raises(Exception, match="stands for nothing"):
        _read([*keywords, "~:next", "^1"])


@pytest.mark.parametrize(
    "written",
    [
        ["^5"],
        ["^"],
        ["^!!"],
        ["~#list", [1], [2]],
        ["~#unknown", 1],
        ["^ ", "a", "~#list"],
        [1, "~#list"],
        ["~qvalue"],
        ["~iabc"],
        ["~uabc"],
        ["~m99999999999999999"],
        ["~tyesterday"],
        ["^ ", "a"],
        ["^ ", ["a"], 1],
        ["~#cmap", ["a"]],
        ["~#set", 1],
        "[",
    ],
)
def test_what_is_no_transit(written: Any) -> None:
    body = written if isinstance(written, str) else json.dumps(written)
    status, answer = told(receive_push(body.encode(), "application/transit+json", None, CLIENT))
    assert (status, answer["status"], answer["input"]) == (400, "ERROR", None)
    assert answer["message"].startswith("Malformed ")


def test_nesting_beyond_what_a_reader_follows() -> None:
    body = b"[" * 900 + b"]" * 900
    assert told(receive_push(body, "application/transit+json", None, CLIENT))[0] == 400


def test_a_push_as_the_java_client_writes_it() -> None:
    first = ["^ ", "client_id", CLIENT, "table_name", "orders", "action", "upsert", "sequence", "~i1565880017000000001"]
    first += ["key_names", ["id"], "data", ["^ ", "id", 1, "paid_at", "~m1565880017000", "price", "~f9.90"]]
    second = ["^ ", "^0", CLIENT, "^1", "orders", "^2", "upsert", "^3", 2, "^4", ["id"]]
    second += ["^5", ["^ ", "id", 2, "^6", "~m0", "^7", "~f0.1"]]
    body = json.dumps([first, second]).encode()
    (records,) = taken(receive_push(body, "application/transit+json", None, CLIENT))
    assert records.sequences == [1565880017000000001, 2]
    assert records.rows == [
        {"id": 1, "paid_at": datetime(2019, 8, 15, 14, 40, 17, tzinfo=UTC), "price": Exact("9.90")},
        {"id": 2, "paid_at": datetime(1970, 1, 1, tzinfo=UTC), "price": Exact("0.1")},
    ]
