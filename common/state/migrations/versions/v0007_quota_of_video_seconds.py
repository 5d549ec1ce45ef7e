"""Add the quota of seconds of video, and which key pays for a video that waits to be indexed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("video_seconds_per_day", sa.BigInteger))
    op.add_column(
        "key_use", sa.Column("video_seconds", sa.BigInteger, nullable=False, server_default="0")
    )
    op.create_table(
        "video_payers",
        sa.Column("video_hash", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
