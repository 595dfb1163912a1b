"""Run by Alembic for each command; the connection is the caller's."""

from __future__ import annotations

from alembic import context

from lockstitch.control.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
