"""Processes that wait little, and a server for all connections of a module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.control.serving import Served, serving

from sources.ways import ByCommand, ByServer, Connection, Way

Carry = Callable[[Connection], Way]


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the processes that are started meanwhile be in a hurry (`hurried/sitecustomize.py`)."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parent / "hurried"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            # Else each of hundreds of processes would compile all its modules anew, which is most of its time.
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))
        yield


@pytest.fixture(scope="module")
def served(
    hurried: None,  # noqa: ARG001
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A server in a hurry, whose jobs may reach this machine and the files of all tests: those beside its home."""
    home = tmp_path_factory.getbasetemp() / f"server-of-{request.module.__name__.rpartition('.')[2]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTITCH_ALLOW_NETWORKS", "127.0.0.0/8")
        with serving(home) as served:
            yield served
            assert served.stop() == 0


@pytest.fixture(params=["command", "server"])
def carry(
    hurried: None,  # noqa: ARG001
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Carry]:
    """Makes a way to carry a connection; what a server has is deleted afterwards."""
    if request.param == "command":
        yield lambda connection: ByCommand(connection, tmp_path)
        return
    served: Served = request.getfixturevalue("served")
    made: list[ByServer] = []

    def by_server(connection: Connection) -> ByServer:
        made.append(ByServer(served, connection))
        return made[-1]

    yield by_server
    for one in made:
        one.remove()
