"""Run by Alembic for each command; the connection is the caller's."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from lockstitch.control.store.tables import Moment, metadata


def _written(kind: str, one: Any, _context: Any) -> str | Literal[False]:
    """Let a new migration say what is the same in every database, and stays so when our own types change."""
    if kind == "type" and isinstance(one, Moment):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(getattr(one, "arg", None), sa.False_ | sa.True_):
        return f"sa.{str(one.arg).lower()}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=_written,
)
context.run_migrations()
