"""Avro files to Arrow batches: streaming, row order kept, memory bounded, nothing lost in silence."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from lockstitch.core.errors import SourceDataError
from lockstitch.toolkit.avro_container import MEND, Header, Survey, header_bytes


def decode(
    path: Path, surveyed: Survey, *, name: str, wants: Callable[[str], bool], spool: Callable[[], Path]
) -> Iterator[pa.RecordBatch]:
    """Yield the file's rows in their order, of the columns that are wanted, and exactly as many as its blocks say.

    Values come in Arrow's types for Avro's (`spec/source-heap.md` section 5), a uuid as text. Text that is no UTF-8
    comes as it is, in a string column: the layout adjusts and reports it. `spool` names the folder for a copy of a file
    that must be restated.
    """
    columns = [field["name"] for field in surveyed.header.fields if wants(field["name"])]
    if not columns:
        yield from _without_columns(surveyed)
        return
    done = 0
    try:
        for batch in _rendered(path, surveyed, columns, spool):
            done += batch.num_rows
            yield batch
    except SourceDataError:
        raise
    except BaseException as error:
        if not _is_decoders(error):
            raise
        if "UTF-8" not in str(error):
            raise _undecodable(name, error) from error
        for batch in _rendered_as_bytes(path, surveyed, columns, spool, name, done):
            done += batch.num_rows
            yield batch
    if done != surveyed.rows:
        raise SourceDataError(f"{name} was decoded to {done} rows, but its blocks say {surveyed.rows}", hint=MEND)


def _rendered(
    path: Path, surveyed: Survey, columns: Sequence[str], spool: Callable[[], Path]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows as the decoder gives them, but uuids as text.

    The decoder would make 16 bytes of a uuid, and refuse one that is written in another way: it is shown a string.
    """
    header = surveyed.header
    plain = _map_types(header.schema, _without_uuid)
    copy = path if plain == header.schema else _restated(path, header, plain, spool())
    try:
        for batch in _scan(copy, columns, surveyed.batch_rows):
            yield _with_uuid_text(batch, header)
    finally:
        if copy != path:
            copy.unlink()


def _rendered_as_bytes(
    path: Path, surveyed: Survey, columns: Sequence[str], spool: Callable[[], Path], name: str, skip: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows after the first `skip`, with strings taken as bytes (Avro writes both alike) and labelled text."""
    header = surveyed.header
    plain = _map_types(header.schema, _without_uuid)
    copy = _restated(path, header, _map_types(plain, _bytes_for_string), spool())
    empty = _restated(path, header, plain, spool(), rows=False)
    try:
        schema = _frame(empty, columns, surveyed.batch_rows).schema()
        for batch in _scan(copy, columns, surveyed.batch_rows):
            left = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - left.num_rows
            if left.num_rows:
                arrays = [array.view(field.type) for array, field in zip(left.columns, schema, strict=True)]
                yield _with_uuid_text(pa.record_batch(arrays, schema=schema), header)
    except BaseException as error:
        if not _is_decoders(error):
            raise
        raise _undecodable(name, error) from error
    finally:
        copy.unlink()
        empty.unlink()


def _frame(path: Path, columns: Sequence[str], batch_rows: int) -> Any:
    from datafusion import SessionConfig, SessionContext, column

    # One partition keeps the rows' order. As a URL, a path is taken as it is: no patterns in it.
    config = SessionConfig().with_target_partitions(1).with_batch_size(batch_rows)
    frame = SessionContext(config).read_avro(f"file://{quote(str(path.absolute()))}", file_extension="")
    quoted = ('"' + name.replace('"', '""') + '"' for name in columns)
    return frame.select(*(column(name) for name in quoted))


def _scan(path: Path, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    for batch in _frame(path, columns, batch_rows).execute_stream():
        yield batch.to_pyarrow()


def _without_columns(surveyed: Survey) -> Iterator[pa.RecordBatch]:
    """Yield rows without values: their number still counts."""
    left = surveyed.rows
    while left > 0:
        rows = min(left, surveyed.batch_rows)
        yield pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        left -= rows


def _restated(path: Path, header: Header, schema: dict[str, Any], spool: Path, *, rows: bool = True) -> Path:
    """Write the file again under another schema that reads the same bytes."""
    copy = spool / f"{uuid.uuid4().hex}.avro"
    with path.open("rb") as old, copy.open("wb") as new:
        new.write(header_bytes(schema, header.codec, header.sync))
        old.seek(header.size)
        if rows:
            shutil.copyfileobj(old, new, 1 << 20)
    return copy


def _map_types(schema: Any, change: Callable[[Any], Any]) -> Any:
    """Return the schema with each type in it changed; names, symbols and defaults are left alone."""
    if isinstance(schema, list):
        return [_map_types(branch, change) for branch in schema]
    if not isinstance(schema, dict):
        return change(schema)
    schema = {key: _map_types(value, change) if key in ("items", "values") else value for key, value in schema.items()}
    if "fields" in schema:
        schema["fields"] = [{**field, "type": _map_types(field["type"], change)} for field in schema["fields"]]
    elif isinstance(schema["type"], dict | list):
        schema["type"] = _map_types(schema["type"], change)
    return change(schema)


def _without_uuid(type_: Any) -> Any:
    if isinstance(type_, dict) and type_.get("logicalType") == "uuid" and type_.get("type") == "string":
        return "string"
    return type_


def _bytes_for_string(type_: Any) -> Any:
    if type_ == "string":
        return "bytes"
    return {**type_, "type": "bytes"} if isinstance(type_, dict) and type_.get("type") == "string" else type_


def _is_fixed_uuid(type_: Any) -> bool:
    branches = type_ if isinstance(type_, list) else [type_]
    kinds = [branch for branch in branches if branch != "null"]
    return len(kinds) == 1 and isinstance(kinds[0], dict) and kinds[0].get("logicalType") == "uuid"


def _with_uuid_text(batch: pa.RecordBatch, header: Header) -> pa.RecordBatch:
    """Turn uuids of 16 bytes, at the top level, into their 36 characters."""
    for name in (field["name"] for field in header.fields if _is_fixed_uuid(field["type"])):
        index = batch.schema.get_field_index(name)
        if index >= 0 and pa.types.is_fixed_size_binary(batch.column(index).type):
            texts = [
                None if value is None else str(uuid.UUID(bytes=value)) for value in batch.column(index).to_pylist()
            ]
            batch = batch.set_column(index, name, pa.array(texts, pa.string()))
    return batch


def _is_decoders(error: BaseException) -> bool:
    """Tell DataFusion's errors, which are bare Exceptions, and its panics from everything else."""
    return type(error) is Exception or type(error).__module__ == "pyo3_runtime"


def _undecodable(name: str, error: BaseException) -> SourceDataError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].removeprefix("DataFusion error: ")
    return SourceDataError(f"{name} cannot be decoded: {reason}", hint=MEND)
