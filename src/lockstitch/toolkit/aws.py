"""AWS credentials: the ones that lie around, or those of a role that is assumed with them, renewed before they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstitch.toolkit.objects import StoreError

SESSION_NAME = "lockstitch"
#: How long AWS lets assumed credentials live, in seconds, where the role itself allows no more.
DURATION = 3600
#: They are renewed when fewer seconds than this are left.
MARGIN = 300


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key; `until` is when it must be asked for again. Never shown."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    until: datetime | None = None

    def __repr__(self) -> str:
        return "Keys(...)"


KeySource = Callable[[], Keys]


@dataclass(frozen=True, slots=True)
class Role:
    """A role that is assumed. The external id is what its trust policy demands, if anything."""

    account_id: str
    name: str
    external_id: str | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:role/{self.name}"


@dataclass(frozen=True, slots=True)
class Aws:
    """Where AWS is: another endpoint stands for S3 and STS alike. Limits are in seconds."""

    endpoint_url: str | None = None
    region: str | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    @property
    def own_region(self) -> str:
        """Return the region to ask in: the given one, the environment's, or AWS's first."""
        import boto3

        return self.region or boto3.Session().region_name or "us-east-1"

    def client(self, service: str, keys: Keys) -> Any:
        """Return a boto3 client that tries once: whoever calls it retries."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.own_region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.token,
            config=Config(
                retries={"total_max_attempts": 1},
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            ),
        )


def ambient_keys() -> Keys:
    """Return what boto3 finds: environment, profile, container or machine. Raises StoreError where it finds nothing."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session().get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
    except BotoCoreError as error:
        raise StoreError("NoCredentials", "sts:GetCallerIdentity", str(error)) from error
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise StoreError("NoCredentials", "sts:GetCallerIdentity")
    # boto3 renews them by itself; asking again in time is enough.
    until = datetime.now(UTC) + timedelta(minutes=10)
    return Keys(frozen.access_key, frozen.secret_key, frozen.token, until)


class AssumedRole:
    """The keys of a role, assumed anew in time. A chain of roles is one whose `base` is another. Safe in threads."""

    def __init__(
        self, role: Role, base: KeySource, aws: Aws, *, duration: int = DURATION, margin: float = MARGIN
    ) -> None:
        self.role = role
        self._base = base
        self._aws = aws
        self._duration = duration
        self._margin = timedelta(seconds=margin)
        self._keys: Keys | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Keys:
        with self._lock:
            if self._keys is None or self._keys.until is None or datetime.now(UTC) >= self._keys.until:
                self._keys = self._assume()
            return self._keys

    def _assume(self) -> Keys:
        request: dict[str, Any] = {
            "RoleArn": self.role.arn,
            "RoleSessionName": SESSION_NAME,
            "DurationSeconds": self._duration,
        }
        if self.role.external_id is not None:
            request["ExternalId"] = self.role.external_id
        client = self._aws.client("sts", self._base())
        answer: Mapping[str, Any] = boto_call("sts:AssumeRole", client.assume_role, **request)["Credentials"]
        until = answer["Expiration"].astimezone(UTC) - self._margin
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], until)


def boto_call(action: str, call: Callable[..., Any], **arguments: Any) -> Any:
    """Call boto3 and turn whatever it raises into a StoreError."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.parsers import ResponseParserError

    try:
        return call(**arguments)
    except ClientError as error:
        answer: Mapping[str, Any] = error.response
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(answer.get("Error", {}).get("Code", "")) or f"HTTP {status}"
        detail = str(answer.get("Error", {}).get("Message", ""))
        raise StoreError(f"HTTP {code}" if code.isdigit() else code, action, detail) from error
    except NoCredentialsError as error:
        raise StoreError("NoCredentials", action) from error
    except (HTTPClientError, NoConnection, ResponseParserError) as error:
        raise StoreError("Connection", action, str(error).partition("\n")[0]) from error
    except BotoCoreError as error:
        raise StoreError("InvalidRequest", action, str(error)) from error
