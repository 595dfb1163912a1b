"""Writes pipeline files, and changes the choice of streams in one, leaving the rest as people wrote it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lockstitch.connectors import Connector
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json


def new_text(name: str, ends: Sequence[tuple[Connector, Mapping[str, Json], Sequence[str]]], streams: object) -> str:
    """Return a pipeline file of both ends, each with its properties and remarks on those left to a person."""
    lines = [f"# Made by an assistant with `lockstitch mcp`. To run it: lockstitch run {name}.toml"]
    for connector, properties, remarks in ends:
        lines += ["", f"[{connector.kind}]", f"type = {toml(connector.type)}"]
        if connector.kind == "source":
            lines.append(f"name = {toml(name)}")
        lines += ["", f"[{connector.kind}.properties]"]
        lines += [f"{_key(key)} = {toml(value)}" for key, value in properties.items()]
        lines += [f"# {remark}" for remark in remarks]
    return "\n".join(lines) + "\n" + _streams_text(streams)


def with_streams(text: str, streams: object) -> str:
    """Return a pipeline file's text with another choice of streams. Raises SettingsError where it is too unusual."""
    kept: list[str] = []
    table = ""
    for line in text.splitlines():
        if header := re.match(r"\s*\[{1,2}([^\[\]]+)\]{1,2}\s*(#.*)?$", line):
            table = header[1].replace(" ", "")
        is_choice = table == "source" and re.match(r"\s*streams\s*=", line)
        is_chosen = f"{table}.".startswith("source.streams.") and not line.lstrip().startswith("#")
        if not is_choice and not is_chosen:
            kept.append(line)
    changed = "\n".join(kept).rstrip() + "\n" + _streams_text(streams)
    # The lines were judged by their looks alone: what came of it must say the same as before, but for the streams.
    expected = tomllib.loads(text)
    expected["source"] = {**expected["source"], "streams": streams}
    if _parsed(changed, streams) != expected:
        raise SettingsError(
            "the file is written in a way that cannot be changed without losing something of it",
            hint=f"let a person write the choice of streams into it:\n{_streams_text(streams)}",
        )
    return changed


def refuse_references(value: object, place: str) -> None:
    """Raise SettingsError for a text that reads the environment: only a person says which secret goes where."""
    if "${" in json.dumps(value, ensure_ascii=False):
        raise SettingsError(
            f"{place} holds ${{, which reads the environment", hint="leave it out, and ask a person to write it"
        )


def toml(value: object) -> str:
    """Return a value of JSON as TOML writes it."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return "{ " + ", ".join(f"{_key(key)} = {toml(each)}" for key, each in table.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, cast("list[object]", value))) + "]"
    if value is None:
        raise SettingsError("null is no value in a pipeline file", hint="leave the property out")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _streams_text(streams: object) -> str:
    if not isinstance(streams, dict):
        return ""  # all of them, which is what it means to say nothing
    lines = [f"{_key(name)} = {toml(choice)}" for name, choice in cast("dict[str, object]", streams).items()]
    return "\n".join(["", "[source.streams]", *lines, ""])


def _parsed(text: str, streams: object) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    if not isinstance(streams, dict):
        document.get("source", {}).setdefault("streams", streams)
    return document


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)
