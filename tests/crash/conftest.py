"""The same installed connector as the other tests of the server have."""

from __future__ import annotations

from tests.control.conftest import acme_site

__all__ = ["acme_site"]
