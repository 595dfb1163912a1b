"""Reads a source in a process of its own, and tells what that loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstitch.core.model import Json

_PROGRAM = """
import json, sys
from lockstitch.connectors import find_connector, open_source, parse_properties
from lockstitch.core.model import Selected
connector = find_connector("source", sys.argv[1])
source = open_source(connector, parse_properties(connector, json.loads(sys.argv[2])))
cursors = json.loads(sys.argv[3])
lanes = source.lanes([Selected(stream) for stream in source.discover()])
kinds = [type(message).__name__ for lane in lanes for message in source.read(lane, cursors.get(lane.name))]
source.close()
print(json.dumps([kinds, sorted({"pyarrow", "numpy", "duckdb"} & sys.modules.keys())]))
"""


@dataclass(frozen=True)
class ReadAlone:
    """The kinds of messages that came, and what is heavy of what was loaded for them."""

    messages: set[str]
    heavy: list[str]


def read_alone(type_name: str, properties: Mapping[str, Json], cursors: Mapping[str, Json], home: Path) -> ReadAlone:
    """Read all lanes of a source from their cursors; `home` is its home folder."""
    command = [sys.executable, "-c", _PROGRAM, type_name, json.dumps(properties), json.dumps(cursors)]
    environment = {**os.environ, "LOCKSTITCH_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    messages, heavy = json.loads(done.stdout)
    return ReadAlone(set(messages), heavy)
