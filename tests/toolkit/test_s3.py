"""The bucket, over the real protocol: what is retried, what is not, and credentials that end in the middle."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstitch.toolkit.aws import AssumedRole, Aws, Keys, KeySource, Role
from lockstitch.toolkit.objects import StoreError
from lockstitch.toolkit.s3 import CHUNK, Bucket, Retry
from toolkit.s3_server import REGION, Fault, FaultProxy, S3Server, fault_proxy, s3_server

NAME = "heap-rs3-toolkit"
#: More than two chunks, of bytes that show where they came from.
BIG = b"".join(number.to_bytes(8, "big") for number in range((2 * CHUNK + 1000) // 8))
KEYS = Keys("test", "test")

Open = Callable[..., Bucket]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        manifests = {f"manifests/sync_{number}.json": b"{}" for number in range(1500)}
        server.fill(NAME, {**manifests, "sync_1/users/part-0.avro": BIG})
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(server) as proxy:
        yield proxy


@pytest.fixture
def open_bucket(proxy: FaultProxy, tmp_path: Path) -> Open:
    def open_it(name: str = NAME, keys: KeySource = lambda: KEYS, **more: object) -> Bucket:
        aws = Aws(proxy.url, REGION, read_timeout=4.0)
        return Bucket(name, keys, aws=aws, spool=lambda: tmp_path, retry=Retry(5, 0.01), **more)  # pyright: ignore[reportArgumentType]  # roles, by name

    return open_it


def test_a_listing_follows_all_pages(open_bucket: Open, proxy: FaultProxy) -> None:
    found = list(open_bucket().list("manifests/"))
    assert len({info.key for info in found}) == len(found) == 1500
    assert proxy.count(r"GET .*prefix=manifests") == 2


FAULTS = {
    "500": {"status": 500, "code": "InternalError"},
    "503": {"status": 503, "code": "SlowDown"},
    "reset": {"kind": "reset"},
    "cut": {"kind": "cut"},
    "stall": {"kind": "stall"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_page_that_fails_is_asked_for_again(open_bucket: Open, proxy: FaultProxy, fault: dict[str, object]) -> None:
    bucket = open_bucket()
    proxy.faults.append(Fault("GET .*continuation-token", **fault))  # pyright: ignore[reportArgumentType]  # a table
    found = list(bucket.list("manifests/"))
    assert len({info.key for info in found}) == len(found) == 1500
    assert proxy.faults[0].times == 0


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_piece_of_a_download_that_fails_is_fetched_again(
    open_bucket: Open, proxy: FaultProxy, tmp_path: Path, fault: dict[str, object]
) -> None:
    bucket = open_bucket()
    (info,) = bucket.list("sync_1/")
    proxy.faults.append(Fault("GET .*part-0.avro", **fault))  # pyright: ignore[reportArgumentType]  # a table
    with bucket.local(info) as path:
        assert path.read_bytes() == BIG
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
    assert proxy.count("part-0.avro") == 4


def test_five_failures_are_too_many(open_bucket: Open, proxy: FaultProxy, tmp_path: Path) -> None:
    bucket = open_bucket()
    (info,) = bucket.list("sync_1/")
    proxy.faults.append(Fault("GET .*part-0.avro", times=99, status=503, code="SlowDown"))
    with pytest.raises(StoreError, match="SlowDown") as caught, bucket.local(info):
        pass
    assert caught.value.transient
    assert proxy.count("part-0.avro") == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidClientTokenId", "NoSuchBucket"])
def test_a_refusal_is_not_retried(open_bucket: Open, proxy: FaultProxy, code: str) -> None:
    bucket = open_bucket()
    proxy.faults.append(Fault("GET .*sync_7.json", status=403, code=code))
    with pytest.raises(StoreError, match=code) as caught:
        bucket.read("manifests/sync_7.json")
    assert caught.value.action == "s3:GetObject"
    assert proxy.count("sync_7.json") == 1


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(open_bucket: Open, server: S3Server) -> None:
    bucket = open_bucket()
    server.client("s3").put_object(Bucket=NAME, Key="changing/x", Body=b"old" * 10)
    (info,) = bucket.list("changing/")
    server.client("s3").put_object(Bucket=NAME, Key="changing/x", Body=b"new" * 10)
    with pytest.raises(StoreError, match="PreconditionFailed"), bucket.local(info):
        pass


def test_an_absent_object_and_bucket_are_told_apart(open_bucket: Open) -> None:
    with pytest.raises(StoreError, match="NoSuchKey"):
        open_bucket().read("nowhere")
    with pytest.raises(StoreError, match="NoSuchBucket"):
        open_bucket("heap-rs3-nowhere")


def role(
    proxy: FaultProxy, name: str, external_id: str | None = None, **more: float
) -> Callable[[KeySource], AssumedRole]:
    return lambda base: AssumedRole(Role("123456789012", name, external_id), base, Aws(proxy.url, REGION), **more)  # pyright: ignore[reportArgumentType]  # margin


def test_a_role_is_assumed_only_where_the_bare_keys_are_refused(open_bucket: Open, proxy: FaultProxy) -> None:
    assert open_bucket(roles=[role(proxy, "reader")]).read("manifests/sync_1.json") == b"{}"
    assert proxy.count("AssumeRole") == 0


def test_a_role_is_assumed_with_its_external_id(open_bucket: Open, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code="AccessDenied"))
    bucket = open_bucket(roles=[role(proxy, "reader", "stitch_connection_1")])
    assert bucket.read("manifests/sync_1.json") == b"{}"
    (asked,) = [str(seen) for seen in proxy.seen if "AssumeRole" in str(seen)]
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader" in asked
    assert "ExternalId=stitch_connection_1" in asked
    assert "DurationSeconds=3600" in asked
    assert proxy.seen[-1].token is not None


def test_two_roles_are_assumed_one_with_the_other(open_bucket: Open, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code="AccessDenied"))
    bucket = open_bucket(roles=[role(proxy, "ours"), role(proxy, "theirs", "stitch_connection_1")])
    assert bucket.read("manifests/sync_1.json") == b"{}"
    first, second = [seen for seen in proxy.seen if "AssumeRole" in str(seen)]
    assert "role%2Fours" in str(first)
    assert "ExternalId" not in str(first)
    assert "role%2Ftheirs" in str(second)
    assert "ExternalId=stitch_connection_1" in str(second)
    assert first.token is None
    assert second.token is not None


@pytest.mark.parametrize("code", ["NoSuchBucket", "InvalidAccessKeyId"])
def test_no_role_is_assumed_where_none_would_help(open_bucket: Open, proxy: FaultProxy, code: str) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code=code))
    with pytest.raises(StoreError, match=code):
        open_bucket(roles=[role(proxy, "reader")])
    assert proxy.count("AssumeRole") == 0


def test_a_refused_role_is_told_and_not_retried(open_bucket: Open, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code="AccessDenied"))
    proxy.faults.append(Fault("AssumeRole", status=403, code="AccessDenied", times=9))
    with pytest.raises(StoreError, match="AccessDenied") as caught:
        open_bucket(roles=[role(proxy, "reader")])
    assert caught.value.action == "sts:AssumeRole"
    assert proxy.count("AssumeRole") == 1


def test_credentials_are_renewed_in_the_middle(open_bucket: Open, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code="AccessDenied"))
    # An hour less the margin: one second.
    bucket = open_bucket(roles=[role(proxy, "ours", margin=3599), role(proxy, "theirs", margin=3599)])
    assert bucket.read("manifests/sync_1.json") == b"{}"
    old = proxy.seen[-1].token
    assert old is not None
    time.sleep(1.2)
    proxy.faults.append(Fault("GET", status=400, code="ExpiredToken", token=old, times=99))
    assert bucket.read("manifests/sync_2.json") == b"{}"
    assert proxy.seen[-1].token not in (None, old)
    assert proxy.count("AssumeRole") >= 4


def test_a_role_that_is_taken_away_meanwhile_is_told(open_bucket: Open, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("GET .*list-type=2", status=403, code="AccessDenied"))
    bucket = open_bucket(roles=[role(proxy, "reader", margin=3599)])
    bucket.read("manifests/sync_1.json")
    time.sleep(1.2)
    proxy.faults.append(Fault("AssumeRole", status=403, code="AccessDenied", times=9))
    with pytest.raises(StoreError, match="AccessDenied") as caught:
        bucket.read("manifests/sync_2.json")
    assert caught.value.action == "sts:AssumeRole"


def test_keys_are_never_shown() -> None:
    assert "secret" not in repr(Keys("id", "secret", "secret token"))
