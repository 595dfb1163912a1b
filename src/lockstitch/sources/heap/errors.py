"""What an object store's answers mean to somebody who replicates Heap (`spec/source-heap.md` section 11)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from lockstitch.core.errors import AccessError, LockstitchError, SettingsError, TransientError
from lockstitch.toolkit.meanings import Meaning
from lockstitch.toolkit.objects import READING, StoreError

_REFUSED = Meaning(
    AccessError,
    "S3 refuses {action} on {resource}: {detail}",
    "the role's policy must allow s3:ListBucket on arn:aws:s3:::{bucket} and s3:GetObject on arn:aws:s3:::{bucket}/*",
)
_NO_KEY = Meaning(
    AccessError,
    "AWS does not accept the access key: {detail}",
    "correct aws_access_key_id and aws_secret_access_key, or the credentials of the environment",
)
_OTHER_REGION = Meaning(
    SettingsError, "bucket {bucket} is in another region: {detail}", "set aws_region to the bucket's region"
)

#: By code, and by (code, action) where the same code means something else.
MEANINGS: dict[str | tuple[str, str], Meaning] = {
    "AccessDenied": _REFUSED,
    "AllAccessDisabled": _REFUSED,
    "HTTP 403": _REFUSED,
    "Forbidden": _REFUSED,
    ("AccessDenied", "sts:AssumeRole"): Meaning(
        AccessError,
        "AWS refuses sts:AssumeRole: {detail}",
        "the role's trust policy must name our AWS account and exactly this external_id; see that account_id and "
        "role_name are the role's, and that it was made for this connection only",
    ),
    ("ValidationError", "sts:AssumeRole"): Meaning(
        SettingsError, "AWS cannot assume the role: {detail}", "correct account_id, role_name and external_id"
    ),
    ("NoSuchBucket", READING): Meaning(AccessError, "there is no folder {bucket}", "correct bucket_url"),
    ("AccessDenied", READING): Meaning(
        AccessError, "folder {bucket} cannot be read: {detail}", "let the user that runs lockstitch read the folder"
    ),
    "NoSuchBucket": Meaning(
        AccessError, "there is no bucket {bucket}: {detail}", "correct bucket; Heap's buckets begin with heap-rs3-"
    ),
    "InvalidBucketName": Meaning(SettingsError, "{bucket!r} is no name of a bucket", "correct bucket"),
    "InvalidRequest": Meaning(
        SettingsError, "AWS cannot be asked: {detail}", "correct bucket, account_id, role_name and external_id"
    ),
    "NoCredentials": Meaning(
        AccessError,
        "there are no AWS credentials to read bucket {bucket} or to assume the role with {detail}",
        "set aws_access_key_id and aws_secret_access_key, or AWS's own environment variables or profile",
    ),
    "InvalidAccessKeyId": _NO_KEY,
    "InvalidClientTokenId": _NO_KEY,
    "UnrecognizedClientException": _NO_KEY,
    "InvalidToken": _NO_KEY,
    "SignatureDoesNotMatch": _NO_KEY,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "PermanentRedirect": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "PreconditionFailed": Meaning(
        TransientError, "{resource} was replaced while it was read", "run again; nothing of this file was loaded"
    ),
}

_UNKNOWN = Meaning(
    AccessError, "S3 answered {action} on {resource} with {code}: {detail}", "look the code up in AWS's list"
)


@contextmanager
def explained(bucket: str, key: str | None = None) -> Generator[None]:
    """Turn a store's answer into an error that says what mends it."""
    try:
        yield
    except StoreError as error:
        raise meaning_of(error, bucket, key) from error


def meaning_of(error: StoreError, bucket: str, key: str | None = None) -> LockstitchError:
    """Return our error for a store's answer."""
    resource = f"{bucket}/{key}" if key else bucket
    if error.transient:
        return TransientError(f"{error.action} on {resource} keeps failing: {error.code} {error.detail}".rstrip())
    meaning = MEANINGS.get((error.code, error.action)) or MEANINGS.get(error.code, _UNKNOWN)
    detail = error.detail or error.code
    return meaning.told(bucket=bucket, action=error.action, resource=resource, detail=detail, code=error.code)
