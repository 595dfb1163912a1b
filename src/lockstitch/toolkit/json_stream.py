"""Records out of a JSON file of any size, in bounded memory and without becoming Python objects.

The file is one array, or records one after the other, a line each (NDJSON). What is yielded is the text of each
record, as it stands in the file. A file is read in pieces, and each piece ends where a record does: found by a quick
guess that a JSON reader confirms, or else by following strings and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from itertools import islice
from typing import BinaryIO

import msgspec

from lockstitch.core.errors import SourceDataError

Record = bytes | msgspec.Raw

MOST_BYTES_A_RECORD = 256 << 20

_SPACE = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: How many guesses are confirmed before the exact way is taken.
_GUESSES = 8
#: A string, whole or cut by the end of the text, or a bracket. What a string holds is no bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NotRecords(SourceDataError):
    """The file is cut short, or holds something else than records."""


def records(file: BinaryIO, name: str, *, piece: int = 4 << 20) -> Generator[list[Record]]:
    """Yield the records in lists, each of about `piece` bytes of the file or one larger record.

    `name` is what messages call the file. Raises NotRecords where an array has no end, or something else is found.
    """
    text = file.read(max(piece, len(_BYTE_ORDER_MARK))).removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
    while not text and (more := file.read(piece)):
        text = more.lstrip(_SPACE)
    if text.startswith(b"["):
        yield from _of_array(file, text[1:], name, piece)
    elif text:
        yield from _of_lines(file, text, name, piece)


def _of_lines(file: BinaryIO, text: bytes, name: str, piece: int) -> Iterator[list[Record]]:
    """No line feed can be inside a record: JSON's strings hold none as it is."""
    while more := file.read(piece):
        lines, found, rest = text.rpartition(b"\n")
        if found:
            yield from _filled(lines, name)
        text = rest + more
        _refuse_larger(text, piece, name)
    yield from _filled(text, name)


def _filled(lines: bytes, name: str) -> Iterator[list[Record]]:
    found: list[Record] = [stripped for line in lines.split(b"\n") if (stripped := line.strip(_SPACE))]
    for line in found:
        if not bytes(line).startswith(b"{"):
            raise _no_json(name, bytes(line))
    if found:
        yield found


def _of_array(file: BinaryIO, text: bytes, name: str, piece: int) -> Iterator[list[Record]]:
    is_first = True
    while True:
        found, end = _whole(text, name, is_first=is_first)
        if found:
            yield found
            is_first = False
        text = text[end:]
        if text.lstrip(_SPACE).startswith(b"]"):
            break
        # Twice as much each time, so that a huge record is not looked through too often.
        more = file.read(piece if found else max(piece, len(text)))
        if not more and not found:
            raise NotRecords(f"{name} is cut short: its array has no end", hint="fetch the file again")
        text += more
        _refuse_larger(text, piece, name)
    after = text.lstrip(_SPACE)[1:].lstrip(_SPACE)
    while not after and (more := file.read(piece)):
        after = more.lstrip(_SPACE)
    if after:
        raise _no_json(name, after)


def _refuse_larger(text: bytes, piece: int, name: str) -> None:
    if len(text) > max(MOST_BYTES_A_RECORD, 2 * piece):
        raise SourceDataError(
            f"{name} holds a record of more than {MOST_BYTES_A_RECORD >> 20} MiB", hint="look at what the file holds"
        )


def _whole(text: bytes, name: str, *, is_first: bool) -> tuple[list[Record], int]:
    """Return the records that end within the text, and where the last one does.

    Of an array, `text` is what follows its bracket, or a record that was taken.
    """
    lead = _lead(text, name, is_first=is_first)
    if lead is None:
        return [], 0
    for end in islice(_guesses(text, lead), _GUESSES):
        try:
            # Only where the text breaks off right after a record does a bracket make a whole array of it.
            found = _decode(b"[%b]" % text[lead:end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return list(found), end
    return _followed(text, lead, name)


def _lead(text: bytes, name: str, *, is_first: bool) -> int | None:
    """Return where the next record begins; None where there is none in the text."""
    start = len(text) - len(text.lstrip(_SPACE))
    if not is_first and text[start : start + 1] == b",":
        start += 1
        start += len(text[start:]) - len(text[start:].lstrip(_SPACE))
        if text[start : start + 1] == b"]":
            raise _no_json(name, text)
    elif not is_first and text[start : start + 1] not in (b"", b"]"):
        raise _no_json(name, text)
    return None if text[start : start + 1] in (b"", b"]") else start


def _guesses(text: bytes, lead: int) -> Iterator[int]:
    """Yield the ends of objects, the last one first."""
    at = len(text)
    while (at := text.rfind(b"}", lead, at)) >= 0:
        if text[at + 1 : at + 200].lstrip(_SPACE)[:1] in (b"", b",", b"]"):
            yield at + 1


def _followed(text: bytes, lead: int, name: str) -> tuple[list[Record], int]:
    """Find the records by following strings and brackets; they may hold what a strict reader refuses."""
    found: list[Record] = []
    depth, begun, ended = 0, lead, lead
    for token in _TOKEN.finditer(text, lead):
        match text[token.start()]:
            case 0x7B | 0x5B:  # { [
                if depth == 0:
                    begun = token.start()
                    _refuse_between(text[ended:begun], name, is_first=not found)
                depth += 1
            case 0x7D | 0x5D:  # } ]
                depth -= 1
                if depth < 0:  # the array's own
                    _refuse_between(text[ended : token.start()], name, is_first=True)
                    break
                if depth == 0:
                    ended = token.end()
                    found.append(text[begun:ended])
            case _:
                if depth == 0:
                    raise _no_json(name, text[token.start() :])
    return found, ended if found else 0


def _refuse_between(text: bytes, name: str, *, is_first: bool) -> None:
    if text.strip(_SPACE) != (b"" if is_first else b","):
        raise _no_json(name, text)


def _no_json(name: str, text: bytes) -> NotRecords:
    return NotRecords(
        f"{name} holds {text[:100]!r} where a record is expected", hint="look at what the file holds; it is no list"
    )
