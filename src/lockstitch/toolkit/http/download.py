"""Fetches a file of any size: to disk at full speed, on from where it was cut, and whole or not at all."""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import httpx2

from lockstitch.core.errors import SettingsError, SourceDataError, TransientError
from lockstitch.toolkit.http.client import Answer, Api, Params, Trial

_log = logging.getLogger(__name__)

GZIP = b"\x1f\x8b"

_UNPACKED = 1 << 20
#: Of an answer that is no file, so much is looked at.
_SAID = 64 << 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one file may have in bytes, one try may take in seconds, and how often it may come damaged."""

    most_bytes: int = 256 << 30
    seconds: float = 6 * 3600.0
    damaged: int = 3


def download(
    api: Api,
    url: str,
    target: Path,
    params: Params | None = None,
    *,
    accept: frozenset[int] = frozenset(),
    bounds: Bounds = Bounds(),
) -> Answer | None:
    """Write the body of a GET to `target`, byte by byte as it was sent; None is returned once it is there.

    An answer whose status is in `accept` is returned instead. A body that is gzip must have its end, and be undamaged.
    A cut one is gone on with where the server can do that and the file is still the same, and else fetched anew.
    Raises what its meaning is for a status, TransientError, and SourceDataError for a file that is always damaged.
    """
    trial = Trial(api, f"GET {_path(url)}")
    try:
        with target.open("wb") as file:
            part = _Part(file, bounds)
            while True:
                before = part.size
                try:
                    answer = _asked(api, url, params, trial.place, part)
                    if answer is None:
                        return None
                    if _is_final(trial, answer, accept, part):
                        return answer
                except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                    raise SettingsError(f"{trial.place}: {error}", hint="correct the address of the API") from error
                except httpx2.HTTPError as error:
                    if part.can_go_on and part.size > before:
                        trial.failures = 0  # as it comes nearer to the end each time
                    trial.failed(f"{trial.place}, {part.size} bytes: {str(error) or type(error).__name__}", error)
                except _DamagedError as error:
                    part.begin_anew(error)
                    trial.failed(f"{trial.place} gives a damaged gzip file: {error}", error)
    except OSError as error:
        raise TransientError(
            f"{trial.place} cannot be kept on disk: {error.strerror} ({target.parent})",
            hint="free some space below the home folder, or set LOCKSTITCH_HOME to a folder on a larger disk",
        ) from error


def _asked(api: Api, url: str, params: Params | None, place: str, part: _Part) -> Answer | None:
    """Return an answer that brings no file, or None once the file is whole."""
    with api.stream("GET", url, params, headers=part.request_headers()) as response:
        if response.status_code not in (200, 206):
            return Answer(place, response.status_code, response.headers, _beginning(response))
        part.take(response)
        return None


def _is_final(trial: Trial, answer: Answer, accept: frozenset[int], part: _Part) -> bool:
    if answer.status == 416 or (answer.status < 300 and answer.status not in accept):
        part.begin_anew()
        trial.failed(f"{trial.place} answers {answer.status} and gives no file", None)
        return False
    return trial.is_final(answer, accept)


class _DamagedError(Exception):
    """The bytes that came are no whole gzip file."""


@dataclass(slots=True)
class _Part:
    """What there is of the file so far."""

    file: BinaryIO
    bounds: Bounds
    size: int = 0
    #: What names this very content of the file, in the server's words; "" where it cannot be gone on with.
    validator: str = ""
    unpacking: _Gzip | None = None
    first: bytes = b""
    damaged: int = 0

    @property
    def can_go_on(self) -> bool:
        return bool(self.validator) and self.size > 0

    def request_headers(self) -> Mapping[str, str]:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self.can_go_on:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return headers

    def begin_anew(self, damage: _DamagedError | None = None) -> None:
        """Forget what there is; with `damage`, raise SourceDataError where it was not the first time."""
        self.damaged += damage is not None
        if damage is not None and self.damaged >= self.bounds.damaged:
            raise SourceDataError(
                f"a file came {self.damaged} times as gzip that is damaged: {damage}",
                hint="run again later; nothing of this file was loaded",
            ) from damage
        self.file.seek(0)
        self.file.truncate()
        self.size, self.validator, self.unpacking, self.first = 0, "", None, b""

    def take(self, response: httpx2.Response) -> None:
        """Add the body of an answer up to its end. Raises httpx2.HTTPError where it is cut, and _DamagedError."""
        begun = time.monotonic()
        if response.status_code == 206 and _begins_at(response) != self.size:
            self.begin_anew()
            raise httpx2.RemoteProtocolError("another range came than was asked for")
        if response.status_code == 200:
            if self.size:
                self.begin_anew()
            self.validator = _validator(response)
        for piece in response.iter_raw():
            self._add(piece)
            if time.monotonic() - begun > self.bounds.seconds:
                raise httpx2.ReadTimeout(f"the file was not complete after {self.bounds.seconds:g} s")
        if self.unpacking is not None and not self.unpacking.is_whole:
            raise _DamagedError("it has no end")
        _log.info("%s bytes in %.1f s", self.size, time.monotonic() - begun)

    def _add(self, piece: bytes) -> None:
        self.file.write(piece)
        if self.size < len(GZIP):
            self.first = piece = self.first + piece
            if piece.startswith(GZIP):
                self.unpacking = _Gzip()
        self.size = self.file.tell()
        if self.size > self.bounds.most_bytes:
            raise SourceDataError(
                f"a file has more than {self.bounds.most_bytes >> 30} GiB", hint="look at what the API gives"
            )
        if self.unpacking is not None:
            self.unpacking.feed(piece)


@dataclass(slots=True)
class _Gzip:
    """Unpacks what passes and forgets it: only so is a missing end or a wrong byte noticed."""

    is_whole: bool = False
    _member: zlib._Decompress | None = field(default_factory=lambda: zlib.decompressobj(31))

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file; after the end of a member come another one, or zeros."""
        while piece:
            if self._member is None:
                piece = piece.lstrip(b"\0")
                if not piece:
                    return
                self._member, self.is_whole = zlib.decompressobj(31), False
            try:
                unpacked = self._member.decompress(piece, _UNPACKED)
                while len(unpacked) == _UNPACKED and not self._member.unconsumed_tail:
                    unpacked = self._member.decompress(b"", _UNPACKED)
            except zlib.error as error:
                raise _DamagedError(str(error)) from error
            piece = self._member.unconsumed_tail
            if self._member.eof:
                piece = self._member.unused_data
                self._member, self.is_whole = None, True


def _path(url: str) -> str:
    """Return what messages may show of an address: a signature is in its query."""
    return re.sub(r"^\w+://[^/?]*", "", url).partition("?")[0]


def _validator(response: httpx2.Response) -> str:
    """Return what If-Range may name: a strong entity tag (RFC 9110 sections 13.1.5 and 14.3), or ""."""
    tag = response.headers.get("etag", "")
    ranges = response.headers.get("accept-ranges", "")
    return tag if ranges == "bytes" and tag.startswith('"') and "content-encoding" not in response.headers else ""


def _begins_at(response: httpx2.Response) -> int | None:
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("content-range", ""))
    return int(found[1]) if found else None


def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    for piece in response.iter_bytes(_SAID):
        body += piece
        if len(body) >= _SAID:
            break
    return body[:_SAID]
