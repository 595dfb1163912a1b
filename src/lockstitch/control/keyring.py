"""Keeps credentials unreadable at rest, and signs what only this server may have written."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.toolkit.durable_files import write_whole

#: Keys may come from here instead of from the file: the newest first, separated by commas.
ENVIRONMENT = "LOCKSTITCH_KEYS"
FILE = "keys"


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys in use, and what tells whether their file is still the one that was read."""

    fernet: MultiFernet
    signing: Sequence[bytes] = field(repr=False)
    stamp: object

    @classmethod
    def of(cls, keys: Sequence[str], stamp: object = None) -> _Keys:
        try:
            fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SettingsError(
                "a key for secrets is not 32 bytes in URL-safe base64, or there is none",
                hint=f"correct {ENVIRONMENT} or the file {FILE} in the home folder; `lockstitch keys add` makes one",
            ) from None
        return cls(fernet, [hashlib.sha256(b"signatures\0" + key.encode()).digest() for key in keys], stamp)


class Keyring:
    """Encrypts with its first key, and reads what any of its keys has encrypted: so keys can be changed.

    Keys of a file are read again when it was replaced, so that a running server takes up a new key by itself. `repr`
    shows no key.
    """

    def __init__(self, keys: Sequence[str], path: Path | None = None, stamp: object = None) -> None:
        self._path = path
        self._keys = _Keys.of(keys, stamp)

    @classmethod
    def open(cls, home: Path) -> Keyring:
        """Read the keys from the environment or the home folder's file (0600), which is made where there is none."""
        if os.environ.get(ENVIRONMENT):
            return cls(read_keys(home))
        path = home / FILE
        if not path.exists():
            with suppress(FileExistsError):  # another server that starts at the same time was faster
                write_whole(path, _listed([make_key()]), only_new=True)
        stamp = _stamp(path)
        return cls(read_keys(home), path, stamp)

    def _current(self) -> _Keys:
        if self._path is not None:
            stamp = _stamp(self._path)
            if stamp != self._keys.stamp:
                self._keys = _Keys.of(read_keys(self._path.parent), stamp)
        return self._keys

    def encrypt(self, value: Any) -> str:
        """Encrypt any JSON value."""
        return self._current().fernet.encrypt(json.dumps(value).encode()).decode()

    def decrypt(self, text: str) -> Any:
        """Return the value that was encrypted. Raises AccessError where its key is not here."""
        return json.loads(_with_key(self._current().fernet.decrypt, text))

    def renew(self, text: str) -> str:
        """Encrypt again, with the first key. Raises AccessError where its key is not here."""
        return _with_key(self._current().fernet.rotate, text).decode()

    def sign(self, text: str) -> str:
        return _signature(self._current().signing[0], text)

    def is_signature(self, signature: str, text: str) -> bool:
        """Tell whether this server has signed the text, with its newest key or one before."""
        good = [_signature(key, text) for key in self._current().signing]
        return any([hmac.compare_digest(signature.encode(), one.encode()) for one in good])


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _with_key(work: Callable[[bytes], bytes], text: str) -> bytes:
    try:
        return work(text.encode())
    except InvalidToken:
        raise AccessError(
            "a stored secret was encrypted with a key that is not here",
            hint=f"put the old key back behind the new one, into {ENVIRONMENT} or the home folder's file {FILE}",
        ) from None


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read_keys(home: Path) -> list[str]:
    """Return the keys, the newest first. Raises SettingsError for a file that is missing or that others can read."""
    given = os.environ.get(ENVIRONMENT)
    if given:
        return [key.strip() for key in given.split(",") if key.strip()]
    path = home / FILE
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing", hint=f"put the server's keys there, or into {ENVIRONMENT}") from None
    if mode & 0o077:
        raise SettingsError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    return path.read_text().split()


def make_key() -> str:
    return Fernet.generate_key().decode()


def add_key(home: Path) -> None:
    """Put a new key before those of the home folder's file."""
    keep_keys(home, [make_key(), *read_keys(home)])


def keep_keys(home: Path, keys: Sequence[str]) -> None:
    """Replace the home folder's file by one with these keys."""
    write_whole(home / FILE, _listed(keys))


def _listed(keys: Sequence[str]) -> bytes:
    return "".join(f"{key}\n" for key in keys).encode()
