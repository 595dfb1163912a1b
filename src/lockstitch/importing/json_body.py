"""Reads a JSON body to values in which every number keeps its digits."""

from __future__ import annotations

from typing import Any

import msgspec

from lockstitch.importing.answers import Refused, malformed, push_refused
from lockstitch.importing.limits import TOO_DEEP
from lockstitch.toolkit.exact import exact_number

_DECODER = msgspec.json.Decoder(float_hook=exact_number)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises Refused for anything else, or where it is nested too deep."""
    try:
        return _DECODER.decode(body)
    except RecursionError as error:
        raise Refused(push_refused(TOO_DEEP)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(malformed("json", _told(error, body))) from error


def _told(error: Exception, body: bytes) -> str:
    """Say where a body stops being JSON, in the documented words."""
    at = _position(error, body)
    before = body[:at].decode("utf-8", "replace")
    place = f"line: {before.count(chr(10)) + 1}, column: {len(before) - before.rfind(chr(10))}"
    source = f"\n at [Source: java.io.StringReader@796a657e; {place}]"
    rest = body[at : at + 4].decode("utf-8", "replace")
    if not rest:
        return f"Unexpected end-of-input: expected a value{source}"
    return f"Unexpected character ('{rest[0]}' (code {ord(rest[0])})): expected a value{source}"


def _position(error: Exception, body: bytes) -> int:
    if isinstance(error, UnicodeDecodeError):
        try:
            body.decode()
        except UnicodeDecodeError as found:
            return found.start
    _, _, told = str(error).partition("(byte ")
    return int(told.rstrip(")")) if told else len(body)
