"""A file over HTTP: whole or not at all, on from where it was cut, and never pieced together from two files."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, SourceDataError, TransientError
from lockstitch.testing.vendors.faults import Burst429, CutBody, CutGzip, Failure, Fault, Meanwhile, NoAnswer, SlowBody
from lockstitch.testing.vendors.messages import Reply, Request
from lockstitch.testing.vendors.server import VendorServer
from lockstitch.toolkit.http.client import Api, Patience
from lockstitch.toolkit.http.download import Bounds, download

PLAIN = random.Random(1).randbytes(3_000_000)
PACKED = gzip.compress(b"some text, " * 1_000_000)


class Files(VendorServer):
    """Serves `body`; with `ranges`, in parts too, as long as the file's tag is still the one that is named."""

    def __init__(self, body: bytes = PLAIN, *, ranges: bool = True) -> None:
        super().__init__()
        self.body = body
        self.ranges = ranges
        self.tag = '"first"'
        self.status = 200

    def answer(self, request: Request) -> Reply:
        if self.status != 200:
            return Reply(self.status, b"no file")
        if not self.ranges:
            return Reply(200, self.body)
        headers = {"ETag": self.tag, "Accept-Ranges": "bytes"}
        asked = request.headers.get("range")
        if asked is None or request.headers.get("if-range") != self.tag:
            return Reply(200, self.body, headers)
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(self.body):
            return Reply(416, b"", headers)
        return Reply(
            206,
            self.body[begin:],
            {**headers, "Content-Range": f"bytes {begin}-{len(self.body) - 1}/{len(self.body)}"},
        )

    def ranges_asked(self) -> list[str | None]:
        return [each.request.headers.get("range") for each in self.requests]


@pytest.fixture
def files() -> Iterator[Files]:
    with Files() as server:
        yield server


class Fetching:
    """Downloads from a server without ever sleeping."""

    def __init__(self, server: Files, folder: Path, **patience: float) -> None:
        self.pauses: list[float] = []
        self.target = folder / "file"
        self.api = Api(
            server.url,
            authorize=lambda _: {"Authorization": "Basic key"},
            patience=Patience(**{"tries": 3, **patience}),  # pyright: ignore[reportArgumentType]
            timeout=5,
            sleep=self.pauses.append,
        )

    def fetch(self, url: str = "/file", **more: object) -> int | None:
        """Return the status of an answer that brought no file."""
        try:
            answer = download(self.api, url, self.target, **more)  # pyright: ignore[reportArgumentType]
        finally:
            self.api.close()
        return None if answer is None else answer.status


PASSING: dict[str, Fault] = {
    "cut": CutBody(),
    "cut twice": CutBody(times=2),
    "reset": CutBody(end="reset"),
    "no byte": CutBody(share=0.0),
    "last byte missing": CutBody(share=1.0),
    "chunks without an end": CutBody(how="chunked"),
    "no answer": NoAnswer(),
    "500": Failure(times=2),
    "429": Burst429(times=5, retry_after=1),
    "slow": SlowBody(piece=1_000_000),
}


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("body", [PLAIN, PACKED], ids=["plain", "gzip"])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_the_file_comes_whole_through_every_fault(fault: Fault, body: bytes, ranges: bool, tmp_path: Path) -> None:
    with Files(body, ranges=ranges) as files:
        files.faults.add(fault)
        fetching = Fetching(files, tmp_path)
        assert fetching.fetch() is None
        assert fetching.target.read_bytes() == body
        assert files.faults.met


def test_what_was_cut_is_gone_on_with(files: Files, tmp_path: Path) -> None:
    files.faults.add(CutBody(share=0.5), CutBody(share=0.5, after=1))
    fetching = Fetching(files, tmp_path)
    fetching.fetch()
    assert fetching.target.read_bytes() == PLAIN
    assert files.ranges_asked() == [None, "bytes=1500000-", "bytes=2250000-"]


def test_a_file_that_grows_with_each_try_is_never_given_up(files: Files, tmp_path: Path) -> None:
    files.faults.add(CutBody(share=0.2, times=10))
    fetching = Fetching(files, tmp_path)
    fetching.fetch()
    assert fetching.target.read_bytes() == PLAIN
    assert len(files.requests) == 11


def test_another_file_is_not_gone_on_with(files: Files, tmp_path: Path) -> None:
    other = PLAIN[::-1]

    def replace_it(_: Request) -> None:
        files.body, files.tag = other, '"second"'

    files.faults.add(CutBody(), Meanwhile(call=replace_it))
    fetching = Fetching(files, tmp_path)
    fetching.fetch()
    assert fetching.target.read_bytes() == other
    assert files.ranges_asked() == [None, "bytes=1500000-"]


