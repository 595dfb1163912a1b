"""One connection to PostgreSQL: statements, binary COPY in and out, one transaction at a time, errors of ours."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch.core.errors import LockstitchError, TransientError
from lockstitch.destinations.postgres import errors
from lockstitch.destinations.postgres.spec import Properties
from lockstitch.destinations.postgres.sql import Relation

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager import AdbcConnection, AdbcDatabase, AdbcStatement

#: Rows handed to COPY at a time: the server works on them while the next are encoded (measured: 8 k rows take 0.8 of
#: the time of 128 k).
COPY_ROWS = 8192

#: What holds for every statement of ours, whatever the user's or the database's defaults are. A transaction that is
#: left open by a stopped process is ended by the server in the end. The search path stays: a user's triggers need it.
_SETTINGS = {
    "TimeZone": "UTC",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "15min",
    "default_transaction_isolation": "read committed",
}

#: The least memory for sorting rows and for building a key, in bytes; a server that grants more keeps its own setting.
_MEMORY = {"work_mem": 64 * 2**20, "maintenance_work_mem": 256 * 2**20}


class Session:
    """A connection. The first statement begins a transaction; after an error only `close` is left to do.

    Uses the driver's low-level face: its other one imports twice as much, which every run would pay for.
    """

    def __init__(self, database: AdbcDatabase, connection: AdbcConnection, place: str) -> None:
        self._database = database
        self._connection = connection
        self._place = place
        self._failed = False

    def run(self, *statements: str) -> None:
        """Run statements that return nothing."""
        for sql in statements:
            with self._statement() as statement:
                statement.set_sql_query(sql)
                statement.execute_update()

    def rows(self, sql: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        """Return all rows of one statement; $1, $2 ... stand for the values."""
        import pyarrow as pa

        with self._statement() as statement:
            statement.set_sql_query(sql)
            if values:
                statement.bind(
                    pa.record_batch([pa.array([value]) for value in values], [str(at) for at in range(len(values))])
                )
            table = _answer(statement).read_all()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def value(self, sql: str, *values: str | int | None) -> Any:
        """Return the first column of the first row, None where there is no row."""
        rows = self.rows(sql, *values)
        return rows[0][0] if rows else None

    def copy(self, relation: Relation, rows: pa.RecordBatchReader) -> int:
        """Copy rows into the columns of their names; return their number. An error of the reader is raised as it is."""
        import pyarrow as pa

        failures: list[Exception] = []
        reader = pa.RecordBatchReader.from_batches(rows.schema, _in_slices(rows, failures))
        options = {
            "adbc.ingest.target_table": relation.name,
            "adbc.ingest.target_db_schema": relation.schema,
            "adbc.ingest.mode": "adbc.ingest.mode.append",
        }
        try:
            with self._statement() as statement:
                statement.set_options(**options)
                statement.bind_stream(reader)
                return statement.execute_update()
        except Exception as error:
            if failures:
                raise failures[0] from error
            raise

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one statement as they come; without a row an empty batch."""
        from lockstitch.toolkit.answers import batches_of

        with self._statement() as statement:
            statement.set_sql_query(sql)
            yield from batches_of(_answer(statement))

    def commit(self) -> None:
        """Make the transaction durable. Where the answer is lost it may have been made all the same."""
        if self._failed:
            raise AssertionError("a transaction with an error in it would be rolled back silently")
        with self._translated():
            try:
                self._connection.commit()
            except Exception as error:
                if _is_connection_lost(error):
                    raise TransientError(
                        f"PostgreSQL {self._place}: the connection was lost in the middle of COMMIT",
                        hint="the mark in the destination tells whether the load has landed: the next run reads it",
                    ) from error
                raise

    def rollback(self) -> None:
        with self._translated():
            self._connection.rollback()

    def close(self) -> None:
        """Close the connection; what was not committed is undone by the server."""
        self._connection.close()
        self._database.close()

    @contextmanager
    def _statement(self) -> Generator[AdbcStatement]:
        from adbc_driver_manager import AdbcStatement

        with self._translated(), AdbcStatement(self._connection) as statement:
            yield statement

    @contextmanager
    def _translated(self) -> Generator[None]:
        from adbc_driver_manager import Error

        try:
            yield
        except Error as error:
            self._failed = True
            meant = errors.translated(error, self._place)
            if meant is None:
                raise
            raise meant from error
        except BaseException:
            self._failed = True
            raise


