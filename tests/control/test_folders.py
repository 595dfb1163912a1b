"""Folders: where the files of accounts may lie, however a path is written; when it is stored, and before each job."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from litestar.testing import TestClient
from tests.control.serving import check_ended, serving

from lockstitch.api.app import make_app
from lockstitch.connectors import Connector, Spec, find_connector
from lockstitch.control import accounts, tokens
from lockstitch.control.folders import ENVIRONMENT, Folders, allowed_folders
from lockstitch.control.server import Settings, open_server
from lockstitch.core.errors import SettingsError

DUCKDB = find_connector("destination", "duckdb")
HEAP = find_connector("source", "platform.heap")
POSTGRES = find_connector("destination", "postgres")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """One account's own folder with links in it, one folder for all, and one for nobody."""
    for name in ("home/files/1", "home/files/2", "shared/below", "forbidden"):
        (tmp_path / name).mkdir(parents=True)
    own = tmp_path / "home" / "files" / "1"
    (own / "in").symlink_to(tmp_path / "shared" / "below")
    (own / "out").symlink_to(tmp_path / "forbidden")
    (own / "circle").symlink_to(own / "circle")
    (own / "file.duckdb").symlink_to(tmp_path / "forbidden" / "file.duckdb")
    return Folders(tmp_path / "home", (tmp_path / "shared",))


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("w.duckdb", "home/files/1/w.duckdb"),
        ("a/b/w.duckdb", "home/files/1/a/b/w.duckdb"),
        ("~/w.duckdb", "home/files/1/~/w.duckdb"),
        (":memory:", "home/files/1/:memory:"),
        ("https://example.com/w", "home/files/1/https:/example.com/w"),
        ("in/w.duckdb", "shared/below/w.duckdb"),
        ("{root}/shared/w.duckdb", "shared/w.duckdb"),
        ("{root}/shared/new/w.duckdb", "shared/new/w.duckdb"),
        ("{root}/home/files/1/w.duckdb", "home/files/1/w.duckdb"),
    ],
)
def test_a_path_leads_below_an_allowed_folder(folders: Folders, tmp_path: Path, path: str, leads_to: str):
    values = {"path": path.format(root=tmp_path), "memory_limit": "1GB"}
    assert folders.refused(1, DUCKDB, values) == set()
    assert folders.settled(1, DUCKDB, values) == {"path": str(tmp_path / leads_to), "memory_limit": "1GB"}


@pytest.mark.parametrize(
    "path",
    [
        "../2/w.duckdb",
        "a/../w.duckdb",
        "..",
        "out/w.duckdb",
        "file.duckdb",
        "circle/w.duckdb",
        "with\0null",
        "/etc/passwd",
        "/",
        "{root}/home/files/2/w.duckdb",
        "{root}/home/keys",
        "{root}/home/control.sqlite",
        "{root}/home/files/10/w.duckdb",
        "{root}/home/files/1/../2/w.duckdb",
        "{root}/shared-not/w.duckdb",
        "{root}/shared/../forbidden/w.duckdb",
        "//etc/passwd",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(folders: Folders, tmp_path: Path, path: str):
    values = {"path": path.format(root=tmp_path)}
    assert folders.refused(1, DUCKDB, values) == {"path"}
    with pytest.raises(SettingsError, match=r"path is .*, which is outside the allowed folders\nhint: give a path rel"):
        folders.settled(1, DUCKDB, values)


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("file://{root}/shared/bucket", "file://{root}/shared/bucket"),
        ("file://{root}/shared", "file://{root}/shared"),
        ("file://{root}/shared/a%20b%2Fc", "file://{root}/shared/a%20b/c"),
        ("s3://heap-rs3-acme", "s3://heap-rs3-acme"),
        ("file:///etc", None),
        ("file://{root}/shared/%2e%2e/forbidden", None),
        ("file://{root}/shared%2F..%2Fforbidden", None),
        ("file://{root}/home", None),
    ],
)
def test_a_bucket_may_be_a_folder(folders: Folders, tmp_path: Path, url: str, leads_to: str | None):
    values = {"bucket_url": url.format(root=tmp_path)}
    if leads_to is None:
        assert folders.refused(1, HEAP, values) == {"bucket_url"}
    else:
        assert folders.refused(1, HEAP, values) == set()
        assert folders.settled(1, HEAP, values) == {"bucket_url": leads_to.format(root=tmp_path)}


