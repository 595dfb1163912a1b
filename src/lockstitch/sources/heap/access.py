"""Opens the bucket that the properties mean, with the credentials that it accepts (`spec/source-heap.md` section 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lockstitch.sources.heap.spec import Properties
from lockstitch.toolkit.objects import Folder, ObjectStore


def bucket_name(properties: Properties) -> str:
    """Return what messages call the bucket."""
    if properties.bucket_url is None:
        return properties.bucket or ""
    url = urlsplit(properties.bucket_url)
    return unquote(url.path) if url.scheme == "file" else url.netloc


def open_bucket(properties: Properties, spool: Callable[[], Path]) -> ObjectStore:
    """Return the bucket, once it has let us in. Raises StoreError."""
    name = bucket_name(properties)
    if properties.bucket_url is not None and properties.bucket_url.startswith("file:"):
        return Folder(Path(name))
    from lockstitch.toolkit.aws import AssumedRole, Aws, Keys, KeySource, Role, ambient_keys
    from lockstitch.toolkit.s3 import Bucket

    aws = Aws(properties.endpoint_url, properties.aws_region)
    keys: KeySource = ambient_keys
    if properties.aws_access_key_id is not None and properties.aws_secret_access_key is not None:
        keys = partial(Keys, properties.aws_access_key_id, properties.aws_secret_access_key)
    chain = [
        Role(account_id.replace("-", ""), role_name, external_id)
        for account_id, role_name, external_id in (
            (properties.proxy_account_id, properties.proxy_role_name, None),
            (properties.account_id, properties.role_name, properties.external_id),
        )
        if account_id is not None and role_name is not None
    ]
    roles = [lambda base, role=role: AssumedRole(role, base, aws) for role in chain]
    return Bucket(name, keys, roles=roles, aws=aws, spool=spool)
