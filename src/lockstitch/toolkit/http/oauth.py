"""OAuth 2 tokens (RFC 6749) that all processes of the machine share: by client credentials, or by a refresh token.

What a vendor has given lies in a file of its owner's below the home folder, and is changed under a lock. So no two
processes refresh at once, and a refresh token that the vendor has replaced is not lost: it is kept before it is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from lockstitch.core.errors import AccessError, SourceDataError
from lockstitch.toolkit.durable_files import write_whole
from lockstitch.toolkit.http.client import Answer, Api, Form, Patience
from lockstitch.toolkit.meanings import Meaning

_FOLDER = "tokens"
#: Seconds before its end at which a token is renewed, or a tenth of its life where that is shorter.
_MARGIN = 60.0

_REFUSED = Meaning(
    AccessError,
    "{place} gives no token ({status}): {detail}",
    "the client, its secret or the refresh token is wrong or was revoked: make new ones and set them",
)
_MEANINGS = {status: _REFUSED for status in (400, 401, 403)}


@dataclass(frozen=True, slots=True)
class Grant:
    """What tokens are asked for with. Without a `refresh_token` it is client credentials."""

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""

    def form(self, refresh_token: str) -> dict[str, str]:
        """Return the request for a token."""
        kind = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        fields = {
            **(kind if refresh_token else {"grant_type": "client_credentials"}),
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": self.scope,
        }
        return {name: value for name, value in fields.items() if value}


class _Given(msgspec.Struct):
    """What a vendor answers."""

    access_token: str
    expires_in: float | None = None
    refresh_token: str | None = None


class _Kept(msgspec.Struct):
    """What the file keeps. `ends` is in Unix seconds, None where the vendor has not said."""

    access_token: str = ""
    refresh_token: str = ""
    ends: float | None = None

    def holds(self, now: float) -> bool:
        return bool(self.access_token) and (self.ends is None or now < self.ends)


class Tokens:
    """The tokens of one account. Give `headers` to `Api.authorize`, with `can_renew`."""

    def __init__(self, home: Path, grant: Grant, *, patience: Patience | None = None) -> None:
        self._grant = grant
        account = "\0".join((grant.token_url, grant.client_id, grant.client_secret, grant.refresh_token, grant.scope))
        name = hashlib.blake2b(account.encode(), digest_size=16, person=b"lockstitch token").hexdigest()
        self._path = home / _FOLDER / name
        self._used = ""
        self._patience = patience or Patience(budget=120.0)

    def headers(self, renew: bool) -> Mapping[str, str]:
        """Return the header with a token. `renew`: the one given last was refused, so there has to be another."""
        kept = self._read()
        if not kept.holds(time.time()) or (renew and kept.access_token == self._used):
            kept = self._renewed(refused=self._used if renew else None)
        self._used = kept.access_token
        return {"Authorization": f"Bearer {kept.access_token}"}

    def _renewed(self, refused: str | None) -> _Kept:
        with self._locked():
            # Another process may have been faster.
            kept = self._read()
            if kept.holds(time.time()) and kept.access_token != refused:
                return kept
            refresh_token = kept.refresh_token or self._grant.refresh_token
            asked_at = time.time()
            given = self._ask(refresh_token)
            life = given.expires_in
            new = _Kept(
                given.access_token,
                given.refresh_token or refresh_token,
                None if life is None else asked_at + life - min(_MARGIN, life / 10),
            )
            write_whole(self._path, msgspec.json.encode(new))
            return new

    def _ask(self, refresh_token: str) -> _Given:
        found: list[_Given] = []

        def read(answer: Answer) -> None:
            try:
                found[:] = [msgspec.json.decode(answer.body, type=_Given, strict=False)]
            except msgspec.ValidationError as error:
                raise SourceDataError(
                    f"{answer.place} answers without a token: {error}", hint="correct the address that gives tokens"
                ) from None

        address = urlsplit(self._grant.token_url)
        path = urlunsplit(("", "", address.path or "/", address.query, ""))
        # Tokens are asked for so seldom that no connection is kept for it.
        with closing(Api(f"{address.scheme}://{address.netloc}", meanings=_MEANINGS, patience=self._patience)) as api:
            api.request("POST", path, body=Form(self._grant.form(refresh_token)), read=read)
        return found[0]

    @contextmanager
    def _locked(self) -> Generator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> _Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except msgspec.DecodeError as error:
            raise AccessError(
                f"{self._path} does not hold the tokens that were kept in it: {error}",
                hint="remove it, and set a new refresh token if there was one",
            ) from None
