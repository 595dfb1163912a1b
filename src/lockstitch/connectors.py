"""Finds connectors by type: our folders first, then other people's entry points. Never imports a driver by itself.

A connector's `spec.py` says all that is known without its driver:

    TYPES: tuple[str, ...]          the types it serves, by the Connect API's names
    TITLE: str                      its name for people
    EXTRA: str | None               the extra of our package that brings its driver
    CREDENTIALS: frozenset[str]     properties whose values are never shown
    PATHS: dict[str, str]           may be left out: properties that name files, each with the pattern of what stands
                                    before the path ("" for a bare path); a server confines them to allowed folders
    HOSTS: dict[str, str | None]    may be left out: properties that name a host, or the URL of one, each with the
                                    property that takes the addresses to connect to, if there is one; a server keeps
                                    them away from private networks
    DEFAULTS: dict[str, str]        may be left out: what properties are where a program gives none; {name} stands for
                                    its pipeline's name, {folder} for the working directory
    Properties                      a msgspec.Struct
    open_source(properties, *, spool: Path | None = None) -> Source, or open_destination(properties) -> Destination

Other people's packages name such a module in the entry point group `lockstitch.connectors`.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from lockstitch.core.errors import LockstitchError, SettingsError
from lockstitch.core.model import Json
from lockstitch.core.protocols import Destination, Source

Kind = Literal["source", "destination"]

ENTRY_POINTS = "lockstitch.connectors"

_FOLDERS: dict[Kind, str] = {"source": "lockstitch.sources", "destination": "lockstitch.destinations"}


class Spec(Protocol):
    """A connector's `spec.py`, as the module it is."""

    TYPES: tuple[str, ...]
    TITLE: str
    EXTRA: str | None
    CREDENTIALS: frozenset[str]
    Properties: type[Any]
    __name__: str


class SourceSpec(Spec, Protocol):
    def open_source(self, properties: Any, *, spool: Path | None = None) -> Source: ...


class DestinationSpec(Spec, Protocol):
    def open_destination(self, properties: Any) -> Destination: ...


@dataclass(frozen=True, slots=True)
class Connector:
    """A spec and the one of its types that was asked for."""

    kind: Kind
    type: str
    spec: Spec

    @property
    def package(self) -> str:
        """The package in which its modules lie."""
        return self.spec.__name__.rpartition(".")[0] or self.spec.__name__

    def secrets(self, values: Mapping[str, Json]) -> frozenset[str]:
        """Return the values that must never be shown.

        One that is too short to be a secret, or is written openly in another property, would only garble messages.
        """
        shown = {str(value) for name, value in values.items() if name not in self.spec.CREDENTIALS}
        hidden = {str(values[name]) for name in self.spec.CREDENTIALS if name in values}
        return frozenset(secret for secret in hidden - shown if len(secret) > 3)


def find_connector(kind: Kind, type_name: str) -> Connector:
    """Return the connector that serves a type; a user error names what there is instead."""
    for spec in _specs(kind, likely=type_name):
        if type_name in spec.TYPES:
            return Connector(kind, type_name, spec)
    known = known_types(kind)
    raise SettingsError(
        f"{kind}.type is {type_name!r}, and no {kind} has that type",
        hint=f"{closest(type_name, known)}the {kind} types are {', '.join(known)}",
    )


def known_types(kind: Kind) -> tuple[str, ...]:
    """Return every type that can be used, sorted."""
    return tuple(sorted({type_name for spec in _specs(kind) for type_name in spec.TYPES}))


