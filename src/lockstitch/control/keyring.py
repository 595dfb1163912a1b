"""Keeps credentials unreadable at rest, and signs what only this server may have written."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from lockstitch.core.errors import AccessError, SettingsError

#: Keys may come from here instead of from the file: the newest first, separated by commas.
ENVIRONMENT = "LOCKSTITCH_KEYS"
FILE = "keys"


class Keyring:
    """Encrypts with its first key, and reads what any of its keys has encrypted: so keys can be changed.

    `repr` shows no key.
    """

    def __init__(self, keys: list[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SettingsError(
                "a key for secrets is not 32 bytes in URL-safe base64",
                hint=f"correct {ENVIRONMENT} or the file {FILE} in the home folder; `lockstitch keys add` makes one",
            ) from None
        # Signatures live for minutes, so they may go with the newest key.
        self._signing = hashlib.sha256(b"signatures\0" + keys[0].encode()).digest()

    @classmethod
    def open(cls, home: Path) -> Keyring:
        """Read the keys from the environment or the home folder's file (0600), which is made where there is none."""
        given = os.environ.get(ENVIRONMENT)
        if given:
            return cls([key.strip() for key in given.split(",") if key.strip()])
        path = home / FILE
        if not path.exists():
            add_key(home)
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others", hint=f"chmod 600 {path}")
        return cls(path.read_text().split())

    def encrypt(self, value: Any) -> str:
        """Encrypt any JSON value."""
        return self._fernet.encrypt(json.dumps(value).encode()).decode()

    def decrypt(self, text: str) -> Any:
        try:
            return json.loads(self._fernet.decrypt(text.encode()))
        except InvalidToken:
            raise AccessError(
                "a stored secret was encrypted with a key that is not here",
                hint=f"put the old key back behind the new one, into {ENVIRONMENT} or the home folder's file {FILE}",
            ) from None

    def renew(self, text: str) -> str:
        """Encrypt again, with the first key."""
        return self._fernet.rotate(text.encode()).decode()

    def sign(self, text: str) -> str:
        return hmac.new(self._signing, text.encode(), hashlib.sha256).hexdigest()

    def is_signature(self, signature: str, text: str) -> bool:
        return hmac.compare_digest(signature.encode(), self.sign(text).encode())


def add_key(home: Path) -> None:
    """Put a new key before those of the home folder's file."""
    path, fresh = home / FILE, home / f"{FILE}.new"
    known = path.read_text() if path.exists() else ""
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(Fernet.generate_key().decode() + "\n" + known)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
