"""A pipeline file is read as it is meant, and refused in words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

import acme
from lockstitch import verbs
from lockstitch.connectors import hide
from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.core.model import StreamChoice
from lockstitch.engine.limits import LoadLimits
from lockstitch.pipeline_file import connection_id, load_pipeline, schema_name
from lockstitch.toolkit.home import home_folder
from lockstitch.verbs import PipelineSettings

WHOLE = """
[source]
type = "platform.heap"
name = "Heap (Production)"
streams = "*"
[source.properties]
bucket = "heap-rs3-acme"
[destination]
type = "duckdb"
[destination.properties]
path = "warehouse.duckdb"
"""


def load(tmp_path: Path, text: str) -> PipelineSettings:
    path = tmp_path / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return load_pipeline(path)


def refused(tmp_path: Path, text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.hint
    assert caught.value.message.startswith(str(tmp_path / "pipeline.toml"))
    return caught.value


def test_the_issues_file_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE) == PipelineSettings(
        connection=connection_id("platform.heap", "heap_production"),
        schema="heap_production",
        source_type="platform.heap",
        source_properties={"bucket": "heap-rs3-acme"},
        destination_type="duckdb",
        destination_properties={"path": "warehouse.duckdb"},
        selection=None,
        limits=LoadLimits(),
        path=tmp_path / "pipeline.toml",
    )


def test_streams_may_be_left_out_and_an_id_given(tmp_path: Path) -> None:
    pipeline = load(tmp_path, WHOLE.replace('streams = "*"', 'id = "12"'))
    assert (pipeline.selection, pipeline.connection) == (None, "12")


def test_a_choice_of_streams_is_read(tmp_path: Path) -> None:
    table = """
