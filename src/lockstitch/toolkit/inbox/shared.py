"""A durable inbox in PostgreSQL, for servers on several machines: this is its reading end.

Its tables are the control store's `inbox` and `inbox_state` (`control/store/tables.py`), and `control/inboxes.py`
writes them. The state's row is locked from the giving of a position to its commit, so that whoever sees a position
has seen all smaller ones.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

from lockstitch.core.errors import AccessError, TransientError

if TYPE_CHECKING:
    import psycopg

#: Bytes of payloads that are fetched at a time, but for a single one that is larger, and entries that are looked at.
FETCH_BYTES = 4 * 2**20
FETCH_ENTRIES = 1_000

_READ = """
    SELECT position, payload FROM (
        SELECT position, payload, size, sum(size) OVER (ORDER BY position) AS so_far FROM (
            SELECT position, payload, size FROM inbox
            WHERE source_id = %(source_id)s AND position > %(after)s ORDER BY position LIMIT %(entries)s
        ) AS following
    ) AS counted
    WHERE so_far - size < %(bytes)s ORDER BY position
"""
_TRIM = """
    WITH gone AS (
        DELETE FROM inbox WHERE source_id = %(source_id)s AND position <= %(position)s RETURNING size
    )
    UPDATE inbox_state SET
        bytes = bytes - (SELECT coalesce(sum(size), 0) FROM gone),
        committed_position = greatest(committed_position, %(position)s)
    WHERE source_id = %(source_id)s
"""
_COMMITTED = "SELECT committed_position FROM inbox_state WHERE source_id = %(source_id)s"
_SIZE = "SELECT coalesce(sum(size), 0)::bigint FROM inbox WHERE source_id = %(source_id)s AND position > %(after)s"
_LOAD = "SELECT tables FROM inbox_state WHERE source_id = %(source_id)s"
_SAVE = "UPDATE inbox_state SET tables = %(tables)s WHERE source_id = %(source_id)s"


class SharedInbox:
    """The inbox of one source; `database` is a connection string of libpq's, which is never shown.

    Connects when first needed, and again after the connection was lost. Methods raise TransientError where the
    server does not answer, and AccessError where it refuses.
    """

    def __init__(self, database: str, source_id: int) -> None:
        self._database = database
        self._source_id = source_id
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def place(self) -> str:
        return f"the inbox of source {self._source_id}"

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield position and payload of each entry after a position, oldest first; no transaction stays open."""
        while rows := self._ask(_READ, after=after, entries=FETCH_ENTRIES, bytes=FETCH_BYTES):
            yield from rows
            after = rows[-1][0]

    def trim(self, position: int) -> None:
        self._ask(_TRIM, position=position)

    def committed(self) -> int:
        return self._value(_COMMITTED) or 0

    def size(self, after: int = 0) -> int:
        return self._value(_SIZE, after=after) or 0

    def load_tables(self) -> bytes | None:
        text: str | None = self._value(_LOAD)
        return text.encode() if text is not None else None

    def save_tables(self, content: bytes) -> None:
        self._ask(_SAVE, tables=content.decode())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _value(self, sql: LiteralString, **values: Any) -> Any:
        rows = self._ask(sql, **values)
        return rows[0][0] if rows else None

    def _ask(self, sql: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        # Payloads come as the bytes that they are, not as hexadecimal text.
        with self._errors_told(), self._connected().cursor(binary=True) as cursor:
            cursor.execute(sql, {"source_id": self._source_id, **values})
            return cursor.fetchall() if cursor.description is not None else []

    def _connected(self) -> psycopg.Connection[Any]:
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._database, autocommit=True)
        return self._connection

    @contextmanager
    def _errors_told(self) -> Generator[None]:
        import psycopg

        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise TransientError(f"{self.place} does not answer: {error}", hint="look after its PostgreSQL") from error
        except psycopg.ProgrammingError as error:
            raise AccessError(
                f"{self.place} cannot be read: {error}", hint="name the database of the server that is pushed to"
            ) from error
