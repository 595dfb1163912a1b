"""A bucket on S3 or on a store that speaks its protocol."""

from __future__ import annotations

import logging
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lockstitch.toolkit.aws import AssumedRole, Aws, KeySource, boto_call
from lockstitch.toolkit.objects import ObjectInfo, StoreError

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import S3Credential, S3Store

T = TypeVar("T")

#: Seconds that are waited after a first failure.
WAIT = 10.0
#: Bytes of one request of a download; each is retried by itself.
CHUNK = 8 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is tried, and how many seconds are waited after a failure, doubled each time."""

    tries: int = 5
    wait: float | None = None

    def __call__(self, request: Callable[[], T]) -> T:
        for tried in range(1, self.tries):
            try:
                return request()
            except StoreError as error:
                if not error.transient:
                    raise
                _log.info("try %d of %d: %s", tried, self.tries, error)
            # Spread, so that many who failed at once do not come back at once.
            wait = WAIT if self.wait is None else self.wait
            time.sleep(wait * 2 ** (tried - 1) * random.uniform(0.5, 1.0))
        return request()


class Bucket:
    """One bucket, read with keys that are asked for again before they end.

    With roles, the bare keys are tried first and the roles are assumed, one after another, when those are refused.
    """

    parallel: ClassVar[int] = 16

    def __init__(
        self,
        name: str,
        keys: KeySource,
        *,
        roles: Sequence[Callable[[KeySource], AssumedRole]] = (),
        aws: Aws,
        spool: Callable[[], Path],
        retry: Retry | None = None,
    ) -> None:
        self.name = name
        self._aws = aws
        self._spool = spool
        self._retry = retry or Retry()
        self._keys, region = self._admitted(keys, roles)
        self._failure: StoreError | None = None
        self._store = self._open(region)

    def _admitted(
        self, keys: KeySource, roles: Sequence[Callable[[KeySource], AssumedRole]]
    ) -> tuple[KeySource, str | None]:
        """Return the keys that the bucket accepts, and its region."""
        try:
            region = self._retry(lambda: self._probe(keys))
        except StoreError as error:
            if not roles or error.transient or error.code in _NOT_A_MATTER_OF_ROLES:
                raise
        else:
            if roles:
                _log.warning("bucket %s can be read without assuming a role; no role is assumed", self.name)
            return keys, region
        for assume in roles:
            keys = assume(keys)
        role = keys
        return role, self._retry(lambda: self._probe(role))

    def _probe(self, keys: KeySource) -> str | None:
        client = self._aws.client("s3", keys())
        answer = boto_call("s3:ListBucket", client.list_objects_v2, Bucket=self.name, MaxKeys=1)
        return answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")

    def _open(self, region: str | None) -> S3Store:
        from datetime import timedelta

        from obstore.store import S3Store

        endpoint: dict[str, Any] = {"endpoint": self._aws.endpoint_url} if self._aws.endpoint_url else {}
        return S3Store(
            self.name,
            region=region or self._aws.own_region,
            **endpoint,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=self._aws.connect_timeout),
                "timeout": timedelta(seconds=self._aws.read_timeout),
            },
            retry_config={"max_retries": 0},
            credential_provider=self._provide,
        )

    def _provide(self) -> S3Credential:
        try:
            keys = self._retry(self._keys)
        except StoreError as error:
            self._failure = error  # the store would only say that a call failed
            raise
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.token,
            "expires_at": keys.until,
        }

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        listing = _Listing(self._store, prefix)

        def next_page() -> Sequence[ObjectMeta] | None:
            with self._told("s3:ListBucket"):
                return listing.next_page()

        while (page := self._retry(next_page)) is not None:
            for entry in page:
                yield ObjectInfo(entry["path"], entry["size"], entry["e_tag"] or "", entry["last_modified"])

    def read(self, key: str, size: int | None = None) -> bytes:
        return self._retry(lambda: self._get(key, (0, size) if size else None, None))

    @contextmanager
    def local(self, info: ObjectInfo) -> Generator[Path]:
        path = self._spool() / f"{uuid.uuid4().hex}{Path(info.key).suffix}"
        try:
            self._download(info, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _download(self, info: ObjectInfo, path: Path) -> None:
        """Fetch the object piece by piece, each of the same content: an object that is replaced meanwhile fails."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for start in range(0, info.size, CHUNK):
                span = (start, min(start + CHUNK, info.size))
                piece = self._retry(lambda span=span: self._get(info.key, span, info.etag))
                file.write(piece)

    def _get(self, key: str, span: tuple[int, int] | None, etag: str | None) -> bytes:
        import obstore

        options: GetOptions = {}
        if span is not None:
            options["range"] = span
        if etag:
            options["if_match"] = etag
        with self._told("s3:GetObject"):
            piece = bytes(obstore.get(self._store, key, options=options).bytes())
        if etag and span and len(piece) != span[1] - span[0]:
            raise StoreError("Connection", "s3:GetObject", f"{len(piece)} bytes came instead of {span[1] - span[0]}")
        return piece

    @contextmanager
    def _told(self, action: str) -> Generator[None]:
        try:
            yield
        except (FileNotFoundError, OSError, ValueError) as error:
            raise _store_error(error, action) from error
        except Exception as error:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure from error
            if not type(error).__module__.startswith("obstore"):
                raise
            raise _store_error(error, action) from error


class _Listing:
    """The pages of a listing; after a page that failed, it goes on behind the last good one."""

    def __init__(self, store: S3Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._last: str | None = None
        self._pages: Iterator[Sequence[ObjectMeta]] | None = None

    def next_page(self) -> Sequence[ObjectMeta] | None:
        import obstore

        if self._pages is None:
            self._pages = iter(obstore.list(self._store, self._prefix, offset=self._last, chunk_size=1000))
        try:
            page = next(self._pages, None)
        except Exception:
            self._pages = None
            raise
        if page:
            self._last = page[-1]["path"]
        return page


#: Another role would not help: the bucket is not there, or the keys that must assume it are no keys.
_NOT_A_MATTER_OF_ROLES = frozenset(
    {"NoSuchBucket", "NoCredentials", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidRequest"}
)

#: Statuses that come without a code, and what they mean.
_STATUSES = {"403": "AccessDenied", "404": "NoSuchKey", "412": "PreconditionFailed", "301": "PermanentRedirect"}


def _store_error(error: BaseException, action: str) -> StoreError:
    """Read the code out of what the store's driver says, which is text only."""
    text = str(error)
    code = re.search(r"<Code>(\w+)</Code>", text)
    if code is not None:
        message = re.search(r"<Message>([^<]*)</Message>", text)
        return StoreError(code[1], action, message[1] if message else "")
    status = re.search(r"status code: (\d{3})", text)
    if status is not None:
        return StoreError(_STATUSES.get(status[1], f"HTTP {status[1]}"), action)
    if isinstance(error, FileNotFoundError):
        return StoreError("NoSuchKey", action)
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return StoreError("AccessDenied", action, text.partition("\n")[0])
    return StoreError("Connection", action, text.partition("\n")[0])
