"""One HTTP client for all sources: authorised, within the vendor's limits, patient, and clear about what failed."""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import httpx2
import msgspec

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.toolkit.addresses import CONFINED, Allowed
from lockstitch.toolkit.checked_http import CheckedTransport
from lockstitch.toolkit.http.limits import allowance, retry_after, server_time
from lockstitch.toolkit.http.quota import Quota
from lockstitch.toolkit.meanings import Meaning

_log = logging.getLogger(__name__)
# It logs each address with its query, which may hold what must not be shown; we log without.
logging.getLogger("httpx2").setLevel(logging.WARNING)

T = TypeVar("T")
Params = Mapping[str, str | int]


#: What statuses mean anywhere; a source's own table comes first. For the words see `Answer.meant`; `{base_url}`, too.
MEANINGS: Mapping[int, Meaning] = {
    **dict.fromkeys(
        (301, 302, 303, 307, 308),
        Meaning(SettingsError, "{place} leads elsewhere ({status}): {detail}", "correct the address of the API"),
    ),
    400: Meaning(SourceDataError, "{place} answers 400: {detail}", "the request is not what the API expects"),
    401: Meaning(AccessError, "{place} refuses the credentials (401): {detail}", "make new ones and set them"),
    403: Meaning(AccessError, "{place} may not be read (403): {detail}", "give the credentials the rights to read it"),
    404: Meaning(SettingsError, "{place} is not there (404): {detail}", "correct the address of the API"),
    405: Meaning(SettingsError, "{place} takes no such request (405): {detail}", "correct the address of the API"),
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a request is repeated. Times are in seconds.

    Failures (the network, `statuses`) are repeated `tries` times in all, after waits that grow from `first` by
    `factor` to `most`, with jitter, or as long as Retry-After says. Being asked to wait by a 429 is no failure; where
    it does not say for how long, waits grow in the same way from `unsaid`. All waits of one request together stay
    within `budget`.
    """

    tries: int = 6
    first: float = 1.0
    factor: float = 2.0
    most: float = 60.0
    budget: float = 900.0
    unsaid: float = 5.0
    statuses: frozenset[int] = frozenset({408, 500, 502, 503, 504, 520, 521, 522, 523, 524})

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after so many failures; at random, so that many do not come back at once."""
        return min(self.first * self.factor ** (failures - 1), self.most) * random.uniform(0.5, 1.0)

    def wait_unsaid(self, before: int) -> float:
        """Return the seconds to wait where a 429 does not say, after so many such waits; never less than `unsaid`."""
        return max(self.unsaid, min(self.unsaid * self.factor**before, self.most) * random.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came. `place` is method and path, without the query, which may hold what must not be shown."""

    place: str
    status: int
    headers: httpx2.Headers
    body: bytes

    def detail(self) -> str:
        """Return what the body says, short."""
        try:
            said = json.loads(self.body)
        except ValueError:
            said = self.body.decode("utf-8", "replace")
        for name in ("error", "message", "detail", "error_description"):
            inner = cast("Mapping[str, Any]", said).get(name) if isinstance(said, dict) else None
            if inner:
                said = inner
        text = said if isinstance(said, str) else json.dumps(said)
        return " ".join(text.split())[:300] or "nothing more"

    def meant(self, meaning: Meaning, **words: str) -> LockstitchError:
        """Return the error, with this answer's `{place}`, `{status}` and `{detail}`, and further words."""
        return meaning.told(place=self.place, status=self.status, detail=self.detail(), **words)


@dataclass(frozen=True, slots=True)
class Form:
    """A request's body as the fields of a form; any other body is sent as JSON."""

    fields: Mapping[str, str] = field(repr=False)


@dataclass(slots=True)
class Api:
    """A vendor's API.

    `authorize` gives the headers of the next request; after a 401 it is asked once more with `renew=True` where
    `can_renew`. `asked_to_wait` finds seconds that a 429 says elsewhere than in its headers.
    """

    base_url: str
    authorize: Callable[[bool], Mapping[str, str]] = lambda _: {}
    can_renew: bool = False
    quota: Quota | None = None
    patience: Patience = field(default_factory=Patience)
    meanings: Mapping[int, Meaning] = field(default_factory=dict[int, Meaning])
    asked_to_wait: Callable[[Answer], float | None] = lambda _: None
    timeout: float = 30.0
    #: The most that one answer may take from its first byte to its last, and the most bytes it may have.
    seconds: float = 600.0
    most_bytes: int = 512 << 20
    user_agent: str = "lockstitch"
    sleep: Callable[[float], None] = time.sleep
    #: When the last answer was given, by the server's own clock: never later than it was. None before the first.
    told: datetime | None = None
    _client: httpx2.Client | None = None

    def get(self, path: str, params: Params | None = None, *, accept: frozenset[int] = frozenset()) -> Answer:
        """Return the answer. A status that is no success raises its meaning's error, but for those in `accept`."""
        return self.request("GET", path, params, accept=accept)

    def json(
        self, path: str, kind: type[T], params: Params | None = None, *, method: str = "GET", body: object = None
    ) -> T:
        """Return the answer's JSON as `kind`. One that is cut or no JSON at all is asked for again."""
        decoder = msgspec.json.Decoder(kind)
        decoded: list[T] = []

        def read(answer: Answer) -> None:
            decoded[:] = [decoder.decode(answer.body)]

        self.request(method, path, params, body=body, read=read)
        return decoded[0]

    def request(  # noqa: PLR0913 - each says one thing of the request, by its name
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        body: object = None,
        accept: frozenset[int] = frozenset(),
        read: Callable[[Answer], None] = lambda _: None,
        counts_as: int = 1,
    ) -> Answer:
        """Send a request until it is answered for good; `read` may raise msgspec.DecodeError for a broken answer.

        `counts_as` so many the quota takes it.
        """
        request = _Request(method, path, params, body, counts_as)
        trial = Trial(self, f"{method} {path}")
        while True:
            try:
                answer = self._sent(request, renew=trial.is_to_renew())
                if trial.is_final(answer, accept):
                    read(answer)
                    return answer
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise SettingsError(f"{trial.place}: {error}", hint="correct the address of the API") from error
            except httpx2.LocalProtocolError as error:
                # It may quote a header, and so the credentials.
                trial.failed(f"{trial.place}: {type(error).__name__}", None)
            except httpx2.HTTPError as error:
                trial.failed(f"{trial.place}: {str(error) or type(error).__name__}", error)
            except msgspec.DecodeError as error:
                trial.failed(f"{trial.place} answers with what is not the expected JSON: {error}", error)

    @contextmanager
    def stream(
        self, method: str, url: str, params: Params | None = None, *, headers: Mapping[str, str]
    ) -> Generator[httpx2.Response]:
        """Open an answer whose body is read piece by piece; nothing is repeated, and errors are the client's own.

        A whole address instead of a path is a signed one: it is asked without our credentials.
        """
        if self.quota is not None:
            self.quota.take()
        sent = {**self.authorize(False), **headers} if "://" not in url else dict(headers)
        with self._http().stream(method, url, params=dict(params) if params else None, headers=sent) as response:
            yield response

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _http(self) -> httpx2.Client:
        if self._client is None:
            transport = CheckedTransport(Allowed.from_environment()) if CONFINED in os.environ else None
            self._client = httpx2.Client(
                base_url=self.base_url,
                headers={"User-Agent": self.user_agent, "Accept": "application/json"},
                timeout=self.timeout,
                transport=transport,
            )
        return self._client

    def _sent(self, request: _Request, *, renew: bool) -> Answer:
        if self.quota is not None:
            self.quota.take(request.counts_as)
        begun, begun_at = time.monotonic(), datetime.now(UTC)
        content: dict[str, Any] = {} if request.body is None else {"json": request.body}
        if isinstance(request.body, Form):
            content = {"data": dict(request.body.fields)}
        with self._http().stream(
            request.method,
            request.path,
            params=dict(request.params) if request.params else None,
            headers=dict(self.authorize(renew)),
            **content,
        ) as response:
            body = self._body(response, f"{request.method} {request.path}", begun)
        self.told = server_time(response.headers) or begun_at
        answer = Answer(f"{request.method} {request.path}", response.status_code, response.headers, body)
        took = time.monotonic() - begun
        _log.info("%s: %s, %s bytes in %.2f s", answer.place, answer.status, len(body), took)
        return answer

    def _body(self, response: httpx2.Response, place: str, begun: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self.most_bytes:
                raise SourceDataError(
                    f"{place} answers with more than {self.most_bytes >> 20} MiB", hint="ask for smaller pages"
                )
            if time.monotonic() - begun > self.seconds:
                raise httpx2.ReadTimeout(f"the answer was not complete after {self.seconds:g} s")
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: Params | None
    body: object
    counts_as: int


@dataclass(slots=True)
class Trial:
    """One request and its repetitions."""

    api: Api
    place: str
    renews: bool = False
    renewed: bool = False
    failures: int = 0
    unsaid: int = 0
    waited: float = 0.0

    def is_to_renew(self) -> bool:
        """Tell whether the next request needs new credentials: the first one after a 401, and no other."""
        renews, self.renews = self.renews, False
        return renews

    def is_final(self, answer: Answer, accept: frozenset[int]) -> bool:
        """Tell whether an answer is one to go on with; wait, or raise what it means, where it is not."""
        left = allowance(answer.headers)
        if left.remaining == 0 and left.reset is not None:
            self._block(min(max(left.reset, 1.0), self.api.patience.budget))
        if answer.status < 300 or answer.status in accept:
            return True
        if answer.status == 401 and self.api.can_renew and not self.renewed:
            self.renews = self.renewed = True
            return False
        # "Retry-After: 0" names no time: to ask again at once would fail again, as often as may be.
        asked = retry_after(answer.headers) or None
        if answer.status == 429:
            self._wait(asked or self.api.asked_to_wait(answer) or self._unsaid(), answer)
        elif answer.status in self.api.patience.statuses:
            self.failed(f"{answer.place} answers {answer.status}: {answer.detail()}", None, asked)
        else:
            raise self._meaning(answer)
        return False

    def _meaning(self, answer: Answer) -> LockstitchError:
        meaning = self.api.meanings.get(answer.status) or MEANINGS.get(answer.status)
        if meaning is None:
            kind = TransientError if answer.status >= 500 else SourceDataError
            return kind(f"{answer.place} answers {answer.status}: {answer.detail()}", hint="look into the API's pages")
        return answer.meant(meaning, base_url=self.api.base_url)

    def failed(self, text: str, cause: BaseException | None, asked: float | None = None) -> None:
        """Wait before another try, or raise where there were enough of them."""
        self.failures += 1
        if self.failures >= self.api.patience.tries:
            raise TransientError(f"{text} (tried {self.failures} times)", retry_after=asked) from cause
        self._pause(asked if asked is not None else self.api.patience.wait(self.failures), text)

    def _unsaid(self) -> float:
        self.unsaid += 1
        return self.api.patience.wait_unsaid(self.unsaid - 1)

    def _wait(self, seconds: float, answer: Answer) -> None:
        self._block(seconds)
        self._pause(seconds, f"{answer.place} answers 429")

    def _pause(self, seconds: float, text: str) -> None:
        self.waited += seconds
        if self.waited > self.api.patience.budget:
            raise TransientError(f"{text}, and asks to wait {seconds:g} s more", retry_after=seconds)
        _log.info("%s; trying again in %.1f s", text, seconds)
        self.api.sleep(seconds)

    def _block(self, seconds: float) -> None:
        """Let all who share the quota wait, not only this request."""
        if self.api.quota is not None:
            self.api.quota.block(seconds)