[source.streams]
users = "*"
sessions = ["event_id", "time"]
orders = { fields = "*", replication_method = "INCREMENTAL", replication_key = "updated_at" }
"my.events" = { replication_method = "FULL_TABLE" }
[destination]"""
    pipeline = load(tmp_path, WHOLE.replace('streams = "*"', "").replace("[destination]", table))
    assert pipeline.selection == {
        "users": StreamChoice(),
        "sessions": StreamChoice(frozenset({"event_id", "time"})),
        "orders": StreamChoice(None, "INCREMENTAL", "updated_at"),
        "my.events": StreamChoice(None, "FULL_TABLE"),
    }


def test_load_limits_are_read(tmp_path: Path) -> None:
    pipeline = load(tmp_path, WHOLE + "[load]\nrows = 10\nseconds = 5\n")
    assert pipeline.limits == LoadLimits(rows=10, seconds=5)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("[source]", "[sources]", "sources is no setting", "did you mean 'source'? known here: source, destination"),
        ('type = "duckdb"', 'tipe = "duckdb"', "destination.tipe is no setting", "did you mean 'type'?"),
        ('name = "', 'nmae = "', "source.nmae is no setting", "did you mean 'name'?"),
        ('type = "duckdb"', "", "destination.type is missing", 'type = "..."'),
        ('type = "duckdb"', "type = 5", "destination.type is 5", 'type = "..."'),
        ("[destination]", "[destination_]", "destination_ is no setting", "did you mean 'destination'?"),
        ("[source.properties]\nbucket", "properties", "[source.properties] is missing", "add a table"),
        ('"*"', '"users"', "source.streams is 'users'", '[source.streams] with lines like users = "*"'),
        ('"*"', "[]", "source.streams is []", '[source.streams] with lines like users = "*"'),
        ('"*"', "{}", "source.streams is {}", '[source.streams] with lines like users = "*"'),
        ('"*"', "{users = []}", "source.streams.users is []", '"*" for all fields'),
        ('"*"', "{users = [1]}", "source.streams.users is [1]", '"*" for all fields'),
        ('"*"', "{users = true}", "source.streams.users is True", '"*" for all fields'),
        ('"*"', "{users = {field = 1}}", "source.streams.users.field is no setting", "did you mean 'fields'?"),
        ('"*"', "{u = {fields = 1}}", "source.streams.u.fields is 1", '"*" for all fields'),
        ('"*"', "{u = {replication_method = 'full'}}", "source.streams.u.replication_method is 'full'", "FULL_TABLE"),
        ('"*"', "{u = {replication_key = 1}}", "source.streams.u.replication_key is 1", "text in quotes"),
        ("Heap (Production)", "***", "source.name is '***', which makes no schema", "a letter or digit"),
        ("Heap (Production)", "_SDC rows", "source.name is '_SDC rows', which makes no schema", "_sdc"),
        ("Heap (Production)", "PG Catalog", "source.name is 'PG Catalog', which makes no schema", "database's own"),
        ("[destination]", "[load]\nrow = 1\n[destination]", "load.row is no setting", "did you mean 'rows'?"),
        ("[destination]", "[load]\nrows = 0\n[destination]", "load.rows is 0", "from 1 up"),
        ("[destination]", "[load]\nrows = true\n[destination]", "load.rows is True", "from 1 up"),
        ("[destination]", "[load]\nbytes = '1 GB'\n[destination]", "load.bytes is '1 GB'", "from 1 up"),
        ("acme", "${", "source.properties.bucket holds a ${ that names no variable", "$${"),
        ("acme", "${a-b}", "source.properties.bucket holds a ${ that names no variable", "$${"),
        ("acme", "${NOT_SET}", "source.properties.bucket reads the environment variable NOT_SET", "export NOT_SET"),
        ("[destination]", "[destination", "is not TOML", "quotes"),
    ],
)
def test_a_slip_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str, hint: str) -> None:
    assert old in WHOLE
    error = refused(tmp_path, WHOLE.replace(old, new, 1))
    assert message in error.message
    assert error.hint is not None
    assert hint in error.hint


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_pipeline(tmp_path / "pipeline.toml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_pipeline(tmp_path)
    (tmp_path / "pipeline.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_pipeline(tmp_path / "pipeline.toml")


def test_the_environment_fills_any_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND", "duckdb")
    monkeypatch.setenv("WHO", "a${b")
    text = WHOLE.replace('"duckdb"', '"${KIND}"').replace('"heap-rs3-acme"', '{ a = ["x-${WHO}-$${WHO}-$5"] }')
    pipeline = load(tmp_path, text)
    assert pipeline.destination_type == "duckdb"
    assert pipeline.source_properties == {"bucket": {"a": ["x-a${b-${WHO}-$5"]}}


def test_properties_are_left_out_of_repr(tmp_path: Path) -> None:
    assert "heap-rs3-acme" not in repr(load(tmp_path, WHOLE))


@pytest.mark.parametrize(
    ("name", "schema"),
    [("Recurly Stitch", "recurly_stitch"), ("heap", "heap"), ("  Ünï--42!", "n_42"), ("sdc", "sdc")],
)
def test_a_schema_is_named_by_the_rule(name: str, schema: str) -> None:
    assert schema_name(name) == schema


def test_a_connection_keeps_its_id_when_its_name_is_written_otherwise(tmp_path: Path) -> None:
    one, two = load(tmp_path, WHOLE), load(tmp_path, WHOLE.replace("Heap (Production)", "heap production"))
    assert one.connection == two.connection
    assert one.connection != connection_id("platform.heap", "heap")


def test_the_home_folder_is_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "a" / "b"))
    assert home_folder() == tmp_path / "a" / "b"
    assert home_folder().stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "a" / "b" / "file" / "c"))
    (tmp_path / "a" / "b" / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made: Not a directory"):
        home_folder()


def test_a_secret_is_hidden_in_text_and_url() -> None:
    secrets = frozenset({"p@ss/word", "p@ss"})
    assert hide("p@ss/word in postgres://me:p%40ss%2Fword@host, p@ss", secrets) == "*** in postgres://me:***@host, ***"


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelineSettings:
    """A pipeline from another author's source, whose errors tell its token."""
    monkeypatch.syspath_prepend(acme.install(tmp_path / "site"))
    monkeypatch.setenv("LOCKSTITCH_HOME", str(tmp_path / "home"))
    return PipelineSettings(
        "1", "things", "acme.things", {"host": "h", "token": "s3cret"}, "duckdb", {"path": "x.duckdb"}
    )


def with_host(pipeline: PipelineSettings, host: str) -> PipelineSettings:
    properties = {"host": host, "token": "s3cret"}
    return PipelineSettings("1", "things", "acme.things", properties, "duckdb", pipeline.destination_properties)


def test_discover_asks_the_source_alone(things: PipelineSettings) -> None:
    assert [stream.name for stream in verbs.discover(things)] == ["things", "others"]


def test_no_error_tells_a_secret(things: PipelineSettings) -> None:
    with pytest.raises(AccessError) as refused:
        verbs.discover(with_host(things, "refused"))
    assert str(refused.value) == "token *** is refused\nhint: not ***"
    with pytest.raises(RuntimeError) as broken:
        verbs.discover(with_host(things, "broken"))
    assert str(broken.value) == "sent ***"