@pytest.mark.parametrize("share", [0.001, 0.3, 1.0])
def test_gzip_without_its_end_is_fetched_again(share: float, tmp_path: Path) -> None:
    with Files(PACKED) as files:
        files.faults.add(CutGzip(share=share, times=2))
        fetching = Fetching(files, tmp_path)
        fetching.fetch()
        assert fetching.target.read_bytes() == PACKED
        assert files.ranges_asked() == [None] * 3


def test_gzip_that_is_damaged_each_time_is_told(tmp_path: Path) -> None:
    damaged = PACKED[:5000] + bytes(100) + PACKED[5100:]
    with Files(damaged) as files, pytest.raises(SourceDataError, match=r"came 3 times as gzip that is damaged"):
        Fetching(files, tmp_path, tries=9).fetch()
    assert len(files.requests) == 3


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"one") + gzip.compress(b"two"),
        gzip.compress(b"one") + bytes(512),
        gzip.compress(bytes(50 << 20)),
        gzip.compress(b""),
        b"",
        b"\x1f",
        b"\x1fx",
    ],
    ids=["two members", "padded", "tiny and huge", "empty gzip", "empty", "one byte", "no gzip"],
)
@pytest.mark.parametrize("piece", [0, 1])
def test_whatever_is_whole_is_taken(body: bytes, piece: int, tmp_path: Path) -> None:
    with Files(body) as files:
        if piece and len(body) < 1000:
            files.faults.add(SlowBody(piece=piece, pause=0.0005))
        fetching = Fetching(files, tmp_path)
        assert fetching.fetch() is None
        assert fetching.target.read_bytes() == body


def test_a_status_that_is_accepted_is_returned(files: Files, tmp_path: Path) -> None:
    files.status = 404
    assert Fetching(files, tmp_path).fetch(accept=frozenset({404})) == 404


@pytest.mark.parametrize(("status", "kind"), [(401, AccessError), (404, SettingsError), (204, TransientError)])
def test_another_status_is_an_error(files: Files, status: int, kind: type[LockstitchError], tmp_path: Path) -> None:
    files.status = status
    with pytest.raises(kind, match=f"GET /file.*{status}"):
        Fetching(files, tmp_path).fetch()


def test_a_range_that_nobody_can_give_is_no_end(files: Files, tmp_path: Path) -> None:
    """The file was replaced by a shorter one of the same tag: a server that breaks its word."""
    files.faults.add(CutBody(), Meanwhile(times=1, call=lambda _: setattr(files, "body", PLAIN[:100])))
    fetching = Fetching(files, tmp_path)
    fetching.fetch()
    assert fetching.target.read_bytes() == PLAIN[:100]


def test_a_server_that_never_comes_to_an_end_is_given_up(tmp_path: Path) -> None:
    with Files(ranges=False) as files:
        files.faults.add(CutBody(times=None))
        fetching = Fetching(files, tmp_path)
        with pytest.raises(TransientError, match="tried 3 times"):
            fetching.fetch()
    assert len(fetching.pauses) == 2


def test_it_waits_as_long_as_it_is_asked_to(files: Files, tmp_path: Path) -> None:
    files.faults.add(Burst429(times=1, retry_after=17))
    fetching = Fetching(files, tmp_path)
    fetching.fetch()
    assert fetching.pauses == [17.0]


def test_a_file_that_is_too_large_or_takes_too_long_is_given_up(files: Files, tmp_path: Path) -> None:
    files.ranges = False
    with pytest.raises(SourceDataError, match="more than"):
        Fetching(files, tmp_path).fetch(bounds=Bounds(most_bytes=1000))
    with pytest.raises(TransientError, match="not complete after 0 s"):
        Fetching(files, tmp_path).fetch(bounds=Bounds(seconds=0.0))


def test_a_full_disk_is_told(files: Files, tmp_path: Path) -> None:
    fetching = Fetching(files, tmp_path)
    fetching.target = Path("/dev/full")
    with pytest.raises(TransientError, match="No space left") as told:
        fetching.fetch()
    assert told.value.hint is not None
    assert "LOCKSTITCH_HOME" in told.value.hint


def test_a_signed_address_gets_no_credentials_and_is_not_shown(files: Files, tmp_path: Path) -> None:
    signed = f"{files.url}/file?signature=secret"
    Fetching(files, tmp_path).fetch(signed)
    assert "authorization" not in files.requests[-1].request.headers
    Fetching(files, tmp_path).fetch("/file")
    assert files.requests[-1].request.headers["authorization"] == "Basic key"
    files.status = 403
    with pytest.raises(AccessError) as told:
        Fetching(files, tmp_path).fetch(signed)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["ftp://example.com/file", "http://[::1/file"])
def test_an_address_that_is_none_is_told(files: Files, url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Fetching(files, tmp_path).fetch(url)
