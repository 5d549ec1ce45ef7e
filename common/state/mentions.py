"""The other videos that a stored match names: the best non-match, and videos of negative banks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from common.state.tables import MATCH_MENTIONS, MATCHES
from common.state.text import dump, load, text_hash
from common.state.video_names import videos_named, without_video

_TABLE = MATCH_MENTIONS.c


def note_mentions(connection: Connection, match_id: int, detail: Mapping[str, Any]) -> None:
    """Note whom the detail of a match names, in place of what was noted."""
    connection.execute(delete(MATCH_MENTIONS).where(_TABLE.match_id == match_id))
    hashes = sorted(map(text_hash, mentioned_in(detail)))
    if hashes:
        rows = [{"match_id": match_id, "video_hash": one} for one in hashes]
        connection.execute(insert(MATCH_MENTIONS), rows)


def mentioned_in(detail: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the videos that a match names besides its own two."""
    own = {(detail.get("query") or {}).get("video_id"), detail.get("ref_video_id")}
    return videos_named(dict(detail)) - own


def mentions(video_id: str) -> ColumnElement[bool]:
    """The condition that a match names this video as a third one."""
    return MATCHES.c.id.in_(select(_TABLE.match_id).where(_TABLE.video_hash == text_hash(video_id)))


def forget_mentions(connection: Connection, match_ids: Sequence[int], video_id: str) -> None:
    """Rewrite these matches without a video. A match without its best non-match has none; a range of a
    negative video stays, without its name."""
    chosen = select(MATCHES.c.id, MATCHES.c.detail).where(MATCHES.c.id.in_(match_ids))
    for row in connection.execute(chosen).all():
        detail = without_video(load(row.detail), video_id)
        this = MATCHES.c.id == row.id
        connection.execute(update(MATCHES).where(this).values(detail=dump(detail)))
        note_mentions(connection, row.id, detail)
