"""The properties: what may be left out, and what is refused with which hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstitch.connectors import find_connector, parse_properties
from lockstitch.core.errors import SettingsError
from lockstitch.sources.heap.spec import CREDENTIALS, Properties, open_source

ROLE: dict[str, Any] = {
    "bucket": "heap-rs3-acme",
    "account_id": "1234-5678-9012",
    "external_id": "stitch_connection_12345",
    "role_name": "stitch_heap_CNTl5Br9",
}
SCHEDULE: dict[str, Any] = {
    "start_date": "2026-01-01T00:00:00Z",
    "frequency_in_minutes": "60",
    "anchor_time": "2018-04-30T17:00:00Z",
    "cron_expression": "0 0 12 ? * MON-FRI *",
    "image_version": "1.latest",
}

GOOD: dict[str, dict[str, Any]] = {
    "as the platform sends them": {**ROLE, **SCHEDULE},
    "the role alone": ROLE,
    "a folder": {"bucket_url": "file:///some/folder"},
    "a bucket without a role": {"bucket_url": "s3://heap-rs3-acme", "endpoint_url": "http://127.0.0.1:9000"},
    "two roles": {**ROLE, "proxy_account_id": "123456789012", "proxy_role_name": "ours"},
    "keys": {**ROLE, "aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "aws_region": "eu-west-1"},
    "minutes as a number": {**ROLE, "frequency_in_minutes": 60},
}


@pytest.mark.parametrize("values", GOOD.values(), ids=GOOD)
def test_good_properties_open_a_source(values: dict[str, Any], tmp_path: Path) -> None:
    properties = parse_properties(find_connector("source", "platform.heap"), values)
    open_source(properties, spool=tmp_path)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "lacks bucket, account_id, external_id, role_name"),
    "no role": ({"bucket": "heap-rs3-acme"}, "lacks account_id, external_id, role_name"),
    "an empty bucket": ({**ROLE, "bucket": ""}, "lacks bucket"),
    "a bucket with a scheme": ({**ROLE, "bucket": "s3://heap-rs3-acme"}, "bucket is 's3://heap-rs3-acme'"),
    "a bucket with a path": ({**ROLE, "bucket": "heap-rs3-acme/manifests"}, "bucket is"),
    "a short account": ({**ROLE, "account_id": "1234"}, "account_id is '1234'"),
    "a role's ARN": ({**ROLE, "role_name": "arn:aws:iam::1:role/x"}, "role_name is"),
    "an external id of one letter": ({**ROLE, "external_id": "x"}, "external_id is 'x'"),
    "a relative folder": ({"bucket_url": "file://some/folder"}, "bucket_url is"),
    "another scheme": ({"bucket_url": "gs://bucket"}, "bucket_url is"),
    "half a key": ({**ROLE, "aws_access_key_id": "AKIA"}, "only one of aws_access_key_id and aws_secret_access_key"),
    "half a proxy": ({**ROLE, "proxy_role_name": "ours"}, "only one of proxy_account_id and proxy_role_name"),
    "an endpoint without a scheme": ({**ROLE, "endpoint_url": "127.0.0.1:9000"}, "endpoint_url is"),
}


@pytest.mark.parametrize(("values", "message"), BAD.values(), ids=BAD)
def test_bad_properties_are_refused_with_a_hint(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_source(Properties(**values))
    assert message in caught.value.message
    assert caught.value.hint


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps({"colour": "red"}), type=Properties)


def test_secrets_are_named() -> None:
    assert set(msgspec.structs.asdict(Properties())) >= CREDENTIALS
    assert "aws_secret_access_key" in CREDENTIALS
