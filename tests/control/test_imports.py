"""Pushed records, from the request to the table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
from tests.control.serving import Served, check_ended, serving, start, until


def record(account_id: int, sequence: int, **data: Any) -> dict[str, Any]:
    return {
        "client_id": account_id,
        "table_name": "customers",
        "action": "upsert",
        "sequence": sequence,
        "key_names": ["id"],
        "data": data,
    }


def pushed(served: Served, token: str, body: Any, path: str = "push") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = gzip.compress(json.dumps(body).encode())
    answer = served.client.post(f"{served.address}/v2/import/{path}", content=content, headers=headers)
    return answer.status_code, answer.json()


def test_what_was_accepted_lands_once_also_after_a_kill(tmp_path: Path):
    warehouse, home = tmp_path / "warehouse.duckdb", tmp_path / "home"
    with serving(home) as served:
        made = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": str(warehouse)}})
        check_ended(served, "destination", made["id"])
        source = served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "Import API"})
        token = served.call("POST", f"/v4/sources/{source['id']}/tokens")["access_token"]
        stored = {"status": "OK", "message": "Batch Accepted!"}
        body: list[dict[str, Any]] = []
        for sequence in range(5):
            body = [record(served.account_id, sequence, id=one, name=f"n{sequence}") for one in range(100)]
            assert pushed(served, token, body) == (201, stored)
        assert pushed(served, token, [record(served.account_id, 1, id=0, name="late")]) == (201, stored)
        assert pushed(served, token, body, "validate")[0] == 200
        assert pushed(served, token, [record(served.account_id + 1, 1, id=0)])[0] == 403
        assert pushed(served, "at_nobody", body) == (
            401,
            {"status": "ERROR", "error": "Not Authenticated.", "errors": None},
        )
        assert served.client.get(served.address + "/v2/import/push").status_code == 405
        assert served.client.get(served.address + "/v2/import/status").json()["name"] == "pipeline.gate"
        # Killed at once: what was answered 201 is on disk.
        served.kill()
        again = start(home)
        try:
            again.token, again.account_id = served.token, served.account_id
            until(lambda: _count(warehouse) == 100, "the rows to land")
            until(lambda: _loads(again), "the load's report")
            assert again.call("PUT", f"/v4/sources/{source['id']}", {"paused_at": "2026-01-01T00:00:00Z"})
            inactive = {"error": "Forbidden", "errors": {"error": "Connection is not active."}}
            assert pushed(again, token, body) == (401, inactive)
        finally:
            again.close()
    with duckdb.connect(str(warehouse), read_only=True) as db:
        assert db.execute("select distinct name from import_api.customers").fetchall() == [("n4",)]


def _loads(served: Served) -> bool:
    page = served.call("GET", f"/v4/{served.account_id}/loads")
    return [one["stream_name"] for one in page["data"]] == ["customers"]


def _count(warehouse: Path) -> int | None:
    try:
        with duckdb.connect(str(warehouse), read_only=True) as db:
            found = db.execute("select count(*) from import_api.customers").fetchone()
    except (duckdb.IOException, duckdb.CatalogException):
        return None  # the run holds the file, or has not made the table
    return found[0] if found is not None else None
