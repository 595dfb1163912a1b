"""DuckDB as a destination. The file is open only to read marks and schemas, for one commit, or for one query."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import duckdb

from lockstitch.core.errors import SettingsError, Superseded
from lockstitch.core.loads import LedgerRow, Load
from lockstitch.core.model import Capabilities, Mark, Table
from lockstitch.core.rules import Rules
from lockstitch.destinations.duckdb import catalog
from lockstitch.destinations.duckdb.catalog import quoted
from lockstitch.destinations.duckdb.rules import RULES
from lockstitch.toolkit.duckdb_errors import translated
from lockstitch.toolkit.held import held

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstitch.core.protocols import Writer

_DATABASE = "_lockstitch_file"

_ANY_LOAD: Mapping[str, int | str] = {"memory_limit": "256MB"}
#: Where a load only adds rows, nothing needs compacting: looking for it would rewrite what was just written.
_ADDING_LOAD: Mapping[str, int | str] = {"memory_limit": "128MB", "max_vacuum_tasks": 0}


class DuckDB:
    """A destination in one file. `memory_limit` bounds DuckDB's own memory; beyond it, it works on disk.

    Without one, a load that only adds rows gets 128 MB and any other 256 MB (docs/performance.md).
    """

    capabilities: ClassVar[Capabilities] = Capabilities(atomic="all", exclusive=True)
    rules: ClassVar[Rules] = RULES

    def __init__(self, path: str | Path, memory_limit: str | None = None) -> None:
        self.path = Path(path).expanduser()
        self.schema = ""
        self._memory_limit = memory_limit

    @contextmanager
    def _file(
        self, settings: Mapping[str, int | str] = _ANY_LOAD, mode: Literal["", " (read_only)"] = ""
    ) -> Generator[duckdb.DuckDBPyConnection]:
        config: dict[str, str | bool | int | float | list[str]] = {
            "preserve_insertion_order": "false",
            "temp_directory": f"{self.path}.tmp",
            **settings,
            **({"memory_limit": self._memory_limit} if self._memory_limit else {}),
        }
        with held(self.path), translated(self.path):
            self._make()
            db = duckdb.connect(config=config)
            try:
                # Under a name of its own: DuckDB would call the database like the file, and take it for a schema.
                path = str(self.path).replace("'", "''")
                db.execute(f"attach '{path}' as {_DATABASE}{mode}")
                db.execute(f"use {_DATABASE}")
                yield db
            finally:
                db.close()

    def _make(self) -> None:
        """Make the file where there is none: elsewhere first, as half a file in its place would be refused for ever."""
        real = self.path.resolve()
        if real.exists():
            return
        new = real.with_name(f"{real.name}.new")
        new.unlink(missing_ok=True)
        duckdb.connect(str(new)).close()
        # The log of a file that was removed: DuckDB drops it, too, where it makes a new one.
        real.with_name(f"{real.name}.wal").unlink(missing_ok=True)
        new.rename(real)

    @contextmanager
    def _transaction(self, settings: Mapping[str, int | str] = _ANY_LOAD) -> Generator[duckdb.DuckDBPyConnection]:
        """Everything inside is one transaction, rolled back unless it is committed inside."""
        with self._file(settings) as db:
            db.begin()
            yield db  # an open transaction ends with its connection

    def check(self) -> None:
        with self._transaction() as db:
            db.execute("create table _lockstitch_check (checked boolean)")

    def open(self, connection: str, schema: str) -> None:  # noqa: ARG002 - marks are told theirs, one by one
        self.schema = schema
        with self._transaction() as db:
            catalog.create(db, schema)
            db.commit()

    def marks(self, connection: str) -> Mapping[str, Mark]:
        if not self.path.exists():
            return {}
        with self._file() as db:
            return catalog.read_marks(db, connection)

    def tables(self) -> Sequence[Table]:
        with self._file() as db:
            return catalog.read_tables(db, self.schema)

    @contextmanager
    def begin(self, load: Load, after: Mark | None) -> Generator[Writer]:
        from lockstitch.destinations.duckdb.writer import DuckDBWriter

        adds_only = all(step.action in ("append", "fill", "publish") for step in load.steps)
        with self._transaction(_ADDING_LOAD if adds_only else _ANY_LOAD) as db:
            self._refuse_superseded(db, load.connection, load.lane, after)
            yield DuckDBWriter(db, self.schema, load)

    def adopt(self, connection: str, lane: str, mark: Mark, after: Mark | None) -> None:
        with self._transaction() as db:
            self._refuse_superseded(db, connection, lane, after)
            catalog.write_mark(db, connection, lane, mark)
            db.commit()

    def _refuse_superseded(self, db: duckdb.DuckDBPyConnection, connection: str, lane: str, after: Mark | None) -> None:
        stored = catalog.read_marks(db, connection).get(lane)
        place = (stored.epoch, stored.number) if stored is not None else None
        expected = (after.epoch, after.number) if after is not None else None
        if place != expected:
            raise Superseded(
                f"lane {lane} stands at {_told(stored)}, this run expected {_told(after)}: another run has committed",
                hint="nothing of this load landed; run again to go on from there",
            )

    def ledger(self, connection: str) -> Sequence[tuple[str, int, LedgerRow]]:
        with self._file() as db:
            return catalog.read_ledger(db, connection)

    def read_back(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        chosen = "*" if columns is None else ", ".join(quoted(name) for name in columns)
        with self._file(_ANY_LOAD, " (read_only)") as db:
            db.execute(_IN_UTC)
            yield from _answer(db, f"select {chosen} from {quoted(self.schema, table)}")

    def query(self, schema: str, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the answer to a statement that only reads. Nobody else has the file meanwhile."""
        with self._file({"preserve_insertion_order": "true"}, " (read_only)") as db:
            db.execute(f"use {quoted(_DATABASE, schema)}")
            for setting in (_IN_UTC, *_CONFINED):
                db.execute(setting)
            try:
                yield from _answer(db, sql)
            except _STATEMENTS_FAULTS as error:
                raise SettingsError(
                    f"DuckDB cannot answer the query: {error}", hint="correct the SQL; it can read, and change nothing"
                ) from error

    def close(self) -> None:
        return


_IN_UTC = "set TimeZone = 'UTC'"

#: What holds for a statement of the user's: a name in it is never a variable of ours, it reads and writes no other file
#: (COPY ... TO would), and it cannot change that.
_CONFINED = (
    "set python_enable_replacements = false",
    "set enable_external_access = false",
    "set lock_configuration = true",
)

_STATEMENTS_FAULTS = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.PermissionException,
)


def _answer(db: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    from lockstitch.toolkit.answers import batches_of

    relation = cast("duckdb.DuckDBPyRelation | None", db.sql(sql))  # whatever its stub says
    if relation is None:
        raise SettingsError("the statement has no answer", hint="write one that selects rows")
    yield from batches_of(relation.to_arrow_reader(65_536))


def _told(mark: Mark | None) -> str:
    return "its beginning" if mark is None else f"commit {mark.number} of epoch {mark.epoch}"
