"""What every source must do. Inherit `SourceContract`, give one fixture, and have all tests.

    class TestHeap(SourceContract):
        @pytest.fixture
        def open_source(self, tmp_path: Path) -> Callable[[], Source]:
            bucket = write_bucket(tmp_path)
            return lambda: open_source(Properties(bucket_url=bucket.as_uri()))

What the source reads must not change during a test, and should be small: every checkpoint is read from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from lockstitch.core.errors import LockstitchError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Publish, Selected, Stream, Version
from lockstitch.core.protocols import Fingerprinted, Source

OpenSource = Callable[[], Source]

#: Rows by stream: by key where there is one, else counted.
Folded = Mapping[str, Mapping[str, Any]]


class SourceContract:
    """All promises of a source."""

    @pytest.fixture
    def open_source(self) -> OpenSource:
        """Return what opens the source, each time as another process would; every connector overrides this."""
        raise NotImplementedError

    #: Cursors that the source never gave.
    unknown_cursors: Sequence[Json] = ({"unknown": "cursor"}, "unknown", 17)

    def test_check_passes(self, open_source: OpenSource) -> None:
        open_source().check()

    def test_discover_is_stable_and_names_each_stream_once(self, open_source: OpenSource) -> None:
        source = open_source()
        found = list(source.discover())
        assert found
        assert list(source.discover()) == found
        assert list(open_source().discover()) == found
        assert len({stream.name for stream in found}) == len(found)

    def test_each_stream_is_in_one_lane_and_lanes_are_stable(self, open_source: OpenSource) -> None:
        source = open_source()
        wanted = [Selected(stream) for stream in source.discover()]
        lanes = list(source.lanes(wanted))
        assert list(open_source().lanes(wanted)) == lanes
        assert sorted(name for lane in lanes for name in lane.streams) == sorted(one.stream.name for one in wanted)
        assert len({lane.name for lane in lanes}) == len(lanes)

    def test_a_stream_that_is_not_wanted_is_not_read(self, open_source: OpenSource) -> None:
        for stream in open_source().discover():
            source = open_source()
            lanes = source.lanes([Selected(stream)])
            assert {name for lane in lanes for name in lane.streams} == {stream.name}
            for lane in lanes:
                messages = source.read(lane, None)
                told = {one.stream for one in messages if not isinstance(one, Checkpoint)}
                assert told <= {stream.name}

    def test_batches_are_of_the_lanes_streams_and_carry_the_key(self, open_source: OpenSource) -> None:
        keys = {stream.name: stream.key for stream in open_source().discover()}
        for lane, messages in _all(open_source):
            for message in messages:
                if isinstance(message, Batch):
                    assert message.stream in lane.streams
                    assert set(keys[message.stream]) <= set(message.rows.schema.names)

    def test_a_sequence_numbers_every_row(self, open_source: OpenSource) -> None:
        for _, messages in _all(open_source):
            for message in messages:
                if isinstance(message, Batch) and message.sequence is not None:
                    assert len(message.sequence) == message.rows.num_rows
                    assert message.sequence.null_count == 0

    def test_a_checkpoint_comes_last_from_the_beginning_and_from_every_cursor(self, open_source: OpenSource) -> None:
        for lane, messages in _all(open_source):
            assert isinstance(messages[-1], Checkpoint)
            for _, cursor in _cursors(messages):
                assert isinstance(_read(open_source, lane, cursor)[-1], Checkpoint)

    def test_cursors_are_plain_json(self, open_source: OpenSource) -> None:
        for _, messages in _all(open_source):
            for _, cursor in _cursors(messages):
                assert json.loads(json.dumps(cursor)) == cursor

    def test_reading_does_not_change_what_is_read(self, open_source: OpenSource) -> None:
        for lane, messages in _all(open_source):
            assert _rows(_read(open_source, lane, None)) == _rows(messages)

    def test_from_every_cursor_come_the_rows_after_it(self, open_source: OpenSource) -> None:
        """Exact: precisely those, in their order. Repeats: at least those, in any order.

        What is repeated may come before or between them, as where pages are cut again. Rows of different keys have no
        order among themselves, and that each key ends with the right row is what folding tells.
        """
        streams = open_source().discover()
        for lane, messages in _all(open_source):
            whole = folded(streams, messages)
            for place, cursor in _cursors(messages):
                again = _read(open_source, lane, cursor)
                assert folded(streams, [*messages[: place + 1], *again]) == whole
                expected, found = _rows(messages[place + 1 :]), _rows(again)
                if lane.replay == "exact":
                    assert found == expected
                else:
                    for stream, rows in expected.items():
                        assert not Counter(rows) - Counter(found.get(stream, []))

    def test_a_version_under_way_is_repeated_before_its_rows(self, open_source: OpenSource) -> None:
        for lane, messages in _all(open_source):
            for place, cursor in _cursors(messages):
                begun = _under_way(messages[: place + 1])
                again = _read(open_source, lane, cursor)
                for stream, number in begun.items():
                    of_stream = [one for one in again if not isinstance(one, Checkpoint) and one.stream == stream]
                    assert of_stream
                    assert of_stream[0] == Version(stream, number)

    def test_only_a_version_that_was_begun_is_published(self, open_source: OpenSource) -> None:
        for _, messages in _all(open_source):
            begun: dict[str, int] = {}
            for message in messages:
                if isinstance(message, Version):
                    begun[message.stream] = message.number
                elif isinstance(message, Publish):
                    assert begun.get(message.stream) == message.number

    def test_nothing_comes_after_the_last_cursor(self, open_source: OpenSource) -> None:
        for lane, messages in _all(open_source):
            last = messages[-1]
            assert isinstance(last, Checkpoint)
            again = _read(open_source, lane, last.cursor)
            if lane.replay == "exact":
                assert not any(isinstance(one, Batch | Publish) for one in again)
            else:
                assert len(_rows(again)) <= len(_rows(messages))

    def test_a_cursor_that_it_never_gave_is_refused_with_a_hint(self, open_source: OpenSource) -> None:
        for cursor in self.unknown_cursors:
            for lane, _ in _all(open_source):
                with pytest.raises(LockstitchError) as refused:
                    _read(open_source, lane, cursor)
                assert refused.value.verdict == "user"
                assert refused.value.hint

    def test_being_told_what_is_committed_does_no_harm(self, open_source: OpenSource) -> None:
        for lane, messages in _all(open_source):
            source = open_source()
            source.lanes([Selected(stream) for stream in source.discover()])
            for place, cursor in _cursors(messages):
                source.committed(lane, cursor)
                assert _rows(list(source.read(lane, cursor))).keys() <= _rows(messages[: place + 1] + messages).keys()

    def test_a_fold_gives_the_rows_that_reading_gave(self, open_source: OpenSource) -> None:
        streams = open_source().discover()
        for lane, messages in _all(open_source):
            source = open_source()
            if not isinstance(source, Fingerprinted):
                return
            source.lanes([Selected(stream) for stream in streams])
            last = messages[-1]
            assert isinstance(last, Checkpoint)
            assert folded(streams, list(source.fold(lane, last.cursor))) == folded(streams, messages)


def folded(streams: Sequence[Stream], messages: Sequence[Message]) -> Folded:
    """Return the rows that stand after these messages."""
    keys = {stream.name: stream.key for stream in streams}
    shown: dict[str, Counter[str] | dict[str, Any]] = {}
    filling: dict[str, tuple[int, Any]] = {}
    published: dict[str, int] = {}
    for message in messages:
        if isinstance(message, Checkpoint):
            continue
        stream = message.stream
        if isinstance(message, Version):
            if message.number == published.get(stream):
                filling.pop(stream, None)
            elif filling.get(stream, (None,))[0] != message.number:
                filling[stream] = (message.number, _empty(keys[stream]))
        elif isinstance(message, Publish):
            if stream in filling and filling[stream][0] == message.number:
                shown[stream] = filling.pop(stream)[1]
                published[stream] = message.number
        else:
            rows = filling[stream][1] if stream in filling else shown.setdefault(stream, _empty(keys[stream]))
            _put(rows, keys[stream], message)
    return {stream: rows for stream, rows in shown.items() if rows}


def _empty(key: Sequence[str]) -> Any:
    return {} if key else Counter[str]()


def _put(rows: Any, key: Sequence[str], batch: Batch) -> None:
    for row in batch.rows.to_pylist():
        if not key:
            rows[repr(_without_nulls(row))] += 1
            continue
        place = repr([row[name] for name in key])
        told = _without_nulls(row)
        rows[place] = None if batch.kind == "delete" else {name: repr(value) for name, value in told.items()}


def _without_nulls(value: Any) -> Any:
    """Leave out fields without a value: whether a batch carries such a field depends on the rows that it holds."""
    if isinstance(value, dict):
        return {name: _without_nulls(below) for name, below in sorted(value.items()) if below is not None}
    return [_without_nulls(below) for below in value] if isinstance(value, list) else value


def _all(open_source: OpenSource) -> list[tuple[Lane, list[Message]]]:
    source = open_source()
    return [
        (lane, _read(open_source, lane, None))
        for lane in source.lanes([Selected(stream) for stream in source.discover()])
    ]


def _read(open_source: OpenSource, lane: Lane, cursor: Json) -> list[Message]:
    source = open_source()
    source.lanes([Selected(stream) for stream in source.discover()])
    try:
        return list(source.read(lane, cursor))
    finally:
        source.close()


def _cursors(messages: Sequence[Message]) -> list[tuple[int, Json]]:
    return [(place, one.cursor) for place, one in enumerate(messages) if isinstance(one, Checkpoint)]


def _rows(messages: Sequence[Message]) -> dict[str, list[tuple[str, str]]]:
    """Return each stream's rows in their order, with their kind."""
    found: dict[str, list[tuple[str, str]]] = {}
    for message in messages:
        if isinstance(message, Batch):
            rows = [(message.kind, repr(_without_nulls(row))) for row in message.rows.to_pylist()]
            found.setdefault(message.stream, []).extend(rows)
    return {stream: rows for stream, rows in found.items() if rows}


def _under_way(messages: Sequence[Message]) -> dict[str, int]:
    """Return the versions that are begun and not published."""
    found: dict[str, int] = {}
    for message in messages:
        if isinstance(message, Version):
            found[message.stream] = message.number
        elif isinstance(message, Publish):
            found.pop(message.stream, None)
    return found
