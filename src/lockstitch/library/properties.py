"""Where a program's pipeline gets its properties: arguments, environment variables, `.lockstitch/secrets.toml`."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lockstitch.connectors import Connector, closest
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json
from lockstitch.pipeline_file import read_toml, schema_name, with_environment

SECRETS = Path(".lockstitch", "secrets.toml")

_ENDS = ("source", "destination")


@dataclass(frozen=True, slots=True)
class Gathered:
    """A source's or destination's properties, and in words where they were looked for."""

    values: Mapping[str, Json]
    looked: str


def gather(pipeline: str, connector: Connector, given: Mapping[str, Json]) -> Gathered:
    """Return each property's value from the first place that has one.

    The places are the arguments, the environment, the secrets files and what the connector says itself; in each, what
    is said of the pipeline comes before what is said of the type. Raises SettingsError for a property that the
    connector does not have, wherever it is written.
    """
    paths = ((pipeline, connector.kind), (connector.kind, connector.type))
    prefixes = [_prefix(path) for path in paths]
    files = [folder / SECRETS for folder in _folders()]
    places = [
        ("the arguments", given),
        *((f"the environment, {prefix}*", _environment(prefix)) for prefix in prefixes),
        *(place for file in files for place in _file(file, paths)),
        ("the defaults", defaults_of(connector, pipeline)),
    ]
    for place, values in places:
        _refuse_unknown(connector, place, values)
    tables = " and ".join(map(_table_name, paths))
    return Gathered(
        {name: value for _, values in reversed(places) for name, value in values.items()},
        f"the arguments; the environment's {prefixes[0]}* and {prefixes[1]}*; {tables} in {', '.join(map(str, files))}",
    )


def _refuse_unknown(connector: Connector, place: str, values: Mapping[str, Json]) -> None:
    import msgspec

    known = [one.encode_name for one in msgspec.structs.fields(connector.spec.Properties)]
    for name in values:
        if name not in known:
            raise SettingsError(
                f"{place}: {name} is no property of {connector.type}",
                hint=f"{closest(name, known)}its properties are {', '.join(known)}",
            )


def defaults_of(connector: Connector, pipeline: str) -> dict[str, Json]:
    """Return what the connector says itself of properties that are given nowhere."""
    known: Mapping[str, str] = getattr(connector.spec, "DEFAULTS", {})
    return {name: value.format(name=schema_name(pipeline), folder=Path.cwd()) for name, value in known.items()}


def variable_of(pipeline: str, connector: Connector, name: str) -> str:
    """Return the environment variable in which a pipeline's own value of a property is looked for."""
    return _prefix((pipeline, connector.kind)) + name.upper()


def _prefix(path: Sequence[str]) -> str:
    """Return LOCKSTITCH_HEAP__SOURCE__ for [heap.source]: in capitals, joined by two underscores."""
    return "__".join(["LOCKSTITCH_" + _in_capitals(path[0]), *map(_in_capitals, path[1:]), ""])


def _in_capitals(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def _environment(prefix: str) -> dict[str, Json]:
    found = {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}
    return {name.lower(): value for name, value in found.items()}


def _file(file: Path, paths: Sequence[Sequence[str]]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    document = _document(file)
    _refuse_lost(document, file, paths)
    for path in paths:
        name = f"{file} {_table_name(path)}"
        yield name, with_environment(_table(document, path), name)


def _refuse_lost(document: Mapping[str, Any], file: Path, paths: Sequence[Sequence[str]]) -> None:
    """Raise SettingsError for what is meant for this pipeline or type, and stands where nobody looks."""
    (pipeline, _), (kind, type_name) = paths
    own = document.get(pipeline, {}) if pipeline not in _ENDS else {}
    for name, value in own.items() if isinstance(own, dict) else ():
        if name not in _ENDS or not isinstance(value, dict):
            raise SettingsError(
                f"{file} {_table_name([pipeline])}: {name} is no table of a source or destination",
                hint=f"write properties below {' or '.join(_table_name([pipeline, end]) for end in _ENDS)}",
            )
    parts = type_name.split(".")
    if len(parts) > 1 and _table(document, [kind, *parts]):
        raise SettingsError(
            f"{file} {_table_name([kind, *parts])}: a type with a dot stands in quotes",
            hint=f"write {_table_name([kind, type_name])}",
        )


def _table_name(path: Sequence[str]) -> str:
    return f"[{'.'.join(map(_toml_key, path))}]"


def _folders() -> list[Path]:
    """Return the working directory and those above it up to home; elsewhere than below home, those two alone.

    A folder above that is not the user's own could hold settings of somebody else's.
    """
    here, home = Path.cwd(), Path.home()
    if not here.is_relative_to(home):
        return [here, home]
    return [folder for folder in (here, *here.parents) if folder.is_relative_to(home)]


def _document(file: Path) -> Mapping[str, Any]:
    if not file.exists():
        return {}
    try:
        document = read_toml(file)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error.message}", hint=error.hint) from error.__cause__
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.warn(f"{file} can be read by other users; hint: chmod 600 {file}", stacklevel=2)
    return document


def _table(document: Mapping[str, Any], path: Sequence[str]) -> dict[str, Json]:
    """Return the table at a path of the document, {} where there is none."""
    table: Any = document
    for key in path:
        table = cast("Mapping[str, Any]", table).get(key, {}) if isinstance(table, dict) else {}
    return cast("dict[str, Json]", table) if isinstance(table, dict) else {}


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
