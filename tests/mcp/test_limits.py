"""What an assistant cannot do: leave the folder, write by SQL, read without end, change what a person wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.types import TextContent
from tests.mcp.conftest import Assistant, write_secrets

from lockstitch.mcp.answers import MOST_BYTES
from lockstitch.testing.postgres_server import PostgresDatabase

HEAP = """\
# ours
[source]
type = "platform.heap"
name = "heap"   # the schema
streams = "*"

[source.properties]
bucket_url = "{bucket}"

[destination]
type = "duckdb"
[destination.properties]
path = "heap.duckdb"  # beside this file
[load]
rows = 1_000
"""


@pytest.fixture
def heap(folder: Path, bucket: Path) -> Path:
    path = folder / "heap.toml"
    path.write_text(HEAP.format(bucket=bucket.as_uri()))
    return path


@pytest.mark.parametrize("name", ["../heap", "/etc/passwd", ".heap", "a/b", "heap.toml", "", "he\0ap", "link"])
def test_no_other_file(assistant: Assistant, heap: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "heap.toml").write_text(heap.read_text())
    (heap.parent / "link.toml").symlink_to(tmp_path / "heap.toml")
    for tool in ("check_connection", "run", "show", "read_log", "plan", "discover"):
        assert "names no connection" in assistant.refused(tool, connection=name)
    assert "names no connection" in assistant.refused("query", connection=name, sql="select 1")
    assert "names no connection" in assistant.refused("choose_streams", connection=name, streams="*")
    made = {"source": "platform.heap", "source_properties": {"bucket_url": "file:///x"}}
    assert "names no connection" in assistant.refused("make_connection", name=name, **made)
    assert [one["connection"] for one in assistant.call("list_connections")] == ["heap"]


def test_read_only(reader: Assistant, heap: Path) -> None:
    assert reader.tools() == {"list_types", "describe_type", "list_connections", "show", "query", "read_log"}
    assert "Unknown tool" in reader.refused("run", connection="heap")
    assert "nothing has landed yet" in reader.call("show", connection="heap")
    assert sorted(path.name for path in heap.parent.iterdir()) == ["heap.toml"]


@pytest.mark.usefixtures("heap")
def test_queries_only_read_and_only_tables(assistant: Assistant, tmp_path: Path) -> None:
    assistant.call("run", connection="heap")
    (tmp_path / "note.txt").write_text("not for you")
    writes = ["delete from users", "create table t (a int)", "drop table users", "select 1; delete from users"]
    files = [
        f"copy users to '{tmp_path}/out.csv'",
        f"select * from read_text('{tmp_path}/note.txt')",
        f"select * from '{tmp_path}/note.txt'",
        f"attach '{tmp_path}/other.duckdb'",
        "set enable_external_access = true",
        "install httpfs",
    ]
    for sql in [*writes, *files]:
        assert "hint: " in assistant.refused("query", connection="heap", sql=sql), sql
    assert "not for you" not in "".join(assistant.heard)
    assert not (tmp_path / "out.csv").exists()
    assert assistant.call("query", connection="heap", sql="select count(*) from users")["rows"] == [[4]]


def test_queries_of_postgres_only_read(
    assistant: Assistant, folder: Path, bucket: Path, postgres: PostgresDatabase
) -> None:
    database = {"username": postgres.username, "database": postgres.database, "port": postgres.port, "ssl": False}
    made = {"source": "platform.heap", "source_properties": {"bucket_url": bucket.as_uri()}, "destination": "postgres"}
    assistant.call("make_connection", name="heap", **made, destination_properties=database)
    write_secrets(folder, f"[heap.destination]\nhost = '{postgres.host}'\npassword = '{postgres.password}'\n")
    assert assistant.call("run", connection="heap")["verdict"] == "ok"
    writes = [
        "delete from users",
        "select 1; delete from users",
        "select 1) to stdout; delete from heap.users; copy (select 1",
        "with gone as (delete from users returning 1) select * from gone",
        "select set_config('transaction_read_only', 'off', true)",
    ]
    for sql in writes:
        assert "change nothing" in assistant.refused("query", connection="heap", sql=sql), sql
    assert assistant.call("query", connection="heap", sql="select count(*) from users")["rows"] == [[4]]
    assert postgres.password not in "".join(assistant.heard)


@pytest.mark.usefixtures("heap")
def test_answers_are_cut(assistant: Assistant) -> None:
    assistant.call("run", connection="heap")
    many = assistant.call("query", connection="heap", sql="select * from range(500)", max_rows=7)
    assert (len(many["rows"]), many["cut"][:17]) == (7, "cut after 7 rows:")
    assert assistant.call("query", connection="heap", sql="select * from range(7)", max_rows=7)["cut"] is None
    wide = assistant.call("query", connection="heap", sql="select repeat('x', 1500) from range(900)", max_rows=1000)
    assert 30 < len(wide["rows"]) < MOST_BYTES / 1500
    assert f"{MOST_BYTES} bytes" in wide["cut"]
    ((long,),) = assistant.call("query", connection="heap", sql="select repeat('x', 5000)")["rows"]
    assert long.endswith("x ... (3000 more characters)")
    assert "less than or equal to 1000" in assistant.refused(
        "query", connection="heap", sql="from users", max_rows=1001
    )


ENDLESS = "select count(*) from range(1000000000) a, range(1000000000) b"


@pytest.mark.usefixtures("heap")
def test_a_query_that_does_not_end_is_given_up_and_stands_in_no_runs_way(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant.call("run", connection="heap")
    assistant.cancel("query", 2, connection="heap", sql=ENDLESS)
    assert assistant.call("run", connection="heap")["verdict"] == "ok"
    assert assistant.call("query", connection="heap", sql="select count(*) from users")["rows"] == [[4]]
    monkeypatch.setattr("lockstitch.mcp.asking.MOST_SECONDS", 1)
    assert "more than 1 seconds" in assistant.refused("query", connection="heap", sql=ENDLESS)
    assert assistant.call("query", connection="heap", sql="select 1 as one")["rows"] == [[1]]


def test_a_choice_of_streams_leaves_the_rest(assistant: Assistant, heap: Path) -> None:
    before = heap.read_text()
    heap.chmod(0o640)
    chosen = {"users": ["user_id"], "sign.up": {"fields": "*", "replication_method": "FULL_TABLE"}}
    assert assistant.call("choose_streams", connection="heap", streams=chosen)["streams"] == ["sign.up", "users"]
    assert heap.read_text() == before.replace('streams = "*"\n', "") + (
        '\n[source.streams]\nusers = ["user_id"]\n"sign.up" = { fields = "*", replication_method = "FULL_TABLE" }\n'
    )
    assert heap.stat().st_mode & 0o777 == 0o640
    assistant.call("choose_streams", connection="heap", streams="*")
    assert heap.read_text() == before.replace('streams = "*"\n', "")
    assert "replication_method is 'ALL'" in assistant.refused(
        "choose_streams", connection="heap", streams={"users": {"replication_method": "ALL"}}
    )
    unusual = before.replace('name = "heap"   # the schema\nstreams = "*"', 'name = "heap"\n"streams" = "*"')
    heap.write_text(unusual)
    text = assistant.refused("choose_streams", connection="heap", streams={"users": "*"})
    assert "let a person write" in text
    assert heap.read_text() == unusual
    assert [path.name for path in heap.parent.iterdir()] == ["heap.toml"]


def test_a_file_is_not_overwritten(assistant: Assistant, heap: Path) -> None:
    before = heap.read_text()
    text = assistant.refused(
        "make_connection", name="heap", source="platform.heap", source_properties={"bucket_url": "file:///x"}
    )
    assert "there is a file heap.toml already" in text
    assert heap.read_text() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": "platform.hep"}, "did you mean 'platform.heap'"),
        ({"source_properties": {"buckt": "x"}}, "did you mean 'bucket'"),
        ({"source_properties": {"skip_missing_files": "perhaps"}}, "takes true or false"),
        ({"destination": "postgres"}, "destination.properties lacks username, database"),
        ({"streams": {}}, "source.streams is {}"),
        ({"destination_properties": {"path": None}}, "destination.properties.path"),
    ],
)
def test_what_is_wrong_is_told_at_once(assistant: Assistant, folder: Path, given: dict[str, object], said: str) -> None:
    usual = {"name": "new", "source": "platform.heap", "source_properties": {"bucket_url": "file:///x"}}
    assert said in assistant.refused("make_connection", **{**usual, **given})
    assert list(folder.iterdir()) == []


def test_types_say_who_writes_what(assistant: Assistant) -> None:
    assert {"kind": "source", "type": "platform.heap", "title": "Heap"} in assistant.call("list_types")
    described = assistant.call("describe_type", kind="destination", type="postgres")
    by_name = {each["name"]: each for each in described["properties"]}
    assert by_name["password"]["why"] == "it is a credential"
    assert {name for name, each in by_name.items() if each["written_by"] == "person"} == {
        "password",
        "host",
        "hostaddr",
    }
    assert by_name["port"]["schema"]["default"] == 5432
    assert by_name["database"]["required"]
    duckdb = assistant.call("describe_type", kind="destination", type="duckdb")["properties"]
    assert [(each["name"], each["required"], each.get("is_path", False)) for each in duckdb] == [
        ("path", False, True),
        ("memory_limit", False, False),
    ]


def test_files_that_are_no_pipelines(assistant: Assistant, folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (folder / "broken.toml").write_text("[source\n")
    (listed,) = assistant.call("list_connections")
    assert listed["connection"] == "broken"
    assert "is not TOML" in listed["error"]
    (told,) = assistant._call("show", {"connection": "pyproject"}).content
    assert isinstance(told, TextContent)
    assert "project is no setting" in told.text
