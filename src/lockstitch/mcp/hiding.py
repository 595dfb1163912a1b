"""No secret leaves: whatever is told, in answers, errors, notifications and logs, passes through here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from lockstitch.connectors import hide
from lockstitch.display.errors import error_text
from lockstitch.display.text import json_text


class Secrets:
    """The secrets of all connections that were looked at: one connection's must not be told by another's answer."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()

    def add(self, secrets: Iterable[str]) -> None:
        self._known |= frozenset(secrets)

    def hidden(self, text: str) -> str:
        """Return the text without secrets."""
        return hide(text, self._known)

    def told(self, value: Any) -> Any:
        """Return a document as JSON knows it, no secret in any of its texts."""
        # Each text by itself: written as JSON, a secret with a quote in it would no longer look like one.
        return self._cleaned(json.loads(json_text(value)))

    def error(self, error: BaseException) -> str:
        """Return an error's message and hint, without secrets and without a traceback."""
        return self.hidden(error_text(error))

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, list):
            return [self._cleaned(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {self.hidden(key): self._cleaned(each) for key, each in cast("dict[str, Any]", value).items()}
        return value
