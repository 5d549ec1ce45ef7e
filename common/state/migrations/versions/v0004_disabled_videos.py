"""Create the table of disabled videos."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "disabled_videos",
        sa.Column("video_hash", sa.String(64), primary_key=True),
        sa.Column("video_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.String(32)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
