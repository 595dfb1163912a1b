"""Reads tables and queries: whole, or what is new by a cursor column."""

from __future__ import annotations

import hashlib
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, cast

import pyarrow as pa

from lockstitch.core.errors import SettingsError, SourceDataError, TransientError
from lockstitch.core.model import Batch, Checkpoint, Json, Lane, Message, Part, Publish, Selected, Stream, Version
from lockstitch.sources.query.spec import StreamQuery
from lockstitch.toolkit.databases import AnswerColumn, Database

#: The column with the cursor's value as the database writes it, so that it can be handed back without a change.
_CURSOR = "_lockstitch_cursor"
#: Most rows of one cursor value that are remembered, so that they do not come again.
_MOST_SEEN = 1_000
_LENGTH = struct.Struct("<q")


class QuerySource:
    """Streams that are tables or queries of one database. Answers wait in a file, so that nobody waits for us."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, database: Database, streams: Mapping[str, StreamQuery], spool: Path) -> None:
        self._database = database
        self._streams = streams
        self._spool = spool
        self._wanted: dict[str, Selected] = {}

    def check(self) -> None:
        self.discover()

    def discover(self) -> Sequence[Stream]:
        return [self._discovered(name, stream) for name, stream in sorted(self._streams.items())]

    def _discovered(self, name: str, stream: StreamQuery) -> Stream:
        fields = tuple(column.field() for column in self._database.columns(_all_of(stream)))
        there = [field.name for field in fields]
        self._refuse_repeated(name, stream, there)
        for column in (*stream.key, *([stream.cursor] if stream.cursor else [])):
            if column not in there:
                raise SettingsError(
                    f"source.properties.streams.{name} names the column {column!r}, which is not in its answer",
                    hint=f"its columns are {', '.join(there)}",
                )
        return Stream(name, fields, tuple(stream.key), "INCREMENTAL" if stream.cursor else "FULL_TABLE", stream.cursor)

    def _refuse_repeated(self, name: str, stream: StreamQuery, there: Sequence[str]) -> None:
        """Raise SettingsError for two columns of one name: of such, one would be lost, or DuckDB renames it."""
        written = [column.name for column in self._database.columns(_statement(stream))]
        repeated = {one for one, came in zip(written, there, strict=True) if one != came or written.count(one) > 1}
        if repeated:
            raise SettingsError(
                f"source.properties.streams.{name} has more than one column named {', '.join(sorted(repeated))}",
                hint="give each column a name of its own by as: select orders.id, lines.id as line_id, ...",
            )

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = {one.stream.name: one for one in wanted}
        return [Lane(name, (name,), "repeats") for name in self._wanted]

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # nothing is ever written to the database

    def close(self) -> None:
        """Do nothing: the database is open only for a question."""

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        stream = self._streams[lane.name]
        state = _state(cursor, "after" if stream.cursor else "version")
        return self._whole(lane.name, stream, state) if not stream.cursor else self._newer(lane.name, stream, state)

    def _whole(self, name: str, stream: StreamQuery, state: Mapping[str, Any]) -> Iterator[Message]:
        """All rows, each time anew; they replace those of the time before."""
        version = max(time.time_ns() // 1_000_000, state.get("version", 0) + 1)
        yield Version(name, version)
        for batch in self._copied(self._database.rows(_all_of(stream))):
            yield Batch(name, self._chosen(name, batch))
        yield Publish(name, version)
        yield Checkpoint({"version": version})

    def _newer(self, name: str, stream: StreamQuery, state: Mapping[str, Any]) -> Iterator[Message]:
        """The rows from the cursor's last value on; those of that very value that came already are left out."""
        columns = self._database.columns(_all_of(stream))
        text_column = _free_name(_CURSOR, columns)
        begin, came = state.get("after"), Counter[str](state.get("seen", ()))
        after, seen = begin, list[str]()
        reached: Json = dict(state) or {"after": None, "seen": []}
        for batch in self._copied(self._database.rows(_newer_than(stream, begin, columns, text_column))):
            texts: list[str | None] = batch.column(text_column).to_pylist()
            if None in texts:
                raise SourceDataError(
                    f"stream {name}: the cursor column {stream.cursor} is null in a row, which would be missed later",
                    hint=f"leave such rows out by a query, or give them a value: coalesce({stream.cursor}, ...)",
                )
            rows = batch.drop_columns([text_column])
            new = [text != begin or not _came_before(rows, at, came) for at, text in enumerate(texts)]
            chosen = self._chosen(name, rows.filter(pa.array(new)))
            if chosen.num_rows:
                yield Batch(name, chosen)
            if texts[-1] != after:
                after, seen = texts[-1], []
            ends = [at for at, text in enumerate(texts) if text == after]
            # One beyond the bound tells that there are too many.
            seen += [_digest(rows, at) for at in ends[: _MOST_SEEN + 1 - len(seen)]]
            still_to_come = came.elements() if after == begin else ()
            held = [*seen, *still_to_come]
            reached = {"after": after, "seen": [*sorted(held)] if len(held) <= _MOST_SEEN else []}
            yield Checkpoint(reached)
        yield Checkpoint(reached)

    def _chosen(self, name: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        wanted = self._wanted.get(name)
        names = cast("list[str]", rows.schema.names)
        return rows if wanted is None else rows.select([one for one in names if wanted.wants(one)])

    def _copied(self, batches: Generator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield an answer once it was read as a whole, into a file without a name."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._spool) as file:
            with closing(batches):
                for batch in batches:
                    self._keep(batch, file)
            file.seek(0)
            while head := file.read(_LENGTH.size):
                with pa.ipc.open_stream(file.read(_LENGTH.unpack(head)[0])) as reader:
                    yield from reader

    def _keep(self, batch: pa.RecordBatch, file: BinaryIO) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        written = sink.getvalue()
        try:
            file.write(_LENGTH.pack(written.size))
            file.write(written)
            file.flush()
        except OSError as error:
            raise TransientError(
                f"the answer cannot be kept on disk: {error.strerror} ({self._spool})",
                hint="free some space below the home folder, or set LOCKSTITCH_HOME to a folder on a larger disk",
            ) from error


def _newer_than(stream: StreamQuery, after: str | None, columns: Sequence[AnswerColumn], text_column: str) -> str:
    assert stream.cursor is not None
    cursor = _quoted(stream.cursor)
    where = ""
    if after is not None:
        kind = next(one.native for one in columns if one.name == stream.cursor)
        # A row without a cursor value must be seen to be refused.
        where = f" where {cursor} >= cast({_literal(after)} as {kind}) or {cursor} is null"
    order = ", ".join([cursor, *(_quoted(name) for name in stream.key)])
    text = f"cast({cursor} as varchar) as {_quoted(text_column)}"
    return f"select *, {text} from ({_all_of(stream)}) as answer{where} order by {order}"


def _free_name(name: str, columns: Sequence[AnswerColumn]) -> str:
    """Return a name that none of the columns has, in any case: this one, or a longer one."""
    taken = {column.name.lower() for column in columns}
    while name in taken:
        name += "_"
    return name


def _came_before(rows: pa.RecordBatch, at: int, came: Counter[str]) -> bool:
    """Tell whether a row is one of those that came before, and count it off: equal rows are as many as they are."""
    if not came:
        return False
    digest = _digest(rows, at)
    is_one = came[digest] > 0
    came[digest] -= is_one
    return is_one


def _all_of(stream: StreamQuery) -> str:
    return f"select * from {_statement(stream)} as query"


def _statement(stream: StreamQuery) -> str:
    """Return the stream's query, or one of its table, in parentheses."""
    if stream.table is not None:
        return f"(select * from {'.'.join(_quoted(part) for part in stream.table.split('.'))})"
    # Its end is on a line of its own, for a comment there; and without the semicolon that people write.
    return f"({(stream.query or '').strip().rstrip(';')}\n)"


def _state(cursor: Json, word: str) -> Mapping[str, Any]:
    """Return a cursor of ours as it was given. Raises SettingsError for any other."""
    if cursor is None:
        return {}
    known = {"after": {"after", "seen"}, "version": {"version"}}[word]
    kinds = (str, type(None)) if word == "after" else (int,)
    if not isinstance(cursor, dict) or set(cursor) != known or not isinstance(cursor[word], kinds):
        raise SettingsError(
            f"the query cannot go on from {cursor!r}",
            hint="it was read in another way before; reset the stream to read it from its beginning",
        )
    return cursor


def _digest(rows: pa.RecordBatch, at: int) -> str:
    return hashlib.blake2b(repr(rows.slice(at, 1).to_pylist()).encode(), digest_size=8).hexdigest()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
