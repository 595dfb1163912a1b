"""Accounts, sessions and OAuth: `spec/connect-api.md` sections 2 and 3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.calling import Account, Served, now

from lockstitch.control import accounts, tokens
from lockstitch.control.store.tables import tokens as token_table

CALLBACKS = ["https://partner.example/callback", "https://partner.example/second?a=b"]


@dataclass(frozen=True)
class Partner:
    served: Served
    id: str
    secret: str

    def body(self, **more: Any) -> dict[str, Any]:
        return {
            "partner_id": self.id,
            "partner_secret": self.secret,
            "first_name": "Ada",
            "last_name": "Lovelace",
            "company": "Analytical Engines",
            "email": f"ada{self.secret[:9]}@example.com",
            "region": "us-east-1",
            **more,
        }

    def create(self, body: Any, status: int = 200) -> Any:
        answer = self.served.client.post("/v3/accounts", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def code(self, account: Account, **more: Any) -> str:
        with self.served.server.write() as db:
            return accounts.authorize(db, self.id, account.id, now(), **more)

    def exchange(self, code: str, status: int = 200, **more: Any) -> Any:
        form = {"client_secret": self.secret, "code": code, "grant_type": "authorization_code", **more}
        answer = self.served.client.post("/oauth/token", data=form)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def partner(served: Served) -> Partner:
    with served.server.write() as db:
        return Partner(served, *accounts.make_partner(db, "Partner", CALLBACKS, now()))


# --- POST /v3/accounts ------------------------------------------------------------------------------------------------


def test_a_partner_makes_an_account_and_gets_its_token(served: Served, partner: Partner):
    made = partner.create(partner.body())
    assert set(made) == {"access_token", "stitch_account_id"}
    account = Account(served, made["stitch_account_id"], made["access_token"])
    assert account.import_source()["stitch_client_id"] == account.id


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_both_regions_are_known_and_the_first_is_the_default(partner: Partner, region: str):
    partner.create(partner.body(region=region))
    without = partner.body(email=f"{region}{partner.secret[:5]}@example.com")
    del without["region"]
    partner.create(without)


def test_an_email_is_used_once_whatever_its_case(partner: Partner):
    partner.create(partner.body())
    for email in (partner.body()["email"], partner.body()["email"].upper()):
        assert partner.create(partner.body(email=email), 400) == {
            "code": "ExistingUser",
            "message": "This email address is already associated with an active user.",
        }


def invalid(errors: Mapping[str, str]) -> dict[str, Any]:
    return {"code": "BadRequest", "message": "Invalid form data.", "errors": dict(errors)}


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"partner_id": None}, {}),
        ({"first_name": 5}, {}),
        ({"partner_id": ""}, {"partner_id": "required"}),
        ({"partner_id": "oc_unknown"}, {"partner_id": "required"}),
        ({"partner_secret": "oc_wrong"}, {"partner_secret": "required"}),
        ({"partner_secret": "  "}, {"partner_secret": "required"}),
        ({"region": "mars-north-1"}, {"region": "invalid"}),
        ({"company": ""}, {"company": "required"}),
        ({"email": "nobody"}, {"email": "invalid"}),
        ({"email": "a@b.cd" + "d" * 250}, {"email": "invalid"}),
        ({"first_name": "", "last_name": ""}, {"first_name": "required", "last_name": "required"}),
    ],
)
def test_an_account_that_is_not_wanted_is_refused(partner: Partner, more: dict[str, Any], errors: dict[str, str]):
    assert partner.create(partner.body(**more), 400) == invalid(errors)


@pytest.mark.parametrize("field", ["partner_id", "partner_secret", "first_name", "last_name", "email", "company"])
def test_a_missing_field_is_named(partner: Partner, field: str):
    body = partner.body()
    del body[field]
    assert partner.create(body, 400) == invalid({field: "required"})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b'{"first_name":"\\u0000"}', b"\xff"])
def test_a_body_that_is_no_form_is_malformed(served: Served, content: bytes):
    answer = served.client.post("/v3/accounts", content=content)
    assert (answer.status_code, answer.json()) == (400, invalid({}))


# --- POST /v3/sessions/ephemeral --------------------------------------------------------------------------------------


def test_an_ephemeral_token_works_once_within_an_hour(served: Served, account: Account):
    first, second = (account.call("POST", "/v3/sessions/ephemeral") for _ in range(2))
    assert set(first) == {"ephemeral_token"}
    with served.server.write() as db:
        found = tokens.spend(db, first["ephemeral_token"], "ephemeral", now() + timedelta(minutes=59))
        assert found is not None
        assert found.account_id == account.id
        assert tokens.spend(db, first["ephemeral_token"], "ephemeral", now()) is None
        assert tokens.spend(db, second["ephemeral_token"], "ephemeral", now() + timedelta(minutes=61)) is None


def test_tokens_that_are_over_do_not_pile_up(served: Served, account: Account):
    own = (token_table.c.account_id == account.id, token_table.c.kind == "ephemeral")
    for _ in range(3):
        account.call("POST", "/v3/sessions/ephemeral")
    with served.server.write() as db:
        db.execute(sa.update(token_table).where(*own).values(expires_at=now()))
    account.call("POST", "/v3/sessions/ephemeral")
    with served.server.read() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(token_table).where(*own)).scalar() == 1
    assert account.call("GET", "/v4/sources") == []  # what never expires stays


def test_an_ephemeral_token_needs_a_token(served: Served):
    assert served.client.post("/v3/sessions/ephemeral").status_code == 401


# --- OAuth ------------------------------------------------------------------------------------------------------------


def test_a_code_is_exchanged_for_a_permanent_token_once(served: Served, partner: Partner, account: Account):
    code = partner.code(account)
    told = partner.exchange(code)
    assert told == {"token_type": "bearer", "access_token": told["access_token"], "stitch_account_id": account.id}
    assert Account(served, account.id, told["access_token"]).call("GET", "/v4/sources") == []
    assert partner.exchange(code, 400) == {"error": "invalid_grant"}


def test_an_exchange_may_be_json_and_name_the_partner(served: Served, partner: Partner, account: Account):
    body = {"client_id": partner.id, "client_secret": partner.secret, "grant_type": "authorization_code"}
    answer = served.client.post("/oauth/token", json={**body, "code": partner.code(account)})
    assert answer.json()["stitch_account_id"] == account.id
    assert answer.headers["cache-control"] == "no-store"


def test_a_code_dies_after_five_minutes(served: Served, partner: Partner, account: Account):
    code = partner.code(account)
    late = now() - timedelta(minutes=5, seconds=1)
    with served.server.write() as db:
        db.execute(
            sa.update(token_table)
            .where(token_table.c.kind == "code", token_table.c.account_id == account.id)
            .values(created_at=late, expires_at=late + timedelta(minutes=5))
        )
    assert partner.exchange(code, 400) == {"error": "invalid_grant"}


def test_what_is_wrong_with_an_exchange_is_said_as_rfc_6749_does(served: Served, partner: Partner, account: Account):
    code = partner.code(account)
    assert partner.exchange("unknown", 400) == {"error": "invalid_grant"}
    assert partner.exchange("", 400) == {"error": "invalid_grant"}
    assert partner.exchange(account.token, 400) == {"error": "invalid_grant"}
    assert partner.exchange(code, 401, client_secret="oc_wrong") == {"error": "invalid_client"}
    assert partner.exchange(code, 401, client_id="oc_other") == {"error": "invalid_client"}
    assert partner.exchange(code, 400, grant_type="password") == {"error": "unsupported_grant_type"}
    assert served.client.post("/oauth/token").json() == {"error": "unsupported_grant_type"}
    with served.server.write() as db:
        other = Partner(served, *accounts.make_partner(db, "Other", [], now()))
    assert other.exchange(code, 400) == {"error": "invalid_grant"}
    assert partner.exchange(code)["stitch_account_id"] == account.id  # none of these has spent it


def test_a_code_with_a_challenge_needs_its_verifier(partner: Partner, account: Account):
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    code = partner.code(account, challenge=challenge, method="S256")
    assert partner.exchange(code, 400) == {"error": "invalid_grant"}
    assert partner.exchange(code, 400, code_verifier=challenge) == {"error": "invalid_grant"}
    partner.exchange(code, code_verifier=verifier)
    plain = partner.code(account, challenge=verifier)
    assert partner.exchange(plain, 400, code_verifier="x") == {"error": "invalid_grant"}
    partner.exchange(plain, code_verifier=verifier)


def test_an_answer_goes_to_registered_addresses_alone(served: Served, partner: Partner):
    with served.server.read() as db:
        assert accounts.callback_of(db, partner.id, None) == CALLBACKS[0]
        assert accounts.callback_of(db, partner.id, CALLBACKS[1]) == CALLBACKS[1]
        assert accounts.callback_of(db, partner.id, CALLBACKS[0] + "/") is None
        assert accounts.callback_of(db, "oc_unknown", None) is None
