"""Connection types: `spec/connect-api.md` sections 4.1 and 5. What the cards hold is proved beside the catalogue."""

from __future__ import annotations

import pytest
from tests.api.calling import Account, Served


def test_all_source_types_are_listed_and_each_is_answered_alone(account: Account):
    listed = account.call("GET", "/v4/source-types")
    by_type = {one["type"]: one for one in listed}
    assert len(by_type) == len(listed) >= 228
    for name in ("platform.hubspot", "import_api", "platform.mysql", "hubspot"):
        assert account.call("GET", f"/v4/source-types/{name}") == by_type[name]
    hubspot = by_type["platform.hubspot"]
    assert list(hubspot) == ["type", "current_step", "current_step_type", "steps", "details", "upgrade_available"]
    assert hubspot["upgrade_available"] is None
    assert by_type["platform.mysql"]["upgrade_available"] == {"type": "platform.hp-mysql"}
    assert by_type["import_api"]["current_step_type"] == "fully_configured"
    assert by_type["platform.heap"]["details"]["access"] is True


def test_destination_types_come_in_the_documented_order(account: Account):
    listed = account.call("GET", "/v4/destination-types")
    documented = ["azure_sqldw", "redshift", "postgres", "snowflake", "s3", "storagegrid"]
    assert [one["type"] for one in listed if one["type"] in documented] == documented
    card = account.call("GET", "/v4/destination-types/redshift")
    assert card == next(one for one in listed if one["type"] == "redshift")
    assert (card["current_step"], card["current_step_type"]) == (1, "form")
    assert [step["type"] for step in card["steps"]] == ["form", "fully_configured"]
    assert "upgrade_available" not in card


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v4/source-types/platform.nothing",
            {"error": "InvalidType", "data": {"message": "invalid source type (platform.nothing)"}},
        ),
        (
            "/v4/destination-types/nothing",
            {"error": "NotFound", "data": {"message": "invalid destination type (nothing)"}},
        ),
    ],
)
def test_an_unknown_type_is_not_found(account: Account, path: str, body: object):
    assert account.call("GET", path, status=404) == body


def test_types_need_a_token(served: Served):
    for path in ("/v4/source-types", "/v4/source-types/import_api", "/v4/destination-types"):
        assert served.client.get(path).status_code == 401
