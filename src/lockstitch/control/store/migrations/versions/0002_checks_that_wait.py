"""A check says when it began, so that one that waits serves every change until then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("checks", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True))
