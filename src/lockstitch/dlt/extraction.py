"""One extraction by dlt, into a folder of its own, and the rows that lie there afterwards."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dlt.common import json
from dlt.common.data_types import coerce_value, py_type_to_sc_type

from lockstitch.core.model import Json
from lockstitch.dlt.current import current_kept
from lockstitch.dlt.errors import explained
from lockstitch.library.pages import Pages

if TYPE_CHECKING:
    from dlt.common.pipeline import ExtractInfo
    from dlt.extract import DltSource

    from lockstitch.dlt.taken import Action, Table

#: Our pipeline's name, for the places of dlt's configuration that begin with one.
_PIPELINE = "lockstitch"
#: Batches that differ in their types come into files of their own, instead of failing; said of our pipeline alone.
_SETTING, _VALUE = f"{_PIPELINE.upper()}__DATA_WRITER__ARROW_CONCAT_PROMOTE_OPTIONS", "default"


class Extraction:
    """What dlt has extracted from a source after a state; `state` is dlt's afterwards, as JSON.

    Raises what reading the source has raised, with what mends it.
    """

    def __init__(self, source: DltSource, state: Json, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._source = source.name
        self._folder = tempfile.TemporaryDirectory(prefix="dlt-", dir=folder)
        try:
            with explained(f"the dlt source {source.name}"):
                self._files, self._tables, self.state = _extracted(source, state, self._folder.name)
        except BaseException:
            self.close()
            raise
        self._naming = source.schema.naming

    def refuse_others(self, tables: Mapping[str, Table]) -> None:
        """Raise SourceDataError for rows of a table that is not among these, or that is filled in another way now."""
        from lockstitch.dlt.taken import refused, refused_way, way_of

        for name in self._files:
            if name not in tables:
                raise refused(name, self._source)
            planned = tables[name]
            before = self._named(planned.action, planned.stream.key, planned.deleted)
            if self._named(*way_of(name, self._tables[name])) != before:
                raise refused_way(name, self._source)

    def _named(self, action: Action, key: Sequence[str], deleted: str | None) -> tuple[Action, set[str], str | None]:
        """Return a way with its columns called as in dlt's schema."""
        named = self._naming.normalize_path
        return action, {*map(named, key)}, deleted and named(deleted)

    def rows(self, table: Table) -> Iterator[pa.RecordBatch]:
        """Yield a table's rows in the order in which dlt wrote them."""
        for path in self._files.get(table.stream.name, ()):
            if path.suffix == ".parquet":
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches():
                        yield self._with_key(batch, table)
            else:
                yield from Pages(table.stream.name).of(_typed(path, table.kinds))

    def _with_key(self, batch: pa.RecordBatch, table: Table) -> pa.RecordBatch:
        """Call the fields that matter as the resource does: dlt has renamed Arrow's fields by its rules."""
        names = (*table.stream.key, *([table.deleted] if table.deleted is not None else []))
        raw = {self._naming.normalize_path(name): name for name in names}
        return batch.rename_columns([raw.get(name, name) for name in batch.schema.names])

    def close(self) -> None:
        self._folder.cleanup()


def _extracted(
    source: DltSource, state: Json, folder: str
) -> tuple[dict[str, list[Path]], Mapping[str, Mapping[str, Any]], Json]:
    """Let dlt extract; return the files of each table, in their order, its tables as they are now, and the state."""
    import dlt

    os.environ.setdefault(_SETTING, _VALUE)
    with current_kept():
        pipeline = dlt.pipeline(_PIPELINE, pipelines_dir=folder)
        with pipeline.managed_state() as stored:
            stored["sources"] = json.typed_loads(json.dumps(state))
        files = _files_of(pipeline.extract(source), pipeline.default_schema.state_table_name)
        tables = cast("Mapping[str, Mapping[str, Any]]", pipeline.default_schema.tables)
        return files, tables, cast("Json", json.loads(json.typed_dumps(pipeline.state.get("sources", {}))))


def _files_of(info: ExtractInfo, state_table: str) -> dict[str, list[Path]]:
    """Return the files of each table but that of dlt's state, in the order in which dlt began them.

    A file's id is random, and the disk's clock too coarse. dlt tells when each was begun by a clock that never goes
    back, and, of those begun at one moment, in which order they were closed: `sorted` keeps that.
    """
    written = [one for steps in info.metrics.values() for step in steps for one in step["job_metrics"].items()]
    places = {job: place for place, (job, _) in enumerate(sorted(written, key=lambda one: one[1].created))}
    jobs = [job for package in info.load_packages for job in package.jobs["new_jobs"]]
    of_rows = [job for job in jobs if job.job_file_info.table_name != state_table]
    files: dict[str, list[Path]] = {}
    for job in sorted(of_rows, key=lambda job: places[job.job_file_info.job_id()]):
        files.setdefault(job.job_file_info.table_name, []).append(Path(job.file_path))
    return files


def _typed(path: Path, kinds: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a file of dlt's typed JSON, their columns of the types that hints give them."""
    with path.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_packed else path.open("rb") as lines:
        for line in cast("Iterable[bytes]", lines):
            # A value that is no object is a row of one column, called as dlt calls it.
            rows = [one if isinstance(one, dict) else {"value": one} for one in json.typed_loadb(line)]
            for row in rows if kinds else ():
                for name, kind in kinds.items():
                    if row.get(name) is not None:
                        with suppress(ValueError, TypeError):  # it stays what it is, and the layout splits the column
                            row[name] = coerce_value(cast("Any", kind), _kind(row[name]), row[name])
            yield rows


def _kind(value: object) -> Any:
    return py_type_to_sc_type(type(value))


def runs(rows: pa.RecordBatch, deleted: str) -> Iterator[tuple[bool, pa.RecordBatch]]:
    """Yield the rows in runs of those that are deleted and those that are not: by true, or by any value but false."""
    column = rows.column(deleted)
    mask = pc.fill_null(column, False) if pa.types.is_boolean(column.type) else pc.is_valid(column)
    flags: list[bool] = mask.to_pylist()
    start = 0
    for end in range(1, len(flags) + 1):
        if end == len(flags) or flags[end] != flags[start]:
            yield flags[start], rows.slice(start, end - start)
            start = end
