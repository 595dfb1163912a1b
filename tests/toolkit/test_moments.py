"""Moments as vendors and settings write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstitch.toolkit.moments import moment_or_none, read_moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456+05:30", datetime(2026, 1, 31, 6, 30, 0, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(text: str, moment: datetime) -> None:
    assert read_moment(text) == moment == moment_or_none(text)
    assert read_moment(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no ISO 8601 moment"):
        read_moment(text)
    assert moment_or_none(text) is None


@pytest.mark.parametrize("value", [None, 17, True, ["2026-01-31"]])
def test_what_is_no_text_is_no_moment(value: Any) -> None:
    assert moment_or_none(value) is None
