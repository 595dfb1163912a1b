"""What looks for planted secrets after all tests finds them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.planted import AWS_KEY, PASSWORD, found_below


def test_secrets_are_found_in_texts_and_databases(tmp_path: Path):
    (tmp_path / "empty").touch()
    (tmp_path / "harmless").write_text("opens, esame")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    log, database = below / "server.log", tmp_path / "control.sqlite"
    log.write_text("x" * 10_000 + f"password={PASSWORD}\n")
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("create table connections (secrets text)")
        db.execute("insert into connections values (?)", [f'{{"key": "{AWS_KEY}"}}'])
    try:
        assert sorted(found_below(tmp_path)) == [f"{log} holds {PASSWORD!r}", f"{database} holds {AWS_KEY!r}"]
    finally:
        log.unlink()
        database.unlink()
    assert found_below(tmp_path) == []
