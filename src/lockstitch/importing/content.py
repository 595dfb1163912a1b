"""A request's headers and bytes: what kind of body it is, unpacked, and not too large."""

from __future__ import annotations

import zlib
from typing import Literal

from lockstitch.importing.answers import (
    BATCH_CONTENT_TYPE,
    Refused,
    content_encoding,
    malformed,
    push_content_type,
    too_large,
)
from lockstitch.importing.limits import BODY_BYTES

Media = Literal["json", "transit"]

_MEDIA: dict[str, Media] = {"application/json": "json", "application/transit+json": "transit"}

#: zlib's window bits for gzip.
_GZIP = 31
_PIECE = 16_384


def media_type(content_type: str | None) -> str:
    """Return the media type of a Content-Type header, without parameters; "" where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def push_media(content_type: str | None) -> Media:
    """Return how a body of push or validate is written. Raises Refused (415)."""
    given = media_type(content_type)
    if given not in _MEDIA:
        raise Refused(push_content_type(given))
    return _MEDIA[given]


def expect_batch_media(content_type: str | None) -> None:
    """Raise Refused (415) unless the body of a batch is JSON."""
    if media_type(content_type) != "application/json":
        raise Refused(BATCH_CONTENT_TYPE)


def unpacked(body: bytes, encoding: str | None) -> bytes:
    """Return the body's own bytes, at most 20,000,000; `encoding` is the Content-Encoding header.

    Raises Refused: 413 for more, 400 for what is no gzip, 415 for another encoding.
    """
    encoding = (encoding or "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        body = _gunzipped(body)
    elif encoding != "identity":
        raise Refused(content_encoding(encoding))
    if len(body) > BODY_BYTES:
        raise Refused(too_large(len(body)))
    return body


def _gunzipped(body: bytes) -> bytes:
    """Unpack all members, but never much more than the limit: a small body can hold a huge one.

    It goes in pieces, as what follows a member is copied: a body can be thousands of tiny members.
    """
    parts: list[bytes] = []
    size = 0
    rest = memoryview(body)
    while rest:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            if not rest:
                raise Refused(malformed("gzip", "the stream is cut off"))
            piece = rest[:_PIECE]
            try:
                parts.append(member.decompress(piece, BODY_BYTES + 1 - size))
            except zlib.error as error:
                raise Refused(malformed("gzip", str(error))) from error
            rest = rest[len(piece) - len(member.unused_data) :]
            size += len(parts[-1])
            if size > BODY_BYTES:
                raise Refused(too_large(size))
    return b"".join(parts)
