"""Add quotas of keys, and the share, actions and kind of banks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("queries_per_day", sa.BigInteger))
    op.add_column("api_keys", sa.Column("upload_bytes_per_day", sa.BigInteger))
    op.create_table(
        "key_use",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("queries", sa.BigInteger, nullable=False),
        sa.Column("upload_bytes", sa.BigInteger, nullable=False),
    )
    op.add_column(
        "banks", sa.Column("negative", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("banks", sa.Column("share", sa.Float, nullable=False, server_default="1"))
    op.add_column("banks", sa.Column("actions", sa.Text, nullable=False, server_default="[]"))
