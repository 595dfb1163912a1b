"""`python -m tests.control.released`: keep what a server of this version stores, for all versions to come.

Run it right before a release that has a new schema, and commit what it writes, named by the schema:
`tests/control/test_upgrades.py` brings it to each later one. The keys and tokens in it open
nothing else.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from tests.control.serving import Served, check_ended, extraction_of, heap_properties, selected, serving, write_bucket
from tests.planted import PASSWORD

FOLDER = Path(__file__).parent
#: Never run by itself: a schedule's next time would be another one with each start.
PAUSED = {"paused_at": "2026-01-01T00:00:00Z"}
EMAILS = "/notifications/public/v1/api/custom-emails"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        with serving(home) as served:
            _fill(served, Path(name))
            kept = {"token": served.token, "account_id": served.account_id, "answers": answers(served)}
        made = Path(name) / "backup.zip"
        backup = [sys.executable, "-m", "lockstitch", "backup", str(made), "--home", str(home), "--with-keys"]
        subprocess.run(backup, check=True)
        schema = json.loads(zipfile.ZipFile(made).read("manifest.json"))["schema"]
        shutil.copyfile(made, FOLDER / f"{schema}.zip")
    (FOLDER / f"{schema}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def _fill(served: Served, folder: Path) -> None:
    """Make one of everything, over HTTP."""
    made = served.call("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": "warehouse.duckdb"}})
    check_ended(served, "destination", made["id"])
    schedule = {"frequency_in_minutes": "360", "anchor_time": "2026-01-01T03:30:00Z"}
    properties = {**heap_properties(write_bucket(folder / "bucket")), **schedule}
    heap = {"type": "platform.heap", "display_name": "Heap", "properties": properties}
    source = served.call("POST", "/v4/sources", heap)
    served.call("PUT", f"/v4/sources/{source['id']}", PAUSED)
    check_ended(served, "source", source["id"])
    selected(served, source["id"], "users")
    job = served.call("POST", f"/v4/sources/{source['id']}/sync")["job_name"]
    assert extraction_of(served, job)["target_exit_status"] == 0
    pushed = served.call("POST", "/v4/sources", {"type": "import_api", "display_name": "Pushes"})
    served.call("POST", f"/v4/sources/{pushed['id']}/tokens")
    login = {"host": "192.0.2.1", "username": "stitch", "database": "shop", "password": PASSWORD}
    second = served.call("POST", "/v4/destinations", {"type": "postgres", "properties": login})
    check_ended(served, "destination", second["id"])
    served.call("POST", EMAILS, {"email_address": "ops@example.com"})


def answers(served: Served) -> dict[str, Any]:
    """Return what the server tells of its things; reports are not among them, which are shown for 60 days."""
    found = {path: served.call("GET", path) for path in ("/v4/sources", "/v4/destinations")}
    paths = [EMAILS]
    living = [one for one in found["/v4/sources"] if one["deleted_at"] is None]
    for one in living:
        paths.append(f"/v4/sources/{one['id']}/streams")
        if one["type"] == "import_api":
            paths.append(f"/v4/sources/{one['id']}/tokens")
    found |= {path: served.call("GET", path) for path in paths}
    for source in living:
        for stream in found[f"/v4/sources/{source['id']}/streams"]:
            path = f"/v4/sources/{source['id']}/streams/{stream['stream_id']}"
            found[path] = served.call("GET", path)
    return found


if __name__ == "__main__":
    main()
