"""Create the tables of matches, verdicts, exceptions, jobs and idempotent answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "matches",
        sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("query_hash", sa.String(64), nullable=False),
        sa.Column("ref_hash", sa.String(64), nullable=False),
        sa.Column("bank", sa.Text, nullable=False),
        sa.Column("query_bank", sa.Text),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("first_found_at", sa.BigInteger, nullable=False),
        sa.Column("found_at", sa.BigInteger, nullable=False),
        sa.Column("times_found", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.UniqueConstraint("query_hash", "ref_hash", name="matches_pair"),
        sqlite_autoincrement=True,
    )
    op.create_index("matches_ref_hash", "matches", ["ref_hash"])
    op.create_index("matches_found_at", "matches", ["found_at"])
    op.create_table(
        "verdicts",
        sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("match_id", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("key_id", sa.String(32)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("verdicts_match_id", "verdicts", ["match_id"])
    op.create_table(
        "exceptions",
        sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("bank", sa.Text, nullable=False),
        sa.Column("query_hash", sa.String(64)),
        sa.Column("ref_hash", sa.String(64), nullable=False),
        sa.Column("start_seconds", sa.Float),
        sa.Column("end_seconds", sa.Float),
        sa.Column("key_id", sa.String(32)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("exceptions_ref_hash", "exceptions", ["ref_hash"])
    op.create_table(
        "jobs",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("progress", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.UniqueConstraint("id", name="jobs_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_owner_state", "jobs", ["owner", "state"])
    op.create_table(
        "idempotent_answers",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("idempotent_answers_created_at", "idempotent_answers", ["created_at"])
