"""Add what the JSON of a match tells and SQL asks for: its coverage, and the videos that it names besides
its own two."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_STEP = 500
_MATCHES = sa.table("matches", sa.column("id"), sa.column("coverage"), sa.column("detail"))


def upgrade() -> None:
    op.add_column("matches", sa.Column("coverage", sa.Float))
    mentions = op.create_table(
        "match_mentions",
        sa.Column("match_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("video_hash", sa.String(64), primary_key=True),
    )
    op.create_index("match_mentions_video_hash", "match_mentions", ["video_hash"])
    connection, last = op.get_bind(), -1
    this = _MATCHES.c.id == sa.bindparam("match_id")
    set_coverage = sa.update(_MATCHES).where(this).values(coverage=sa.bindparam("found"))
    while True:
        query = sa.select(_MATCHES).where(_MATCHES.c.id > last).order_by(_MATCHES.c.id)
        rows = connection.execute(query.limit(_STEP)).all()
        if not rows:
            return
        details = {row.id: json.loads(row.detail) for row in rows}
        connection.execute(
            set_coverage,
            [{"match_id": one, "found": detail.get("coverage")} for one, detail in details.items()],
        )
        named = [
            {"match_id": match_id, "video_hash": video_hash}
            for match_id, detail in details.items()
            for video_hash in sorted(_hashes(detail))
        ]
        if named:
            connection.execute(sa.insert(mentions), named)
        last = rows[-1].id


def _hashes(detail: dict[str, Any]) -> set[str]:
    query = detail.get("query") or {}
    named = [detail.get("best_non_match"), *(detail.get("negatives") or ())]
    ids = {one.get("video_id") for one in named if one}
    return {
        hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()
        for video_id in ids - {None, query.get("video_id"), detail.get("ref_video_id")}
    }
