"""Connections are the pipeline files of one folder: finding, reading, making and changing them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockstitch.connectors import Connector, Kind, find_connector, parse_properties
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json
from lockstitch.library.properties import defaults_of, gather
from lockstitch.mcp.hiding import Secrets
from lockstitch.mcp.pipeline_text import new_text, refuse_references, with_streams
from lockstitch.mcp.types import for_a_person, where_to_put
from lockstitch.pipeline_file import load_pipeline, selection_of
from lockstitch.toolkit.durable_files import write_whole
from lockstitch.verbs import PipelineSettings, validate

#: A file name without folder, dot or anything that a shell or another system would understand in its own way.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Connections:
    """The pipeline files of a folder, by their names without `.toml`. No other file is read or written."""

    def __init__(self, folder: Path, secrets: Secrets) -> None:
        self.folder = folder.resolve()
        self._secrets = secrets

    def names(self) -> Iterator[str]:
        """Yield the names of the files that look like pipelines, sorted."""
        for path in sorted(self.folder.glob("*.toml")):
            if _NAME.fullmatch(path.stem) and not path.is_symlink() and _is_pipeline(path):
                yield path.stem

    def load(self, name: str) -> PipelineSettings:
        """Return a connection's settings, with what its file lacks from the environment and secrets.toml."""
        settings = load_pipeline(self.path(name))
        source = self._gathered(name, find_connector("source", settings.source_type), settings.source_properties)
        destination = self._gathered(
            name, find_connector("destination", settings.destination_type), settings.destination_properties
        )
        return replace(settings, source_properties=source, destination_properties=destination)

    def make(
        self, name: str, types: Mapping[Kind, str], given: Mapping[Kind, Mapping[str, Json]], streams: object
    ) -> dict[str, Any]:
        """Write a new pipeline file out of what an assistant may write; return what a person has to add."""
        path = self.path(name)
        selection_of(streams)
        refuse_references(streams, "streams")
        ends = [_End(name, find_connector(kind, types[kind]), given[kind]) for kind in types]
        for end in ends:
            end.refuse_wrong()
        text = new_text(name, [(end.connector, end.properties, end.remarks) for end in ends], streams)
        try:
            # For its owner alone: a person may write a password into it.
            write_whole(path, text.encode(), only_new=True)
        except FileExistsError:
            raise SettingsError(
                f"there is a file {name}.toml already", hint="choose another name, or let a person change the file"
            ) from None
        left = [each for end in ends for each in end.left()]
        if not any(each["required"] for each in left):
            validate(self.load(name))
        return {"connection": name, "file": str(path), "left_to_a_person": left}

    def choose_streams(self, name: str, streams: object) -> None:
        """Change the choice of streams in a connection's file."""
        selection_of(streams)
        refuse_references(streams, "streams")
        path = self.path(name)
        self.load(name)
        text = with_streams(path.read_text(encoding="utf-8"), streams)
        write_whole(path, text.encode(), mode=path.stat().st_mode & 0o777)

    def path(self, name: str) -> Path:
        """Return where a connection's file is, or would be. Raises SettingsError for what is no such name."""
        path = self.folder / f"{name}.toml"
        if not _NAME.fullmatch(name) or path.is_symlink():
            raise SettingsError(
                f"{name!r} names no connection",
                hint="a connection is a file of the folder, named without .toml: letters, digits, _ and -, and no link",
            )
        return path

    def _gathered(self, name: str, connector: Connector, written: Mapping[str, Json]) -> Mapping[str, Json]:
        self._secrets.add(connector.secrets(written))  # even where what else is gathered cannot be read
        values = gather(name, connector, written).values
        self._secrets.add(connector.secrets(values))
        return values


class _End:
    """One end of a connection that is being made."""

    def __init__(self, name: str, connector: Connector, given: Mapping[str, Json]) -> None:
        self.connector = connector
        self.properties: dict[str, Json] = {**defaults_of(connector, name), **given}
        self._name = name
        self._persons = for_a_person(connector)
        self._known = _fields(connector)
        self._found = gather(name, connector, {}).values

    def refuse_wrong(self) -> None:
        """Raise SettingsError for what an assistant may not write, and for what the connector cannot take."""
        place = f"{self.connector.kind}.properties"
        for one, value in self.properties.items():
            refuse_references(value, f"{place}.{one}")
            if one in self._persons:
                raise SettingsError(
                    f"{place}.{one} is not for an assistant to write: {self._persons[one]}",
                    hint=f"leave it out, and ask a person to put it {where_to_put(self._name, self.connector, one)}",
                )
        # What a person has yet to write is text, whatever it will be.
        missing = {one: "" for one in self._persons if one not in self._found and self._known.get(one)}
        parse_properties(self.connector, {**self._found, **missing, **self.properties})

    def left(self) -> list[dict[str, Any]]:
        """Return what a person may have to write, and what is already there."""
        return [
            {
                "property": f"{self.connector.kind}.properties.{one}",
                "required": self._known[one] and one not in self._found,
                "is_set": one in self._found,
                "because": because,
                "put_it": where_to_put(self._name, self.connector, one),
            }
            for one, because in self._persons.items()
        ]

    @property
    def remarks(self) -> list[str]:
        return [f"{each['property']}: {each['because']}; put it {each['put_it']}" for each in self.left()]


def _fields(connector: Connector) -> dict[str, bool]:
    """Return the names of a connector's properties, and whether each is required."""
    import msgspec

    return {one.encode_name: one.required for one in msgspec.structs.fields(connector.spec.Properties)}


def _is_pipeline(path: Path) -> bool:
    """Tell pipelines from other people's TOML; one that cannot be parsed may be meant as one, and is told so."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    except tomllib.TOMLDecodeError:
        return True
    return "source" in document and "destination" in document
