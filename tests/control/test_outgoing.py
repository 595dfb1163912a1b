"""Which hosts a job may connect to."""

from __future__ import annotations

import os
from typing import Any

import pytest

from lockstitch.control.messages import Assignment
from lockstitch.control.outgoing import confined
from lockstitch.core.errors import TransientError
from lockstitch.toolkit.addresses import ENVIRONMENT, AddressRefused


def into(host: str) -> Assignment:
    return Assignment(kind="check", home="", destination_type="postgres", destination_properties={"host": host})


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


NEAR = ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "::1", "/var/run/postgresql", "@socket", "2130706433"]


@pytest.mark.parametrize("host", NEAR)
def test_hosts_near_the_server_are_refused_with_what_mends_it(host: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        confined(into(host))
    assert ENVIRONMENT in (refused.value.hint or "")


def test_what_the_operator_allows_is_reached_at_the_addresses_that_were_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "127.0.0.0/8,::1/128")
    before = dict(os.environ)
    found = confined(into("localhost")).destination_properties["hostaddr"].split(",")
    assert set(found) <= {"127.0.0.1", "::1"}
    # Other connections of the job, to the inbox say, are not led there.
    assert dict(os.environ) == before


@pytest.mark.parametrize("host", ["192.0.2.1", "/var/run/postgresql"])
def test_an_address_that_a_user_sends_along_counts_for_nothing(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "192.0.2.0/24,127.0.0.1/32")
    values = {"host": host, "hostaddr": "10.0.0.1"}
    assignment = Assignment(kind="check", home="", destination_type="postgres", destination_properties=values)
    assert confined(assignment).destination_properties.get("hostaddr") in (host, None)


@pytest.mark.parametrize("properties", [{"endpoint_url": "http://127.0.0.1:9000"}, {"endpoint_url": "http://[::1]/"}])
def test_the_host_of_a_url_is_judged(properties: dict[str, Any]) -> None:
    assignment = Assignment(kind="run", home="", source_type="platform.heap", source_properties=properties)
    with pytest.raises(AddressRefused):
        confined(assignment)


def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    with pytest.raises(TransientError):
        confined(into("no-such-host.invalid"))


def test_what_names_no_host_stays_as_it_is() -> None:
    assignment = Assignment(
        kind="run", home="", source_type="platform.heap", source_properties={"bucket_url": "file:///x"}
    )
    assert confined(assignment).source_properties == {"bucket_url": "file:///x"}
