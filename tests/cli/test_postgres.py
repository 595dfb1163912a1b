"""The same pipeline into PostgreSQL, and how its refusals look to a user."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from cli.conftest import Called, Site
from lockstitch.testing.postgres_server import PostgresDatabase


def into(site: Site, properties: dict[str, Any]) -> None:
    """Point the pipeline at PostgreSQL."""
    text = (site.folder / "pipeline.toml").read_text().partition("[destination]")[0]
    lines = [f"{name} = {json.dumps(value)}" for name, value in properties.items()]
    text += "\n".join(['[destination]\ntype = "postgres"\n[destination.properties]', *lines])
    (site.folder / "pipeline.toml").write_text(text)


def test_a_run_into_postgres_and_a_second_with_nothing_new(site: Site, postgres: PostgresDatabase) -> None:
    into(site, postgres.properties)
    assert site.call("check").code == 0
    assert "creates things.things" in site.call("plan").out
    done = site.call("run", "--json")
    assert (done.code, done.err) == (0, "")
    assert [table["inserted"] for table in json.loads(done.out)["tables"]] == [6, 4]
    assert postgres.query("select id from things.things order by id") == [(0,), (1,), (2,), (3,)]
    assert json.loads(site.call("run", "--json").out)["loads"] == 0
    assert json.loads(site.call("verify", "--json").out)["holds"] is True


def test_a_wrong_password_is_never_shown(site: Site, postgres: PostgresDatabase) -> None:
    into(site, {**postgres.properties, "password": "not-the-passw0rd"})
    for command in ("check", "run", "plan"):
        done = site.call(command)
        assert done.code == 2, done.err
        assert "\nhint: " in done.err
        assert "not-the-passw0rd" not in done.out + done.err


def test_a_server_that_is_not_there_may_be_there_later(site: Site, postgres: PostgresDatabase) -> None:
    into(site, {**postgres.properties, "port": 1, "connect_timeout": 2})
    done = _run_after(site, "from lockstitch.engine import patience; patience.WAITS = (0.1, 0.2)")
    assert done.code in (2, 75)
    assert done.err.count("waiting: ") == 2
    assert done.err.startswith("waiting: ")
    assert "\nerror: " in done.err
    assert "Traceback" not in done.err


def test_a_schema_name_that_is_too_long_is_refused(site: Site, postgres: PostgresDatabase) -> None:
    text = (site.folder / "pipeline.toml").read_text()
    (site.folder / "pipeline.toml").write_text(text.replace('name = "Things"', f'name = "{"x" * 64}"'))
    into(site, postgres.properties)
    done = site.call("run")
    assert done.code == 2
    assert "64 characters long\nhint: postgres allows 63: choose a shorter source.name" in done.err


def test_a_missing_driver_is_named_in_one_line(site: Site, postgres: PostgresDatabase) -> None:
    into(site, postgres.properties)
    # An entry of None makes Python say that there is no such module.
    done = _run_after(site, "sys.modules.update(adbc_driver_manager=None, adbc_driver_postgresql=None)")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: postgres needs a driver\nhint: uv pip install 'lockstitch[postgres]'\n"


def _run_after(site: Site, statement: str) -> Called:
    """Run the pipeline in a process in which a statement was carried out before."""
    code = f"import sys; {statement}; from lockstitch.cli import main; sys.exit(main(['run']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=site.folder, env=site.environment, capture_output=True, text=True, check=False
    )
    return Called(done.returncode, done.stdout, done.stderr)
