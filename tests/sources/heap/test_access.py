"""The source over the real S3 protocol, with AWS deciding who may do what."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from lockstitch.core.errors import AccessError, LockstitchError, SourceDataError, TransientError
from lockstitch.core.model import Checkpoint
from lockstitch.sources.heap.errors import MEANINGS, meaning_of
from lockstitch.sources.heap.source import HeapSource
from lockstitch.sources.heap.spec import Properties
from lockstitch.testing.heap_bucket import DumpTable, file_key, write_dump
from lockstitch.toolkit.objects import StoreError
from sources.heap.bucket import cursors, open_heap, read, rows, shape, values, write_dumps
from toolkit.s3_server import Fault, FaultProxy, S3Server, fault_proxy, s3_server

BUCKET = "heap-rs3-acme"
ACCOUNT = "123456789012"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    write_dumps(tmp_path / "bucket", 100, 101)
    with s3_server() as server:
        server.upload(tmp_path / "bucket", BUCKET)
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(server) as proxy:
        yield proxy


def open_s3(url: str, spool: Path, **properties: Any) -> HeapSource:
    given: dict[str, Any] = {
        "bucket": BUCKET,
        "account_id": "1234-5678-9012",
        "external_id": "stitch_connection_1",
        "role_name": "theirs",
        "endpoint_url": url,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    return open_heap(Properties(**(given | properties)), spool)


def test_a_bucket_gives_what_a_folder_gives(server: S3Server, tmp_path: Path) -> None:
    source = open_s3(server.url, tmp_path / "spool")
    source.check()
    messages = read(source, "users")
    assert shape(messages) == "CVbCbCbPC"
    assert values(messages, "user_id") == [*range(20), *range(15, 25)]
    last = cursors(messages)[-1]
    assert read(source, "users", last) == [Checkpoint(last)]
    source.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_more_than_a_thousand_manifests(tmp_path: Path) -> None:
    folder = tmp_path / "bucket"
    for dump in range(1, 1002):
        write_dump(folder, dump, {"click": DumpTable(rows([dump], x="x"), incremental=dump > 1, files=dump % 10 == 0)})
    with s3_server() as server:
        server.upload(folder, BUCKET)
        messages = read(open_s3(server.url, tmp_path / "spool"), "click")
    assert values(messages, "event_id") == list(range(10, 1002, 10))


@pytest.fixture
def guarded(server: S3Server) -> Iterator[dict[str, str]]:
    """A server that checks rights: a user who may only assume `ours`, which may assume `theirs`, which may read."""
    iam = server.client("iam")

    def policy(*actions: str) -> str:
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})

    for name, document in {
        "ours": policy("sts:AssumeRole"),
        "theirs": policy("s3:ListBucket", "s3:GetObject"),
        "powerless": policy("s3:ListAllMyBuckets"),
        "list_only": policy("s3:ListBucket"),
    }.items():
        condition = {} if name == "ours" else {"StringEquals": {"sts:ExternalId": "stitch_connection_1"}}
        trusts = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", "Condition": condition}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [trusts]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document)
    iam.create_user(UserName="us")
    iam.put_user_policy(UserName="us", PolicyName="all", PolicyDocument=policy("sts:AssumeRole"))
    key = iam.create_access_key(UserName="us")["AccessKey"]
    set_unchecked_requests(server, 0)
    yield {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    set_unchecked_requests(server, 1_000_000_000)


def set_unchecked_requests(server: S3Server, number: int) -> None:
    request = Request(
        f"{server.url}/moto-api/reset-auth", data=str(number).encode(), headers={"Content-Type": "text/plain"}
    )
    urlopen(request).close()


def test_the_role_is_assumed_where_our_own_keys_are_refused(
    server: S3Server, guarded: dict[str, str], tmp_path: Path
) -> None:
    source = open_s3(server.url, tmp_path, **guarded)
    source.check()
    assert len(values(read(source, "users"), "user_id")) == 30


def test_two_hops(server: S3Server, guarded: dict[str, str], tmp_path: Path) -> None:
    source = open_s3(server.url, tmp_path, **guarded, proxy_account_id=ACCOUNT, proxy_role_name="ours")
    assert len(values(read(source, "users"), "user_id")) == 30


def test_another_external_id_is_refused(server: S3Server, guarded: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="AWS refuses sts:AssumeRole") as caught:
        open_s3(server.url, tmp_path, **guarded, external_id="stitch_connection_2").check()
    assert "external_id" in (caught.value.hint or "")


def test_keys_of_the_environment_are_used(
    server: S3Server, guarded: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in guarded.items():
        monkeypatch.setenv(name.upper(), value)
    open_s3(server.url, tmp_path, aws_access_key_id=None, aws_secret_access_key=None).check()


def test_a_role_that_may_not_list_is_told(server: S3Server, guarded: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="S3 refuses s3:ListBucket") as caught:
        open_s3(server.url, tmp_path, **guarded, role_name="powerless").check()
    assert f"s3:ListBucket on arn:aws:s3:::{BUCKET}" in (caught.value.hint or "")


def test_a_role_that_may_not_read_is_told(server: S3Server, guarded: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="S3 refuses s3:GetObject"):
        open_s3(server.url, tmp_path, **guarded, role_name="list_only").check()


def test_a_warning_says_that_no_role_was_needed(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        open_s3(server.url, tmp_path).check()
    assert "can be read without assuming a role" in caplog.text


def test_a_bucket_without_a_role_needs_none(server: S3Server, tmp_path: Path) -> None:
    properties = Properties(
        bucket_url=f"s3://{BUCKET}", endpoint_url=server.url, aws_access_key_id="x", aws_secret_access_key="y"
    )
    open_heap(properties, tmp_path).check()


def test_an_absent_bucket_is_told(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="there is no bucket heap-rs3-nowhere"):
        open_s3(server.url, tmp_path, bucket="heap-rs3-nowhere").check()


def test_a_refused_role_is_told_and_no_secret_with_it(proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.faults.append(Fault("GET", status=403, code="AccessDenied"))
    proxy.faults.append(Fault("AssumeRole", status=403, code="AccessDenied"))
    with pytest.raises(AccessError, match="AWS refuses sts:AssumeRole") as caught:
        open_s3(proxy.url, tmp_path, aws_secret_access_key="very secret").check()
    assert "external_id" in (caught.value.hint or "")
    assert "very secret" not in str(caught.value)


def test_a_missing_file_is_told(server: S3Server, tmp_path: Path) -> None:
    server.client("s3").delete_object(Bucket=BUCKET, Key=file_key(101, "users", 0))
    with pytest.raises(SourceDataError, match="Heap manifest for dump 101 names"):
        read(open_s3(server.url, tmp_path), "users")


def test_a_file_that_goes_after_it_was_listed_is_told(proxy: FaultProxy, tmp_path: Path) -> None:
    source = open_s3(proxy.url, tmp_path)
    source.discover()
    proxy.faults.append(Fault(f"GET .*{file_key(101, 'users', 0)}", status=404, code="NoSuchKey", times=9))
    with pytest.raises(SourceDataError, match="Heap manifest for dump 101 names"):
        read(source, "users")


@pytest.mark.parametrize("kind", ["error", "reset", "cut"])
@pytest.mark.usefixtures("short_waits")
def test_one_failure_in_the_middle_is_not_noticed(proxy: FaultProxy, tmp_path: Path, kind: Any) -> None:
    source = open_s3(proxy.url, tmp_path)
    source.discover()
    proxy.faults.append(Fault(r"GET .*\.avro", kind=kind, status=503, code="SlowDown"))
    assert len(values(read(source, "users"), "user_id")) == 30
    assert proxy.faults[0].times == 0


@pytest.mark.usefixtures("short_waits")
def test_failures_that_go_on_end_the_run_as_transient(proxy: FaultProxy, tmp_path: Path) -> None:
    source = open_s3(proxy.url, tmp_path)
    proxy.faults.append(Fault("GET", status=500, times=99))
    with pytest.raises(TransientError, match="keeps failing: InternalError"):
        source.check()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no time between tries, where users wait for seconds."""
    monkeypatch.setattr("lockstitch.toolkit.s3.WAIT", 0.0)


@pytest.mark.parametrize("code", MEANINGS, ids=str)
def test_every_known_answer_has_its_own_words(code: str | tuple[str, str]) -> None:
    name, action = code if isinstance(code, tuple) else (code, "s3:GetObject")
    error = meaning_of(StoreError(name, action, "the detail"), BUCKET, "manifests/x.json")
    assert type(error) is MEANINGS[code].error
    assert "{" not in error.message + (error.hint or "")
    assert error.hint


def test_an_unknown_answer_is_told_as_it_is() -> None:
    error: LockstitchError = meaning_of(StoreError("Teapot", "s3:ListBucket", "short and stout"), BUCKET)
    assert isinstance(error, AccessError)
    assert error.message == f"S3 answered s3:ListBucket on {BUCKET} with Teapot: short and stout"
