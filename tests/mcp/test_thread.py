"""The whole thread, from a type's name to an answer in SQL, as an assistant walks it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.mcp.conftest import Assistant, assistant_of, write_secrets

from lockstitch.cli import main
from lockstitch.sources.closeio import api
from lockstitch.testing.vendors.close import CloseServer
from lockstitch.testing.vendors.close_data import CloseData
from lockstitch.toolkit.http.quota import Rate
from mcp import Client, StdioServerParameters, stdio_client

KEY = "api_4nothing.5tells \"it'"
ENVIRONMENT_KEY = "aws/Jq2+not+for+assistants"


def test_heap_into_duckdb(
    assistant: Assistant,
    bucket: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOCKSTITCH_HEAP__SOURCE__AWS_SECRET_ACCESS_KEY", ENVIRONMENT_KEY)
    properties = {"bucket_url": bucket.as_uri(), "aws_access_key_id": "AKIA"}
    made = assistant.call("make_connection", name="heap", source="platform.heap", source_properties=properties)
    assert [each["property"] for each in made["left_to_a_person"] if each["is_set"]] == [
        "source.properties.aws_secret_access_key"
    ]
    assert assistant.call("check_connection", connection="heap")["ok"]
    streams = assistant.call("discover", connection="heap")["streams"]
    assert {one["name"]: one["selected"] for one in streams} == {"users": True, "sessions": True}
    assistant.call("choose_streams", connection="heap", streams={"users": "*"})
    assert [one["streams"] for one in assistant.call("list_connections")] == [["users"]]
    (planned,) = assistant.call("plan", connection="heap")["streams"]
    assert (planned["stream"], planned["creates"]) == ("users", True)

    ran = assistant.call("run", connection="heap")
    assert [(one["table"], one["inserted"]) for one in ran["tables"]] == [("users", 4)]
    assert any("committed" in line for line in assistant.progress)
    assert "1 load committed" in assistant.call("read_log", connection="heap")
    assert "users  (4 rows; key user_id)" in assistant.call("show", connection="heap")
    answer = assistant.call("query", connection="heap", sql="select user_id, visits from users order by 1")
    assert answer == {
        "columns": ["user_id", "visits"],
        "rows": [[1, 7], [2, None], [3, str(2**62)], [4, 0]],
        "cut": None,
    }
    assert ENVIRONMENT_KEY not in "".join(assistant.heard)

    # The file is a pipeline like any other: a run by hand goes on from there.
    capsys.readouterr()
    assert main(["run", "heap.toml"]) == 2  # the secret is only in a variable that `lockstitch mcp` reads
    assistant_file = folder / "heap.toml"
    assistant_file.write_text(assistant_file.read_text().replace('aws_access_key_id = "AKIA"\n', ""))
    assert main(["run", "heap.toml"]) == 0
    assert "nothing new" in capsys.readouterr().out


def test_close_with_its_key_in_secrets(assistant: Assistant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "RATE", Rate(100_000, 1.0, burst=1000))
    data = CloseData()
    data.add("leads", {"id": "lead_1", "display_name": "Acme", "contacts": []})
    properties = {"start_date": "2026-01-01"}
    made = assistant.call("make_connection", name="close", source="platform.closeio", source_properties=properties)
    (key,) = [each for each in made["left_to_a_person"] if each["required"]]
    assert key["property"] == "source.properties.api_key"
    assert "[close.source]" in key["put_it"]
    told = assistant.call("check_connection", connection="close")
    assert "lacks api_key" in told["source"]["error"]["message"]
    with CloseServer(data, key=KEY) as server:
        write_secrets(folder, f"[close.source]\napi_key = '''{KEY}'''\nbase_url = '{server.url}/api/v1'\n")
        assistant.call("choose_streams", connection="close", streams={"leads": ["id", "display_name"]})
        assert assistant.call("check_connection", connection="close")["ok"]
        assert assistant.call("run", connection="close")["verdict"] == "ok"
        answer = assistant.call("query", connection="close", sql="select id, display_name from leads")
        assert answer["rows"] == [["lead_1", "Acme"]]
        server.key = "another"
        assert not assistant.call("check_connection", connection="close")["source"]["ok"]
        assert "Close refuses the API key" in assistant.refused("run", connection="close")
    assert KEY not in "".join(assistant.heard)
    assert "nothing.5tells" not in "".join(assistant.heard)


def test_over_stdio(folder: Path, bucket: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "lockstitch", "mcp", "--folder", str(folder)],
        env={"LOCKSTITCH_HOME": str(folder.parent / "home"), "HOME": str(folder.parent)},
    )
    with assistant_of(Client(stdio_client(server))) as assistant:
        properties = {"bucket_url": bucket.as_uri()}
        assistant.call("make_connection", name="heap", source="platform.heap", source_properties=properties)
        assert assistant.call("run", connection="heap")["loads"] > 0
        assert assistant.call("query", connection="heap", sql="from sessions", max_rows=2)["cut"].startswith(
            "cut after 2"
        )
    assert (folder / "heap.duckdb").exists()
