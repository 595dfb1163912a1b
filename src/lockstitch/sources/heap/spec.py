"""Heap: the dumps that Heap Connect for S3 writes into a bucket. Light: imports no driver."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lockstitch.core.errors import SettingsError
from lockstitch.toolkit.home import home_folder

if TYPE_CHECKING:
    from lockstitch.core.protocols import Source

TYPES = ("platform.heap",)
TITLE = "Heap"
EXTRA: str | None = "s3"
CREDENTIALS = frozenset({"aws_secret_access_key"})
HOSTS = {"endpoint_url": None}
PATHS = {"bucket_url": "file://"}
#: What needs not be given where the property is.
REPLACES = {"bucket_url": frozenset({"bucket", "account_id", "external_id", "role_name", "start_date"})}


class Properties(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings of a Heap source. The four of S3 can be left out only where `bucket_url` takes their place."""

    #: The bucket's bare name; Heap's begin with heap-rs3-.
    bucket: str | None = None
    #: The AWS account that owns the role; dashes are tolerated.
    account_id: str | None = None
    #: What the role's trust policy demands.
    external_id: str | None = None
    #: The role that lets us read the bucket.
    role_name: str | None = None
    #: Asked for by Stitch's form and without effect: a first run begins at the last full dump.
    start_date: str | None = None

    #: Stored for the schedule; the source does not look at them.
    frequency_in_minutes: str | int | None = None
    anchor_time: str | None = None
    cron_expression: str | None = None
    image_version: str | None = None

    #: A folder that stands for a bucket (file:///folder), or s3://bucket where no role is to be assumed.
    bucket_url: str | None = None
    #: A store that speaks S3's protocol, instead of AWS.
    endpoint_url: str | None = None
    aws_region: str | None = None
    #: Our own AWS credentials; the environment's where left out.
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    #: A role of ours that is assumed first, and then the customer's role with its rights.
    proxy_account_id: str | None = None
    proxy_role_name: str | None = None

    #: Go on without the files that a manifest names and the bucket lacks.
    skip_missing_files: bool = False
    #: Deliver time, session_time, joindate and last_modified as timestamps, where Heap writes text or microseconds.
    parse_timestamps: bool = False


def open_source(properties: Properties, *, spool: Path | None = None) -> Source:
    """Return the source; nothing is opened yet. Raises SettingsError. Downloads wait below `spool`."""
    _refuse_incomplete(properties)
    from lockstitch.sources.heap.source import HeapSource

    return HeapSource(properties, spool or home_folder() / "spool")


def _refuse_incomplete(properties: Properties) -> None:
    if properties.bucket_url is not None:
        if not re.match(r"file:///|s3://[^/]+/?$", properties.bucket_url):
            raise SettingsError(
                f"source.properties.bucket_url is {properties.bucket_url!r}",
                hint="give a folder as file:///folder, or a bucket as s3://name",
            )
    else:
        needed = ("bucket", "account_id", "external_id", "role_name")
        missing = [name for name in needed if not getattr(properties, name)]
        if missing:
            raise SettingsError(
                f"source.properties lacks {', '.join(missing)}",
                hint="platform.heap reads a bucket by a role; for a folder or without a role, set bucket_url instead",
            )
    for one, other in _PAIRS:
        if (getattr(properties, one) is None) != (getattr(properties, other) is None):
            raise SettingsError(f"source.properties has only one of {one} and {other}", hint="set both or neither")
    for name, (pattern, allowed) in _FORMS.items():
        value = getattr(properties, name)
        if value is not None and not re.fullmatch(pattern, value):
            raise SettingsError(f"source.properties.{name} is {value!r}", hint=f"{name} takes {allowed}")


#: Properties that are of use only together.
_PAIRS = (
    ("account_id", "role_name"),
    ("aws_access_key_id", "aws_secret_access_key"),
    ("proxy_account_id", "proxy_role_name"),
)

#: What text may be in a property, and in words.
_FORMS = {
    "bucket": (r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", "a bucket's bare name, without s3:// and without a path"),
    "account_id": (r"\d{12}|\d{4}-\d{4}-\d{4}", "the 12 digits of an AWS account"),
    "proxy_account_id": (r"\d{12}|\d{4}-\d{4}-\d{4}", "the 12 digits of an AWS account"),
    "role_name": (r"[\w+=,.@/-]+", "the role's name, not its ARN"),
    "proxy_role_name": (r"[\w+=,.@/-]+", "the role's name, not its ARN"),
    "external_id": (r"[\w+=,.@:/-]{2,1224}", "2 to 1224 letters, digits and +=,.@:/-_"),
    "endpoint_url": (r"https?://[^/]+/?.*", "an address that begins with http:// or https://"),
}
