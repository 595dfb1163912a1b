"""The source that reads a program's own streams: each is a lane, and its function is called once for each read."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar, Literal

from lockstitch.core.errors import LockstitchError, SettingsError, SourceDataError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Part, Publish, Selected, Stream, Version
from lockstitch.library.streams import OwnStream, refuse_other_method, strange_cursor

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)


class OwnSource:
    """The streams of one program."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, streams: Sequence[OwnStream]) -> None:
        self._streams = {one.name: one for one in streams}
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        """There is nothing to try: calling a function would read its rows."""

    def discover(self) -> Sequence[Stream]:
        return tuple(
            Stream(
                one.name,
                key=one.key,
                replication_method="FULL_TABLE" if _is_full(one) else "INCREMENTAL",
                replication_key=one.cursor,
            )
            for one in self._streams.values()
        )

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        refuse_other_method(wanted, "say it in @lockstitch.stream")
        self._wanted = {one.stream.name: one for one in wanted}
        # A cursor without a key is exact or refused: rows at its last value are told apart by what they hold.
        return tuple(
            Lane(name, (name,), "exact" if self._streams[name].cursor and not self._streams[name].key else "repeats")
            for name in self._wanted
        )

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        one = self._streams[lane.name]
        read = _read_all if one.cursor is None else _read_since
        seen: set[str] = set()
        for message in read(one, cursor):
            if isinstance(message, Batch):
                seen.update(message.rows.schema.names)
            yield self._chosen(message) if isinstance(message, Batch) else message
        if cursor is None and seen:
            for name in sorted((self._wanted[lane.name].fields or seen) - seen):
                _log.warning("stream %s: the field %s is chosen, and no row has it", lane.name, name)

    def _chosen(self, batch: Batch) -> Batch:
        wanted = self._wanted[batch.stream]
        names = batch.rows.schema.names
        chosen = [name for name in names if wanted.wants(name)]
        return batch if len(chosen) == len(names) else Batch(batch.stream, batch.rows.select(chosen))

    def committed(self, lane: Lane, cursor: Json) -> None:
        """The functions need not know: they are asked from the last mark on."""

    def close(self) -> None:
        """Nothing is open between two reads."""


def own_source(streams: Sequence[OwnStream]) -> Callable[[], OwnSource]:
    """Return what opens a source of these streams. Raises SettingsError where two have one name."""
    names = [one.name for one in streams]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        raise SettingsError(
            f"source has {f'two streams {twice[0]!r}' if twice else 'no stream'}",
            hint='give a list of streams, each of its own name: @lockstitch.stream(name="...")',
        )
    return lambda: OwnSource(streams)


def _is_full(one: OwnStream) -> bool:
    return one.cursor is None and not one.append


def _read_all(one: OwnStream, cursor: Json) -> Iterator[Message]:
    """Read a stream without a cursor: as a version of its own that replaces the one before, or to be added."""
    before = _number(one, cursor)
    number = max(time.time_ns() // 1_000_000, before + 1)
    if _is_full(one):
        yield Version(one.name, number)
    for rows in _called(one):
        yield Batch(one.name, rows)
    if _is_full(one):
        yield Publish(one.name, number)
    yield Checkpoint({"read": number})


def _number(one: OwnStream, cursor: Json) -> int:
    if cursor is None:
        return 0
    number = cursor.get("read") if isinstance(cursor, dict) else None
    if type(number) is not int:
        raise strange_cursor(one, cursor)
    return number


def _read_since(one: OwnStream, cursor: Json) -> Iterator[Message]:
    """Read what has a cursor from the last one on, without the rows that were read before."""
    from lockstitch.library.position import Position

    position = Position.of(one, cursor)
    for rows in _called(one, position.value):
        fresh = position.advance(rows)
        if fresh.num_rows:
            yield Batch(one.name, fresh)
            if one.ordered:
                yield Checkpoint(position.to_json())
    position.tell_left_out()
    yield Checkpoint(position.to_json())


def _called(one: OwnStream, *arguments: object) -> Iterator[pa.RecordBatch]:
    """Call the function and yield its rows; its generator is closed in any case. Its errors are told as its own."""
    from lockstitch.library.pages import Pages

    pages = Pages(one.name)
    try:
        given = one.function(*arguments)
        if inspect.isgenerator(given) and inspect.getgeneratorstate(given) == inspect.GEN_CLOSED:
            raise SourceDataError(
                f"stream {one.name} gave a generator that has been read already",
                hint="let the function make a new one each time",
            )
        with closing(pages.of(given)) as batches:
            yield from batches
    except LockstitchError:
        raise
    except Exception as error:
        raise SourceDataError(
            f"stream {one.name}: {type(error).__name__}: {error}",
            hint=f"mend {_place(error, one)}; what came before the last checkpoint has landed",
        ) from error


def _place(error: Exception, one: OwnStream) -> str:
    """Return the line of the program in which its function failed."""
    file = getattr(getattr(one.function, "__code__", None), "co_filename", None)
    place, trace = one.name, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            place = f"{one.name} ({file}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
