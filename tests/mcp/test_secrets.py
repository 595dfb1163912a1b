"""No answer, error, notification or log holds a secret, wherever the person keeps it and whatever fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mcp.conftest import Assistant, write_secrets

import acme

IN_FILE, IN_ENVIRONMENT, IN_SECRETS = "file/\"7'wolf", "environment 9 owl", "secrets+8 lynx"

PIPELINE = """
[source]
type = "acme.things"
name = "things"
[source.properties]
host = "{host}"
{properties}
[destination]
type = "duckdb"
[destination.properties]
path = "things.duckdb"
"""


@pytest.fixture
def things(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another author's source, which tells its token in all that fails, and where its pipeline's file goes."""
    monkeypatch.syspath_prepend(acme.install(tmp_path / "site"))
    monkeypatch.setenv("ACME_TOKEN", IN_ENVIRONMENT)
    write_secrets(folder, f'[source."acme.things"]\ntoken = "{IN_SECRETS}"\n')
    return folder / "things.toml"


WHERE = {
    IN_FILE: f"token = '''{IN_FILE}'''",
    IN_ENVIRONMENT: 'token = "${ACME_TOKEN}"',
    IN_SECRETS: "",
}


@pytest.mark.parametrize("secret", WHERE)
def test_failures_do_not_tell_it(assistant: Assistant, things: Path, tmp_path: Path, secret: str) -> None:
    for host in ("refused", "broken"):
        things.write_text(PIPELINE.format(host=host, properties=WHERE[secret]))
        for tool in ("check_connection", "discover", "plan", "run"):
            told = assistant._call(tool, {"connection": "things"})
            assert "***" in str(told) or (host, tool) == ("broken", "check_connection")
    things.write_text(PIPELINE.format(host="h", properties=WHERE[secret] + "\nfails_at = 1"))
    ran = assistant.call("run", connection="things")
    assert ran["lanes"][0]["error"]["message"] == "page 1 is cut, said ***"
    assert "page 1 is cut, said ***" in assistant.call("read_log", connection="things")
    things.write_text(PIPELINE.format(host="h", properties=WHERE[secret]))
    assert assistant.call("run", connection="things")["verdict"] == "ok"
    assert assistant.call("query", connection="things", sql="select lane from _lockstitch.marks")["rows"]
    assistant.call("query", connection="things", sql="select * from things, _lockstitch.marks, duckdb_settings()")
    assistant.call("show", connection="things")
    assistant.call("list_connections")
    things.write_text(PIPELINE.format(host="h", properties=WHERE[secret] + "\nport = 0\ntokn = 1"))
    assert "tokn" in assistant.refused("plan", connection="things")
    heard = "".join([*assistant.heard, *(log.read_text() for log in (tmp_path / "home" / "mcp").iterdir())])
    assert secret not in heard
    assert secret.split("/")[-1] not in heard


def test_what_lands_may_hold_it(assistant: Assistant, things: Path) -> None:
    things.write_text(PIPELINE.format(host="h", properties=WHERE[IN_FILE]))
    assistant.call("run", connection="things")
    quoted = IN_FILE.replace("'", "''")
    sql = f"select '{quoted}' as a, ['{quoted}'] as b, {{'c': '{quoted}'}} as c, repeat('x', 1995) || '{quoted}' as d"
    ((a, b, c, d),) = assistant.call("query", connection="things", sql=sql)["rows"]
    assert (a, b, c) == ("***", '["***"]', '{"c": "***"}')
    assert d.endswith("x***")
    assert IN_FILE not in "".join(assistant.heard)


@pytest.mark.usefixtures("things")
def test_a_secret_is_not_for_an_assistant_to_write(assistant: Assistant, folder: Path) -> None:
    token = {"host": "h", "token": "mine"}
    text = assistant.refused("make_connection", name="other", source="acme.things", source_properties=token)
    assert "source.properties.token is not for an assistant to write" in text
    assert "LOCKSTITCH_OTHER__SOURCE__TOKEN" in text
    for properties in ({"host": "${ACME_TOKEN}"}, {"host": "h", "tables": ["$${x}"]}):
        text = assistant.refused("make_connection", name="other", source="acme.things", source_properties=properties)
        assert "reads the environment" in text
    close = {"start_date": "2026-01-01", "base_url": "https://example.org"}
    text = assistant.refused("make_connection", name="other", source="platform.closeio", source_properties=close)
    assert "which host is sent the credentials" in text
    assert sorted(path.name for path in folder.iterdir()) == [".lockstitch"]
    made = assistant.call("make_connection", name="other", source="acme.things", source_properties={"host": "h"})
    assert [each["is_set"] for each in made["left_to_a_person"] if each["property"].endswith("token")] == [True]
    assert (folder / "other.toml").stat().st_mode & 0o777 == 0o600
    assert IN_SECRETS not in (folder / "other.toml").read_text()