def _is_connection_lost(error: Exception) -> bool:
    from adbc_driver_manager import Error

    return isinstance(error, Error) and errors.is_connection_lost(error)


def _answer(statement: AdbcStatement) -> pa.RecordBatchReader:
    """Execute, and return the rows as they come. Most errors come while they are read.

    The driver manager's own reader tells those by their SQLSTATE; a plain one would say no more than OSError.
    """
    from adbc_driver_manager._reader import AdbcRecordBatchReader

    rows, _ = statement.execute_query()
    return AdbcRecordBatchReader._import_from_c(rows.address)


def _in_slices(rows: pa.RecordBatchReader, failures: list[Exception]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in rows:
            for start in range(0, batch.num_rows, COPY_ROWS):
                yield batch.slice(start, COPY_ROWS)
    except Exception as error:
        failures.append(error)
        raise


def connect(properties: Properties, *, lock_timeout: float) -> Session:
    """Open a connection. Raises AccessError or TransientError for what stands against it."""
    import adbc_driver_postgresql as driver
    from adbc_driver_manager import AdbcConnection, Error

    place = f"{properties.host}:{properties.port}/{properties.database}"
    with _certificate_file(properties.sslrootcert) as certificate:
        try:
            database = driver.connect(connection_text(properties, certificate))
        except Error as error:
            raise errors.refusal(error, place) from error
        try:
            connection = AdbcConnection(database)
            connection.set_autocommit(False)
        except Error as error:
            database.close()
            raise errors.refusal(error, place) from error
    session = Session(database, connection, place)
    try:
        _set_up(session, lock_timeout)
    except LockstitchError:
        session.close()
        raise
    return session


def _set_up(session: Session, lock_timeout: float) -> None:
    settings = {**_SETTINGS, "lock_timeout": f"{int(lock_timeout * 1000)}ms"}
    calls = [f"set_config('{name}', '{value}', false)" for name, value in settings.items()]
    for name, least in _MEMORY.items():
        granted = f"current_setting('{name}')"
        calls.append(
            f"set_config('{name}',"
            f" CASE WHEN pg_size_bytes({granted}) < {least} THEN '{least // 1024}kB' ELSE {granted} END, false)"
        )
    session.rows(f"SELECT {', '.join(calls)}")
    session.commit()


def connection_text(properties: Properties, certificate: str | None) -> str:
    """Return the connection in libpq's words. A network that swallows packets is noticed within a minute or so."""
    addresses = (properties.hostaddr or "").split(",")
    words = {
        "host": ",".join([properties.host] * len(addresses)),  # libpq wants as many names as addresses
        "hostaddr": ",".join(addresses),
        "port": str(properties.port),
        "user": properties.username,
        "password": properties.password,
        "dbname": properties.database,
        "sslmode": _ssl_mode(properties),
        "connect_timeout": str(properties.connect_timeout),
        "application_name": "lockstitch",
        "client_encoding": "UTF8",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
    if certificate is not None:
        words["sslrootcert"] = certificate
    return " ".join(f"{name}={_word(value)}" for name, value in words.items() if value)


def _word(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _ssl_mode(properties: Properties) -> str:
    if properties.sslrootcert:
        return "verify-full"
    return {None: "prefer", True: "require", False: "disable"}[properties.ssl]


@contextmanager
def _certificate_file(certificate: str | None) -> Generator[str | None]:
    """Yield the path of the certificate; one given as text goes into a file while the connection is made."""
    if certificate is None or "-----BEGIN" not in certificate:
        yield certificate or None
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lockstitch-") as folder:
        path = Path(folder) / "root.crt"
        path.write_text(certificate)
        yield str(path)
