"""How an attempt at a delivery may end other than well."""

from __future__ import annotations


class Undelivered(Exception):
    """It failed, and may work later. The text is for people, and holds no secret."""


class Unwanted(Exception):
    """Nobody wants any more what was to be sent. The text says why."""
