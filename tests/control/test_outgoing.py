"""Which hosts a job may connect to."""

from __future__ import annotations

import os
from typing import Any

import pytest

from lockstitch.control.messages import Assignment
from lockstitch.control.outgoing import refusal
from lockstitch.toolkit.addresses import ENVIRONMENT, AddressRefused


def into(host: str) -> Assignment:
    return Assignment(kind="check", home="", destination_type="postgres", destination_properties={"host": host})


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.delenv("PGHOSTADDR", raising=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "::1", "/var/run/postgresql", "2130706433"]
)
def test_hosts_near_the_server_are_refused_with_what_mends_it(host: str) -> None:
    error = refusal(into(host))
    assert isinstance(error, AddressRefused)
    assert ENVIRONMENT in (error.hint or "")


def test_what_the_operator_allows_is_reached_at_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "127.0.0.0/8,::1/128")
    assert refusal(into("localhost")) is None
    assert os.environ["PGHOSTADDR"] in ("127.0.0.1", "::1")


@pytest.mark.parametrize("properties", [{"endpoint_url": "http://127.0.0.1:9000"}, {"endpoint_url": "http://[::1]/"}])
def test_the_host_of_an_address_is_judged(properties: dict[str, Any]) -> None:
    assignment = Assignment(kind="run", home="", source_type="platform.heap", source_properties=properties)
    assert isinstance(refusal(assignment), AddressRefused)


def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    error = refusal(into("no-such-host.invalid"))
    assert error is not None
    assert error.verdict == "retry"


def test_what_names_no_host_is_not_judged() -> None:
    assignment = Assignment(
        kind="run", home="", source_type="platform.heap", source_properties={"bucket_url": "file:///x"}
    )
    assert refusal(assignment) is None
