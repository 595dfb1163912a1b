"""Reads Transit written as JSON (the format of cognitect's specification 0.8), to the values that records are made of.

Instants become aware datetimes; keywords, symbols, identifiers, characters and addresses become text; numbers keep
every digit; sets and lists become lists; keys of maps become text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from lockstitch.importing.answers import Refused, malformed, push_refused
from lockstitch.importing.instants import instant
from lockstitch.importing.json_body import parse_json
from lockstitch.importing.limits import TOO_DEEP
from lockstitch.toolkit.exact import Exact

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MAP = "^ "
_CACHE_DIGITS = 44
_FIRST_DIGIT = ord("0")
_CACHE_SIZE = _CACHE_DIGITS**2
_SHORTEST_CACHED = 4


class _Wrong(ValueError):
    """Something that is JSON, and no Transit that we know."""


def parse_transit(body: bytes) -> Any:
    """Return the value of a Transit+JSON text. Raises Refused for anything else, or where it is nested too deep."""
    try:
        return _Reader().value(parse_json(body))
    except RecursionError as error:
        raise Refused(push_refused(TOO_DEEP)) from error
    except _Wrong as error:
        raise Refused(malformed("transit", str(error))) from error


class _Tag(str):
    """A tag, where it stands first in an array."""

    __slots__ = ()


class _Reader:
    """Reads one text: what is written again and again in it stands only once, and later as a short code."""

    def __init__(self) -> None:
        self._cache: list[str] = []

    def value(self, node: Any) -> Any:
        if type(node) is str:
            text = self._text(node, is_key=False)
            if type(text) is _Tag:
                raise _Wrong(f"the tag {text} stands where a value is expected")
            return text
        if type(node) is list:
            return self._array(node)
        if type(node) is dict:
            return self._verbose_map(node)
        return node

    def _text(self, text: str, *, is_key: bool) -> Any:
        if text[:1] == "^" and text != _MAP:
            text = self._cached(text)
        elif len(text) >= _SHORTEST_CACHED and (is_key or text[:2] in ("~#", "~:", "~$")):
            if len(self._cache) == _CACHE_SIZE:
                self._cache.clear()
            self._cache.append(text)
        return _scalar(text)

    def _cached(self, code: str) -> str:
        digits = [ord(one) - _FIRST_DIGIT for one in code[1:]]
        place = digits[0] if len(digits) == 1 else digits[0] * _CACHE_DIGITS + digits[1] if len(digits) == 2 else -1
        if not 0 <= place < len(self._cache) or not all(0 <= one < _CACHE_DIGITS for one in digits):
            raise _Wrong(f"the code {code!r} stands for nothing that came before it")
        return self._cache[place]

    def _array(self, node: list[Any]) -> Any:
        if node and node[0] == _MAP:
            return self._map(node)
        if node and type(node[0]) is str:
            first = self._text(node[0], is_key=False)
            if type(first) is _Tag:
                if len(node) != 2:
                    raise _Wrong(f"the tag {first} has {len(node) - 1} values, and takes one")
                return _tagged(first, self.value(node[1]))
            return [first, *map(self.value, node[1:])]
        return [self.value(one) for one in node]

    def _map(self, node: list[Any]) -> dict[str, Any]:
        if len(node) % 2 == 0:
            raise _Wrong("a map has a key without a value")
        found: dict[str, Any] = {}
        for at in range(1, len(node), 2):
            key = self._key(node[at])
            found[key] = self.value(node[at + 1])
        return found

    def _key(self, node: Any) -> str:
        return _as_key(self._text(node, is_key=True) if type(node) is str else self.value(node))

    def _verbose_map(self, node: dict[str, Any]) -> Any:
        if len(node) == 1:
            key, value = next(iter(node.items()))
            tag = self._text(key, is_key=True)
            if type(tag) is _Tag:
                return _tagged(tag, self.value(value))
            return {_as_key(tag): self.value(value)}
        return {self._key(key): self.value(value) for key, value in node.items()}


def _as_key(key: Any) -> str:
    """Return a map's key as text: columns have names."""
    if isinstance(key, str) and not isinstance(key, _Tag):
        return key
    if isinstance(key, datetime):
        return key.isoformat()
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, int | float | Decimal):
        return str(key)
    raise _Wrong("a key of a map is neither text nor a number")


def _scalar(text: str) -> Any:
    if text[:1] != "~":
        return text
    tag, rest = text[1:2], text[2:]
    if tag in ("~", "^", "`"):
        return text[1:]
    if tag == "#":
        return _Tag(rest)
    return _read(tag, rest)


def _read(tag: str, value: Any) -> Any:
    reader = _SCALARS.get(tag)
    if reader is None:
        raise _Wrong(f"~{tag} is no kind of value that Lockstitch knows")
    try:
        return reader(value)
    except (ValueError, KeyError, InvalidOperation, OverflowError, TypeError, binascii.Error) as error:
        raise _Wrong(f"~{tag} takes no {value!r}") from error


def _milliseconds(value: str | int) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(value))


def _written_instant(value: str) -> datetime:
    found = instant(value)
    if not isinstance(found, datetime):
        raise ValueError(value)
    return found


def _decimal(value: str) -> Exact | float:
    """Return a decimal; a `~f` of none is what a double has for it."""
    found = Exact(value)
    return found if found.is_finite() else float(value)


def _identifier(value: str | list[int]) -> str:
    if isinstance(value, list):
        high, low = (int(one) % 2**64 for one in value)
        return str(UUID(int=high << 64 | low))
    return str(UUID(value))


#: How the text behind each short tag is read.
_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "_": lambda _: None,
    "?": {"t": True, "f": False}.__getitem__,
    "i": int,
    "n": int,
    "d": float,
    "f": _decimal,
    "z": {"NaN": float("nan"), "INF": float("inf"), "-INF": float("-inf")}.__getitem__,
    "m": _milliseconds,
    "t": _written_instant,
    "u": _identifier,
    "b": base64.b64decode,
    ":": str,
    "$": str,
    "r": str,
    "c": str,
}


def _tagged(tag: str, value: Any) -> Any:
    if tag in _SCALARS:
        return _read(tag, value)
    reader = _COMPOSITES.get(tag)
    if reader is None:
        raise _Wrong(f"~#{tag} is no kind of value that Lockstitch knows")
    return reader(value)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Wrong("a set or list holds something else than an array")
    return value


def _paired(value: Any) -> dict[str, Any]:
    flat = _listed(value)
    if len(flat) % 2:
        raise _Wrong("a map has a key without a value")
    return {_as_key(key): one for key, one in zip(flat[::2], flat[1::2], strict=True)}


#: How the value behind each long tag is read.
_COMPOSITES: Mapping[str, Callable[[Any], Any]] = {
    "'": lambda value: value,
    "list": _listed,
    "set": _listed,
    "cmap": _paired,
}