def parse_properties(connector: Connector, values: Mapping[str, Json]) -> Any:
    """Return the connector's Properties; a user error says which property, the value seen and what is allowed."""
    import msgspec

    place = f"{connector.kind}.properties"
    properties = connector.spec.Properties
    fields = {field.encode_name: field for field in msgspec.structs.fields(properties)}
    for name in values:
        if name not in fields:
            raise SettingsError(
                f"{place}.{name} is no property of {connector.type}",
                hint=f"{closest(name, fields)}its properties are {', '.join(fields)}",
            )
    missing = [name for name, field in fields.items() if field.required and name not in values]
    if missing:
        raise SettingsError(
            f"{place} lacks {', '.join(missing)}", hint=f"{connector.type} cannot do without; add to [{place}]"
        )
    try:
        # Not strict: what comes from the environment is text, "5432" and "true" included.
        return msgspec.convert(values, properties, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong_value(connector, values, str(error)) from None


def properties_schema(connector: Connector) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the JSON Schema of a connector's properties, and the definitions that it refers to."""
    import msgspec

    properties = connector.spec.Properties
    _, definitions = msgspec.json.schema_components([properties])
    return definitions.pop(properties.__name__), definitions


def open_source(connector: Connector, properties: Any, *, spool: Path | None = None) -> Source:
    """Open a source with its parsed properties."""
    return cast("SourceSpec", connector.spec).open_source(properties, spool=spool)


def open_destination(connector: Connector, properties: Any) -> Destination:
    """Open a destination with its parsed properties."""
    return cast("DestinationSpec", connector.spec).open_destination(properties)


@contextmanager
def drivers_named(*connectors: Connector) -> Generator[None]:
    """Turn a connector's failed import into one line that says what to install."""
    try:
        yield
    except ImportError as error:
        connector = _importer(error, connectors)
        if connector is None or connector.spec.EXTRA is None:
            raise
        raise SettingsError(
            f"{connector.type} needs a driver", hint=f"uv pip install 'lockstitch[{connector.spec.EXTRA}]'"
        ) from error


@contextmanager
def hiding(secrets: frozenset[str]) -> Generator[None]:
    """Take secrets out of every error that passes, whoever wrote its text."""
    try:
        yield
    except Exception as error:
        hide_in_error(error, secrets)
        raise


def hide(text: str, secrets: frozenset[str]) -> str:
    """Return the text with every secret, also as part of a URL, replaced."""
    from urllib.parse import quote

    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return text


def hide_in_error(error: BaseException | None, secrets: frozenset[str]) -> None:
    """Replace every secret in the texts of an error and of those that led to it."""
    while error is not None:
        error.args = tuple(hide(arg, secrets) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, LockstitchError):
            error.message = hide(error.message, secrets)
            error.hint = error.hint and hide(error.hint, secrets)
        error = error.__cause__ or error.__context__


def closest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...? " for the known name that is nearest, or nothing."""
    import difflib

    found = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {found[0]!r}? " if found else ""


def _specs(kind: Kind, likely: str = "") -> Iterator[Spec]:
    """Yield specs one by one, so that a caller who finds his own imports no other.

    A folder named like the type's last word comes first: only the order follows the guess, `TYPES` decides.
    """
    folders = importlib.import_module(_FOLDERS[kind])
    guess = likely.rpartition(".")[2]
    names = sorted(path.parent.name for root in folders.__path__ for path in Path(root).glob("*/spec.py"))
    for name in sorted(names, key=lambda name: name != guess):
        yield cast("Spec", importlib.import_module(f"{_FOLDERS[kind]}.{name}.spec"))
    yield from _foreign_specs(kind)


def _foreign_specs(kind: Kind) -> Iterator[Spec]:
    # Reading every installed package's metadata takes a tenth of a second: only types that are not ours pay for it.
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        spec = entry.load()
        if hasattr(spec, f"open_{kind}"):
            yield cast("Spec", spec)


def _importer(error: BaseException, connectors: tuple[Connector, ...]) -> Connector | None:
    """Return the connector on whose behalf an import was tried: the innermost one in the traceback."""
    found: Connector | None = None
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        found = next((each for each in connectors if f"{module}.".startswith(f"{each.package}.")), found)
        trace = trace.tb_next
    return found


def _wrong_value(connector: Connector, values: Mapping[str, Json], text: str) -> SettingsError:
    reason, _, path = text.partition(" - at `$")
    name = path.lstrip(".").rstrip("`").partition("[")[0].partition(".")[0]
    place = f"{connector.kind}.properties"
    if not name:
        return SettingsError(f"{place}: {reason}", hint=f"correct [{place}]")
    seen = "what it is (not shown)" if name in connector.spec.CREDENTIALS else repr(values[name])
    return SettingsError(f"{place}.{name} cannot be {seen}", hint=_allowed(connector, name))


def _allowed(connector: Connector, name: str) -> str:
    """Say what a property takes, from its own JSON Schema: the same words that forms and docs show."""
    own, _ = properties_schema(connector)
    schema = own["properties"][name]
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    kinds: list[str] = []
    for branch in branches:
        if "enum" in branch:
            kinds.append("one of " + ", ".join(map(repr, branch["enum"])))
        else:
            limits = {key: branch[key] for key in _LIMITS if key in branch}
            kinds.append(" ".join([_SCHEMA_WORDS.get(branch.get("type"), str(branch.get("type"))), *_told(limits)]))
    description = schema.get("description")
    return f"{name} takes {' or '.join(kinds)}" + (f" ({description})" if description else "")


_SCHEMA_WORDS = {
    "string": "text in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}

_LIMITS = {
    "minimum": "from",
    "maximum": "up to",
    "minLength": "of at least this many characters:",
    "maxLength": "of at most this many characters:",
    "pattern": "that matches",
    "format": "in the form",
}


def _told(limits: Mapping[str, object]) -> list[str]:
    return [f"{_LIMITS[key]} {value}" for key, value in limits.items()]
