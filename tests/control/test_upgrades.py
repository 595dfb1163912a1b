"""What each released schema holds is brought to this one, and tells clients what it told them before.

`tests/control/released` has an archive of each; `python -m tests.control.released` makes one.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.control.released.__main__ import FOLDER, answers
from tests.control.serving import account_of, start

from lockstitch.control.backup import Place
from lockstitch.control.keyring import Keyring, read_keys
from lockstitch.control.restoring import can_read, restore
from lockstitch.control.store.tables import run_log, runs
from lockstitch.testing.postgres_server import PostgresDatabase

RELEASES = sorted(path.stem for path in FOLDER.glob("*.zip"))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "home")
    postgres: PostgresDatabase = request.getfixturevalue("postgres")
    return Place(tmp_path / "home", postgres.uri)


def test_there_is_a_release():
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_a_released_versions_store_is_upgraded(release: str, place: Place, monkeypatch: pytest.MonkeyPatch):
    # The rows are put into the schema that they were written by, which is then brought to this version's.
    manifest = restore(FOLDER / f"{release}.zip", place)
    assert manifest.schema == release
    with closing(place.store()) as store, store.read() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(runs)) == manifest.tables["runs"].rows > 0
        assert "Exit status is: Discovery succeeded." in "".join(db.scalars(sa.select(run_log.c.text)))

    assert can_read(place, Keyring(read_keys(place.home)))

    kept = json.loads((FOLDER / f"{release}.json").read_text())
    if place.database_url is not None:
        monkeypatch.setenv("LOCKSTITCH_DATABASE_URL", place.database_url)
    served = start(place.home)
    try:
        served.token, served.account_id = kept["token"], kept["account_id"]
        assert answers(served) == kept["answers"]
        assert account_of(served) == served.account_id  # and makes new things, too
    finally:
        served.close()
