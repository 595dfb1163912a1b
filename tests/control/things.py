"""Sources of Acme's things, as slow as a test wants them, on a server of its own. Each fills a DuckDB file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import psutil
from tests.control.serving import Served, check_ended, extraction_of, selected, until

#: A source's name is its schema; stream `others` has no key, so a row that were loaded twice would be there twice.
ROWS_A_PAGE = 2


def make_destination(served: Served, warehouse: Path) -> int:
    made = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}})
    assert check_ended(served, "destination", made["id"])["status"] == "succeeded"
    return made["id"]


def things(served: Served, name: str, destination_id: int | None = None, **properties: Any) -> int:
    """Make a source of things whose stream `others` is selected. It is paused, so that no schedule starts it."""
    body: dict[str, Any] = {
        "type": "acme.things",
        "display_name": name,
        "properties": {"host": "h", "token": "s3cret", **{key: str(value) for key, value in properties.items()}},
    }
    if destination_id is not None:
        body["destination_id"] = destination_id
    source = served.call("POST", "/v4/sources", body)
    check = check_ended(served, "source", source["id"])
    assert check["status"] == "succeeded", check
    pause(served, source["id"])
    selected(served, source["id"], "others")
    return source["id"]


def pause(served: Served, source_id: int) -> None:
    served.call("PUT", f"/v4/sources/{source_id}", {"paused_at": "2026-01-01T00:00:00Z"})


def change(served: Served, source_id: int, **properties: Any) -> None:
    """Change properties, and wait for the check that follows."""
    body = {"properties": {key: str(value) for key, value in properties.items()}}
    served.call("PUT", f"/v4/sources/{source_id}", body)
    check_ended(served, "source", source_id)


def filled_things(served: Served, name: str, **properties: Any) -> int:
    """Make a source whose first page is loaded: what comes after a first fill is seen with each load."""
    source_id = things(served, name, checkpoints=1)
    extraction_of(served, begin(served, source_id))
    change(served, source_id, **properties)
    return source_id


def begin(served: Served, source_id: int) -> str:
    return served.call("POST", f"/v4/sources/{source_id}/sync")["job_name"]


def log_of(served: Served, job_name: str) -> str:
    """Return what a job's log says so far; it can be read while the job runs."""
    moved = served.ask("GET", f"/v4/{served.account_id}/extractions/{job_name}")
    assert moved.status_code == 302, moved.text
    return served.client.get(served.address + moved.headers["location"]).text


def reading(served: Served, job_name: str) -> str:
    """Wait until a job reads its source."""
    return until(lambda: text if "Reading others" in (text := log_of(served, job_name)) else None, "the job to read")


def rows(warehouse: Path, schema: str) -> int:
    """Return how many rows of `others` the warehouse has."""
    if not warehouse.exists():
        return 0
    with duckdb.connect(str(warehouse), read_only=True) as db:
        with suppress(duckdb.CatalogException):
            found = db.execute(f"select count(*) from {schema}.others").fetchone()
            return int(found[0]) if found is not None else 0
        return 0


def children_of(process_id: int) -> list[psutil.Process]:
    """Return the processes that carry out a server's jobs: those that its fork server has forked."""
    found: list[psutil.Process] = []
    for child in psutil.Process(process_id).children():
        with suppress(psutil.NoSuchProcess):
            if "forkserver" in " ".join(child.cmdline()):
                found.extend(child.children())
    return found