def test_a_certificate_may_be_text_or_a_file_of_ones_own(folders: Folders, tmp_path: Path):
    text = "Some words\n-----BEGIN CERTIFICATE-----\n../../etc\n-----END CERTIFICATE-----\n"
    for kept in (text, "system"):
        assert folders.settled(1, POSTGRES, {"sslrootcert": kept}) == {"sslrootcert": kept}
    own = str(tmp_path / "home" / "files" / "1" / "root.crt")
    assert folders.settled(1, POSTGRES, {"sslrootcert": "root.crt"}) == {"sslrootcert": own}
    assert folders.refused(1, POSTGRES, {"sslrootcert": "/etc/ssl/private/key.pem"}) == {"sslrootcert"}


def test_connectors_without_files_are_left_alone(folders: Folders):
    strange = Connector("source", "other", cast("Spec", SimpleNamespace(TYPES=("other",))))
    for connector in (None, strange):
        assert folders.refused(1, connector, {"path": "/etc/passwd"}) == set()
        assert folders.settled(1, connector, {"path": "/etc/passwd"}) == {"path": "/etc/passwd"}


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert allowed_folders() == ()
    monkeypatch.setenv(ENVIRONMENT, f"{tmp_path}:/srv/data:")
    assert allowed_folders() == (tmp_path, Path("/srv/data"))
    monkeypatch.setenv(ENVIRONMENT, "data")
    with pytest.raises(SettingsError, match="has 'data'\nhint: give folders that begin with /"):
        Settings(tmp_path)


def test_the_api_names_the_property(tmp_path: Path):
    server = open_server(Settings(tmp_path / "home"))
    now = datetime.now(UTC)
    with server.write() as db:
        account_id = accounts.insert(db, accounts.FIRST, now)
        token = tokens.make_api_token(db, account_id, "", now).text
    with TestClient(make_app(server)) as client:
        client.headers["Authorization"] = f"Bearer {token}"

        def send(method: str, path: str, body: dict[str, Any], status: int) -> Any:
            answer = client.request(method, path, json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        bad = {"type": "duckdb", "properties": {"memory_limit": "1GB", "path": "/etc/w.duckdb", "nonsense": "1"}}
        refused = send("POST", "/v4/destinations", bad, 400)
        assert refused["error"] == "InvalidProperties"
        assert refused["data"]["bad_properties"] == ["path", "nonsense"]
        made = send("POST", "/v4/destinations", {"type": "duckdb", "properties": {"path": "w.duckdb"}}, 200)
        assert made["properties"]["path"] == "w.duckdb"
        path = f"/v4/destinations/{made['id']}"
        refused = send("PUT", path, {"properties": {"path": "../w.duckdb"}}, 400)
        assert refused["data"]["bad_properties"] == ["path"]
        assert client.get(path).json()["properties"]["path"] == "w.duckdb"
        heap = {"type": "platform.heap", "display_name": "Heap", "properties": {"bucket_url": "file:///etc"}}
        assert send("POST", "/v4/sources", heap, 400)["data"]["bad_properties"] == ["bucket_url"]
    server.store.close()


def test_a_worker_judges_a_path_again(tmp_path: Path):
    """A link that was put in later, or a folder that is no longer allowed, ends the job with what mends it."""
    home = tmp_path / "home"
    with serving(home) as served:
        body = {"type": "duckdb", "properties": {"path": "new/w.duckdb"}}
        own = home / "files" / str(served.account_id)
        own.mkdir(parents=True)
        (own / "new").mkdir()
        made = served.call("POST", "/v4/destinations", body)
        assert check_ended(served, "destination", made["id"])["status"] == "succeeded"
        assert list(own.iterdir()) == [own / "new"]
        shutil.rmtree(own / "new")
        (own / "new").symlink_to("/etc")
        # A change of another property is no reason to look at this one.
        served.call("PUT", f"/v4/destinations/{made['id']}", {"properties": {"memory_limit": "1GB"}})
        check = check_ended(served, "destination", made["id"])
        assert check["status"] == "failed"
        assert "path is 'new/w.duckdb', which is outside the allowed folders" in str(check)
