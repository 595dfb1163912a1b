"""Reads a pipeline file: one source, one destination, and what to carry between them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

from lockstitch.connectors import closest
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import ReplicationMethod, Selection, StreamChoice
from lockstitch.engine.limits import LoadLimits
from lockstitch.verbs import PipelineSettings


def load_pipeline(path: Path) -> PipelineSettings:
    """Read a pipeline file; a user error says where in it something is wrong, and what is allowed there."""
    try:
        return _pipeline(with_environment(read_toml(path), ""), path)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from error.__cause__


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says, as it is written. Raises SettingsError."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("there is no such file", hint="name a pipeline file; docs/cli.md shows one") from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", hint="name a pipeline file you may read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"is not TOML: {error}", hint="write text in quotes and one setting a line") from error


def _pipeline(document: dict[str, Any], path: Path) -> PipelineSettings:
    _refuse_unknown(document, ("source", "destination", "load"), "")
    source = _table(document, "source", "")
    destination = _table(document, "destination", "")
    _refuse_unknown(source, ("type", "name", "id", "streams", "properties"), "source.")
    _refuse_unknown(destination, ("type", "properties"), "destination.")
    source_type = _text(source, "type", "source.")
    schema = schema_name(_text(source, "name", "source."))
    return PipelineSettings(
        connection=_text(source, "id", "source.") if "id" in source else connection_id(source_type, schema),
        schema=schema,
        source_type=source_type,
        source_properties=_table(source, "properties", "source."),
        selection=selection_of(source.get("streams", "*")),
        destination_type=_text(destination, "type", "destination."),
        destination_properties=_table(destination, "properties", "destination."),
        limits=_limits(document),
        path=path,
    )


def schema_name(name: str) -> str:
    """Return the schema for a source's name (`spec/loading.md` section 1); it can never change afterwards."""
    schema = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not schema or name.lower().startswith("_sdc") or schema in ("information_schema", "pg_catalog"):
        raise SettingsError(
            f"source.name is {name!r}, which makes no schema name",
            hint="choose a name with a letter or digit, not beginning with _sdc, and no name of the database's own",
        )
    return schema


def connection_id(source_type: str, schema: str) -> str:
    """Return the id of a connection that was given none. Hashes the schema: "Heap" and "heap" fill the same tables."""
    import hashlib

    return hashlib.sha256(f"{source_type}\0{schema}".encode()).hexdigest()[:16]


_VARIABLE = re.compile(r"\$(\$\{|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\{)")


def with_environment(value: Any, place: str) -> Any:
    """Return the value with every `${NAME}` in a text replaced; `$${` stands for `${` itself."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: with_environment(each, f"{place}.{key}".lstrip(".")) for key, each in table.items()}
    if isinstance(value, list):
        return [with_environment(each, f"{place}[{at}]") for at, each in enumerate(cast("list[Any]", value))]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, place), value)
    return value


def _variable(match: re.Match[str], place: str) -> str:
    name = match["name"]
    if match[0] == "$${":
        return "${"
    if name is None:
        raise SettingsError(f"{place} holds a ${{ that names no variable", hint="write ${NAME}, or $${ for ${ itself")
    if name not in os.environ:
        raise SettingsError(
            f"{place} reads the environment variable {name}, which is not set", hint=f"export {name}=..."
        )
    return os.environ[name]


_METHODS: tuple[str, ...] = get_args(ReplicationMethod)


def selection_of(streams: object) -> Selection:
    """Return the choice of streams that `source.streams` is. Raises SettingsError."""
    if streams == "*":
        return None
    if not isinstance(streams, dict) or not streams:
        raise SettingsError(
            f"source.streams is {streams!r}",
            hint='write streams = "*" for all, or a table [source.streams] with lines like users = "*"',
        )
    return {name: _choice(choice, f"source.streams.{name}") for name, choice in cast("dict[str, Any]", streams).items()}


def _choice(choice: object, place: str) -> StreamChoice:
    if not isinstance(choice, dict):
        return StreamChoice(_fields(choice, place))
    table = cast("dict[str, Any]", choice)
    _refuse_unknown(table, ("fields", "replication_method", "replication_key"), f"{place}.")
    method = table.get("replication_method")
    if method is not None and method not in _METHODS:
        raise SettingsError(f"{place}.replication_method is {method!r}", hint=f"use one of {', '.join(_METHODS)}")
    return StreamChoice(
        fields=_fields(table.get("fields", "*"), f"{place}.fields"),
        replication_method=cast("ReplicationMethod | None", method),
        replication_key=_text(table, "replication_key", f"{place}.") if "replication_key" in table else None,
    )


def _fields(value: object, place: str) -> frozenset[str] | None:
    if value == "*":
        return None
    names = cast("list[object]", value) if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise SettingsError(f"{place} is {value!r}", hint='write "*" for all fields, or a list like ["id", "time"]')
    return frozenset(cast("list[str]", names))


def _limits(document: dict[str, Any]) -> LoadLimits:
    table = _table(document, "load", "") if "load" in document else {}
    _refuse_unknown(table, [limit.name for limit in fields(LoadLimits)], "load.")
    for key, value in table.items():
        if type(value) is not int or value < 1:
            raise SettingsError(f"load.{key} is {value!r}", hint="write a whole number from 1 up")
    return LoadLimits(**table)


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(
                f"{place}{key} is no setting", hint=f"{closest(key, known)}known here: {', '.join(known)}"
            )


def _table(table: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    if not isinstance(table.get(key), dict):
        raise SettingsError(f"[{place}{key}] is missing", hint=f"add a table [{place}{key}]")
    return table[key]


def _text(table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        seen = "missing" if value is None else repr(value)
        raise SettingsError(f"{place}{key} is {seen}", hint=f'write text in quotes: {key} = "..."')
    return value
