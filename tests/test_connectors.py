"""Connectors are found by their folder or entry point, and their settings refused in words that help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import acme
from lockstitch.connectors import (
    Connector,
    Kind,
    drivers_named,
    find_connector,
    known_types,
    open_source,
    parse_properties,
)
from lockstitch.core.errors import SettingsError
from lockstitch.core.model import Json

RIGHT: dict[str, Json] = {"host": "h", "token": "s3cret"}


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    """The connector of another author, found by its entry point."""
    monkeypatch.syspath_prepend(acme.install(tmp_path / "site"))
    yield find_connector("source", "acme.things")
    for name in [name for name in sys.modules if name.startswith("acme_things")]:
        del sys.modules[name]


def refused(connector: Connector, values: dict[str, Json]) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_properties(connector, values)
    assert caught.value.hint
    return caught.value


def test_another_authors_connector_is_found_by_each_of_its_types(things: Connector) -> None:
    assert things.spec.TITLE == "Acme"
    assert find_connector("source", "acme.old").spec is things.spec
    assert things.package == "acme_things"


def test_a_source_is_no_destination(things: Connector) -> None:
    with pytest.raises(SettingsError):
        find_connector("destination", things.type)
    assert "acme.things" in known_types("source")
    assert "acme.things" not in known_types("destination")


@pytest.mark.usefixtures("things")
def test_an_unknown_type_names_the_nearest_and_all_known() -> None:
    with pytest.raises(SettingsError) as caught:
        find_connector("source", "acme.thing")
    assert caught.value.message == "source.type is 'acme.thing', and no source has that type"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean 'acme.things'? the source types are acme.old, acme.things, ")


def test_properties_take_what_the_environment_gives_as_text(things: Connector) -> None:
    parsed = parse_properties(things, {**RIGHT, "port": "8443", "secure": "false"})
    assert (parsed.port, parsed.secure) == (8443, False)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"hots": "x"}, "source.properties.hots is no property of acme.things", "did you mean 'host'? its properties"),
        ({"port": "many"}, "source.properties.port cannot be 'many'", "port takes a whole number from 1 up to 65535 ("),
        ({"port": 70000}, "source.properties.port cannot be 70000", "(of the server)"),
        ({"mode": "quick"}, "source.properties.mode cannot be 'quick'", "mode takes one of 'fast', 'slow'"),
        ({"secure": "perhaps"}, "source.properties.secure cannot be 'perhaps'", "secure takes true or false"),
        ({"host": 5}, "source.properties.host cannot be 5", "host takes text in quotes"),
        ({"tables": ["a", 7]}, "source.properties.tables cannot be ['a', 7]", "tables takes a list"),
        ({"mode": "slow", "secure": False}, "source.properties: a slow way must be secure", "correct"),
    ],
)
def test_a_wrong_property_is_named_with_its_value_and_what_is_allowed(
    things: Connector, change: dict[str, Json], message: str, hint: str
) -> None:
    error = refused(things, RIGHT | change)
    assert error.message == message
    assert error.hint is not None
    assert hint in error.hint


def test_missing_properties_are_named_all_at_once(things: Connector) -> None:
    assert refused(things, {}).message == "source.properties lacks host, token"


def test_a_credentials_value_is_never_shown(things: Connector) -> None:
    error = refused(things, {"host": "h", "token": 987654321})
    assert "987654321" not in str(error)
    assert "source.properties.token" in error.message


def test_secrets_are_the_credentials_that_are_worth_hiding(things: Connector) -> None:
    assert things.secrets(RIGHT) == {"s3cret"}
    assert things.secrets({"host": "postgres", "token": "postgres"}) == frozenset()
    assert things.secrets({"host": "h", "token": "abc"}) == frozenset()


@pytest.mark.parametrize("host", ["no-driver", "late"])
def test_a_missing_driver_is_one_line(things: Connector, host: str) -> None:
    properties = parse_properties(things, RIGHT | {"host": host})
    with pytest.raises(SettingsError) as caught, drivers_named(things):
        open_source(things, properties).check()
    assert str(caught.value) == "acme.things needs a driver\nhint: uv pip install 'lockstitch[acme]'"


def test_an_import_that_fails_elsewhere_stays_our_bug(things: Connector) -> None:
    with pytest.raises(ModuleNotFoundError), drivers_named(things):
        __import__("a_module_of_nobody")


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_every_type_has_one_connector(kind: Kind) -> None:
    types = known_types(kind)
    assert types
    for name in types:
        connector = find_connector(kind, name)
        assert connector.spec.TITLE
        assert hasattr(connector.spec, f"open_{kind}")
        assert set(connector.spec.Properties.__struct_fields__) >= connector.spec.CREDENTIALS


@pytest.mark.parametrize(
    ("kind", "type_name"), [("source", "platform.heap"), ("destination", "duckdb"), ("destination", "postgres")]
)
def test_finding_a_connector_of_ours_imports_no_driver_and_no_other_spec(kind: Kind, type_name: str) -> None:
    script = (
        "import sys; from lockstitch.connectors import find_connector, parse_properties\n"
        f"find_connector({kind!r}, {type_name!r})\n"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert not modules & {"pyarrow", "duckdb", "datafusion", "boto3", "obstore", "adbc_driver_postgresql", "rich"}
    assert len({name for name in modules if name.startswith("lockstitch") and name.endswith(".spec")}) == 1
