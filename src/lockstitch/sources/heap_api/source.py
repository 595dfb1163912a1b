"""The stream `user`: all profiles that are asked for, each time anew (`spec/source-heap.md` section 14.3)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from lockstitch.core.errors import AccessError, SettingsError, SourceDataError
from lockstitch.core.model import (
    Batch,
    Checkpoint,
    Field,
    Json,
    Lane,
    Message,
    Part,
    Publish,
    Selected,
    Stream,
    Version,
)
from lockstitch.sources.heap_api.spec import Properties
from lockstitch.toolkit.databases import Database
from lockstitch.toolkit.http.client import Answer, Api, Patience
from lockstitch.toolkit.http.oauth import Grant, Tokens
from lockstitch.toolkit.meanings import Meaning

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

_PATH = "/user"
_USER = Stream("user", (Field("identity", inclusion="automatic"),), ("identity",), "FULL_TABLE")
#: Profiles of one batch.
_BATCH = 500
PATIENCE = Patience(tries=8, unsaid=1.0)

_MEANINGS: Mapping[int, Meaning] = {
    400: Meaning(SourceDataError, "{place} answers 400: {detail}", "correct the identities"),
    401: Meaning(AccessError, "Heap refuses the token: {detail} ({place})", "make a new one and set it"),
    405: Meaning(SettingsError, "{base_url} takes no {place} (405): {detail}", "correct base_url"),
}


class _Found(msgspec.Struct):
    user: dict[str, Any]


class HeapUsers:
    """Looks up the profiles of the identities in the settings, or in `database`."""

    new_fields: ClassVar[Literal["add", "report"]] = "add"

    def __init__(self, properties: Properties, database: Database | None, home: Path) -> None:
        self._whose = properties.identities
        self._database = database
        self._base_url = properties.base_url.rstrip("/")
        self._wanted: Selected | None = None
        self._api = Api(
            self._base_url,
            authorize=_authorize(properties, self._base_url, home),
            can_renew=properties.access_token is None,
            meanings=_MEANINGS,
            patience=PATIENCE,
        )

    def check(self) -> None:
        """Look up the first identity, if there is one; that there is no such user is an answer, too."""
        for identity in self._identities()[:1]:
            self._profile(identity)

    def discover(self) -> Sequence[Stream]:
        return [_USER]

    def lanes(self, wanted: Sequence[Selected]) -> Sequence[Lane]:
        self._wanted = next(iter(wanted), None)
        return [Lane(_USER.name, (_USER.name,), "repeats")] if wanted else []

    def parts(self, lane: Lane, cursor: Json) -> Sequence[Part]:
        del lane, cursor
        return ()

    def committed(self, lane: Lane, cursor: Json) -> None:
        del lane, cursor  # nothing is ever written to Heap

    def close(self) -> None:
        self._api.close()

    def read(self, lane: Lane, cursor: Json) -> Iterator[Message]:
        """Yield all profiles as a new version, which replaces the one before."""
        del lane  # there is one only
        version = max(time.time_ns() // 1_000_000, _version(cursor) + 1)
        yield Version(_USER.name, version)
        missing = 0
        identities = self._identities()
        for first in range(0, len(identities), _BATCH):
            profiles = [self._profile(one) for one in identities[first : first + _BATCH]]
            found = [one for one in profiles if one is not None]
            missing += len(profiles) - len(found)
            if found:
                yield Batch(_USER.name, self._rows(found))
        if missing and missing == len(identities):
            raise SettingsError(
                f"{self._base_url} answers 404 to GET {_PATH} for every identity",
                hint="correct base_url, or the identities: they are case-sensitive",
            )
        if missing:
            _log.warning("%s of %s identities are not known to Heap", missing, len(identities))
        yield Publish(_USER.name, version)
        yield Checkpoint({"version": version})

    def _identities(self) -> Sequence[str]:
        """Return whose profiles are to be read, each once. Raises SettingsError for a query of several columns."""
        if self._database is None or not isinstance(self._whose, str):
            return list(dict.fromkeys(self._whose))
        sql = f"select * from ({self._whose.strip().rstrip(';')}\n) as identities"
        columns = self._database.columns(sql)
        if len(columns) != 1:
            raise SettingsError(
                f"the query of source.properties.identities has {len(columns)} columns",
                hint="select the identities alone",
            )
        found = [value for batch in self._database.rows(sql) for value in batch.column(0).to_pylist()]
        given = [str(value) for value in found if value is not None and value != ""]
        if len(given) < len(found):
            _log.warning("%s of %s rows have no identity to look up", len(found) - len(given), len(found))
        return list(dict.fromkeys(given))

    def _profile(self, identity: str) -> Mapping[str, Any] | None:
        """Return a user's profile, or None where there is no such user."""
        found: list[_Found] = []

        def read(answer: Answer) -> None:
            if answer.status == 200:
                try:
                    found[:] = [msgspec.json.decode(answer.body, type=_Found)]
                except msgspec.ValidationError as error:
                    raise SourceDataError(
                        f"{answer.place} answers with no user: {error}", hint="this is no API that is known; see docs"
                    ) from error

        self._api.request("GET", _PATH, {"identity": identity}, accept=frozenset({404}), read=read)
        return {**found[0].user, "identity": identity} if found else None

    def _rows(self, profiles: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        from lockstitch.toolkit.values import UnknownValue, batch_of

        wanted = self._wanted
        try:
            return batch_of(profiles, lambda name: wanted is None or wanted.wants(name))
        except UnknownValue as error:
            raise SourceDataError(f"field {error.place} of a user: {error}", hint="deselect the field") from error


def _authorize(properties: Properties, base_url: str, home: Path) -> Callable[[bool], Mapping[str, str]]:
    if properties.access_token is not None:
        headers = {"Authorization": f"Bearer {properties.access_token}"}
        return lambda _: headers
    token_url = properties.token_url or f"{base_url}/oauth/token"
    return Tokens(home, Grant(token_url, properties.client_id or "", properties.client_secret or "")).headers


def _version(cursor: Json) -> int:
    if cursor is None:
        return 0
    version = cursor.get("version") if isinstance(cursor, dict) and len(cursor) == 1 else None
    if not isinstance(version, int):
        raise SettingsError(f"the look-up cannot go on from {cursor!r}", hint="reset the stream user")
    return version
