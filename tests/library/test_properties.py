"""Where properties come from: arguments, then the environment, then secrets files, each by name, then by type."""

from __future__ import annotations

from pathlib import Path

import pytest

import lockstitch

POSTGRES = {"username": "u", "database": "d"}


def host(name: str = "my shop", **given: str) -> str:
    """Return the host that a pipeline into PostgreSQL would use."""
    made = lockstitch.pipeline(
        name,
        source="platform.heap",
        properties={"bucket_url": "s3://b"},
        destination="postgres",
        destination_properties={**POSTGRES, **given},
    )
    return str(made.settings.destination_properties["host"])


def write_secrets(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".lockstitch" / "secrets.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_strongest_place_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(folder.parents[1], '[destination.postgres]\nhost = "home, by type"')
    assert host() == "home, by type"
    write_secrets(folder.parents[1], '["my shop".destination]\nhost = "home"\n[destination.postgres]\nhost = "no"')
    assert host() == "home"
    write_secrets(folder.parent, '[destination.postgres]\nhost = "nearer"')
    assert host() == "nearer"
    write_secrets(folder, '["my shop".destination]\nhost = "nearest"')
    assert host() == "nearest"
    monkeypatch.setenv("LOCKSTITCH_DESTINATION__POSTGRES__HOST", "environment, by type")
    assert host() == "environment, by type"
    monkeypatch.setenv("LOCKSTITCH_MY_SHOP__DESTINATION__HOST", "environment")
    assert host() == "environment"
    assert host(host="argument") == "argument"
    assert host("another") == "environment, by type"


def test_places_add_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(folder, '[destination.postgres]\nhost = "h"\nport = 1\n[source."platform.heap"]\naccount_id = "1"')
    monkeypatch.setenv("LOCKSTITCH_HEAP__DESTINATION__PORT", "5433")
    monkeypatch.setenv("LOCKSTITCH_SOURCE__PLATFORM_HEAP__BUCKET_URL", "s3://b")
    made = lockstitch.pipeline(
        "heap", source="platform.heap", destination="postgres", destination_properties={"username": "u", "database": ""}
    )
    assert made.settings.destination_properties == {"host": "h", "port": "5433", "username": "u", "database": ""}
    assert made.settings.source_properties == {"account_id": "1", "bucket_url": "s3://b"}


def test_the_environment_fills_a_secrets_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(folder, '[destination.postgres]\nhost = "${DB}"\n[heap.destination]\nhost = "${NOT_SET}"')
    monkeypatch.setenv("DB", "db.example.com")
    assert host() == "db.example.com"
    with pytest.raises(lockstitch.SettingsError, match=r"\[heap.destination\].host reads .* NOT_SET"):
        host("heap")


def test_outside_home_only_the_working_directory_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_secrets(folder.parent, '[destination.postgres]\nhost = "a stranger\'s"')
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(lockstitch.SettingsError, match="lacks host"):
        host()
    write_secrets(tmp_path / "home", '[destination.postgres]\nhost = "home"')
    assert host() == "home"


def test_a_file_that_others_can_read_is_told(folder: Path) -> None:
    path = write_secrets(folder, '[destination.postgres]\nhost = "h"', 0o644)
    with pytest.warns(UserWarning, match=f"{path} can be read by other users; hint: chmod 600 {path}"):
        assert host() == "h"


def test_an_error_says_where_it_looked(folder: Path) -> None:
    with pytest.raises(lockstitch.SettingsError) as missing:
        host()
    assert missing.value.message == "pipeline my shop: destination.properties lacks host"
    for place in (
        "the arguments",
        "LOCKSTITCH_MY_SHOP__DESTINATION__*",
        "LOCKSTITCH_DESTINATION__POSTGRES__*",
        '["my shop".destination] and [destination.postgres]',
        *(str(each / ".lockstitch" / "secrets.toml") for each in (folder, *folder.parents[:2])),
    ):
        assert place in str(missing.value.hint)


def test_so_does_one_that_comes_late() -> None:
    pipeline = lockstitch.pipeline("heap", source="platform.heap", properties={"bucket": "heap-rs3-acme"})
    with pytest.raises(lockstitch.SettingsError, match="lacks account_id, external_id, role_name") as missing:
        pipeline.run()
    assert "LOCKSTITCH_HEAP__SOURCE__*" in str(missing.value.hint)


@pytest.mark.parametrize("where", ["argument", "environment", "file"])
def test_a_slip_is_refused_wherever_it_is(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {"hots": "h"} if where == "argument" else {}
    if where == "environment":
        monkeypatch.setenv("LOCKSTITCH_MY_SHOP__DESTINATION__HOTS", "h")
    if where == "file":
        write_secrets(folder, '["my shop".destination]\nhots = "h"')
    with pytest.raises(lockstitch.SettingsError, match="hots is no property of postgres") as refused:
        host(**given)
    assert str(refused.value.hint).startswith("did you mean 'host'?")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ('["my shop"]\nhost = "h"', "host is no table of a source or destination"),
        ('["my shop".destinations]\nhost = "h"', "destinations is no table"),
        ('["my shop"]\ndestination = "h"', "destination is no table"),
    ],
)
def test_what_stands_where_nobody_looks_is_refused(text: str, lost: str, folder: Path) -> None:
    write_secrets(folder, text)
    with pytest.raises(lockstitch.SettingsError, match=lost) as refused:
        host()
    assert '["my shop".destination]' in str(refused.value.hint)


def test_a_type_without_its_quotes_is_refused(folder: Path) -> None:
    write_secrets(folder, '[source.platform.heap]\naccount_id = "1"')
    with pytest.raises(lockstitch.SettingsError, match="stands in quotes") as refused:
        lockstitch.pipeline("heap", source="platform.heap")
    assert refused.value.hint == 'write [source."platform.heap"]'


def test_a_secrets_file_that_is_no_toml_is_told_by_its_name(folder: Path) -> None:
    path = write_secrets(folder, "password: x")
    with pytest.raises(lockstitch.SettingsError, match=f"{path}: is not TOML"):
        host()


def test_a_type_that_there_is_not_is_refused() -> None:
    with pytest.raises(lockstitch.SettingsError, match=r"source.type is 'platform.heep'"):
        lockstitch.pipeline("heap", source="platform.heep")


def test_duckdb_has_a_file_of_the_pipelines_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def path() -> object:
        made = lockstitch.pipeline("My Shop", source="platform.heap", properties={"bucket_url": "s3://b"})
        return made.settings.destination_properties["path"]

    assert path() == str(folder / "my_shop.duckdb")
    monkeypatch.setenv("LOCKSTITCH_MY_SHOP__DESTINATION__PATH", "x.duckdb")
    assert path() == "x.duckdb"
