"""What has landed: tables, and answers to queries, as Arrow, pandas or Polars."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockstitch.connectors import closest
from lockstitch.core.errors import SettingsError
from lockstitch.core.protocols import Destination, Queryable
from lockstitch.library.html import table_html
from lockstitch.verbs import PipelineSettings, landed

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa


class Dataset:
    """The tables of one schema. Each look opens the destination, and closes it: nothing is kept from look to look.

    dataset = pipeline.dataset()
    dataset.tables                                       # ("sessions", "users")
    dataset.sessions.df()                                # or dataset["sessions"], for any name
    dataset.query("select count(*) from sessions").pl()
    """

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The schema."""
        return self._settings.schema

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables, sorted; () where nothing has landed yet."""
        with landed(self._settings) as destination:
            return () if destination is None else _names(destination)

    def query(self, sql: str) -> Rows:
        """Return the answer to a statement in the destination's own SQL, which can read and change nothing.

            dataset.query("select country, count(*) as users from users group by all").df()

        Tables need no schema before their name. The statement is sent when the answer is read, each time anew. Raises
        SettingsError for a destination that has no SQL, and at reading for a statement that is wrong.
        """

        def read() -> Iterator[pa.RecordBatch]:
            with self._opened() as destination:
                if not isinstance(destination, Queryable):
                    raise SettingsError(
                        f"{self._settings.destination_type} cannot be asked by SQL",
                        hint=f"read whole tables, as in dataset[{_names(destination)[0]!r}].arrow()",
                    )
                try:
                    yield from destination.query(self.name, sql)
                except OSError as error:
                    if error.errno is not None:
                        raise
                    # What a statement meets while its answer comes, comes through Arrow, which has no other word.
                    raise SettingsError(
                        f"{self._settings.destination_type} cannot answer the query: {error}",
                        hint="correct the SQL, or what it does with some values",
                    ) from error

        return Rows(sql, read)

    def __getitem__(self, table: str) -> Rows:
        """Return a table; `_sdc_rejected`, too. Raises SettingsError where there is none of that name."""
        with self._opened() as destination:
            known = (*_names(destination), destination.rules.rejected_table)
        if table not in known:
            raise SettingsError(
                f"dataset {self.name} has no table {table!r}",
                hint=f"{closest(table, known)}its tables are {', '.join(known)}",
            )

        def read() -> Iterator[pa.RecordBatch]:
            with self._opened() as destination:
                yield from destination.read_back(table)

        return Rows(table, read)

    def __getattr__(self, table: str) -> Rows:
        # Python, IPython and pandas ask any object for names like these.
        if table.startswith(("__", "_repr_", "_ipython_")):
            raise AttributeError(table)
        try:
            return self[table]
        except SettingsError as error:
            raise AttributeError(str(error)) from error

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.tables)

    def __repr__(self) -> str:
        return f"<dataset {self.name}: {', '.join(self.tables) or 'no tables yet'}>"

    def _repr_html_(self) -> str:
        return table_html([f"tables of {self.name}"], [[name] for name in self.tables]) or "no tables yet"

    @contextmanager
    def _opened(self) -> Generator[Destination]:
        with landed(self._settings) as destination:
            if destination is None:
                raise SettingsError(f"dataset {self.name} holds nothing yet", hint="run the pipeline first")
            yield destination


def _names(destination: Destination) -> tuple[str, ...]:
    return tuple(sorted(table.name for table in destination.tables() if table.version is None))


@dataclass(frozen=True, slots=True)
class Rows:
    """A table, or the answer to a query. It is read each time it is asked for; no value is changed on the way."""

    name: str
    _read: Callable[[], Iterator[pa.RecordBatch]]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as Arrow batches, as they come: at least one, which may be empty.

        A DuckDB file can be opened by nobody else until the last one is taken, or the iterator is closed.
        """
        return self._read()

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_batches(self.batches())

    def df(self) -> pandas.DataFrame:
        """Return all rows as a pandas DataFrame.

        Whole numbers and booleans are of pandas' types with missing values (Int64, boolean), so that none becomes a
        float; decimals stay decimals.
        """
        pandas = _imported("pandas")
        import pyarrow as pa

        exact: dict[Any, Any] = {pa.bool_(): pandas.BooleanDtype()}
        exact |= {pa.type_for_alias(name.lower()): getattr(pandas, f"{name}Dtype")() for name in _WHOLE_NUMBERS}
        return self.arrow().to_pandas(types_mapper=exact.get)

    def pl(self) -> polars.DataFrame:
        """Return all rows as a Polars DataFrame."""
        return _imported("polars").from_arrow(self.arrow())

    def __repr__(self) -> str:
        return f"<rows of {self.name}: .df(), .pl(), .arrow(), .batches()>"


_WHOLE_NUMBERS: Sequence[str] = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise SettingsError(f"{name} is not installed", hint=f"pip install {name}, or read by .arrow()") from error
