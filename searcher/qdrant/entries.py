"""The points of the register: one per video, and the epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from qdrant_client import models

from common.uris import public_uri
from searcher.qdrant.points import equals, version_below, video_point_id
from searcher.storage.video import Video

EPOCH_ID = video_point_id("")
LIVE, DELETED, EPOCH = 0, 1, 2
# What an entry is made of.
ENTRY_FIELDS = ["version", "deleted", "searchable"]


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What the register says of a video. deleted: every version up to this one is. searchable: number of
    segments of the version that a search can return."""

    version: int = 0
    deleted: int = LIVE
    searchable: int = 0

    @property
    def current(self) -> int:
        """The searchable version, 0 if there is none."""
        return 0 if self.deleted else self.version


ABSENT = Entry()


def row_point(row: Video) -> models.PointStruct:
    """The entry of a searchable version."""
    public = replace(row, uri=public_uri(row.uri))
    return models.PointStruct(
        id=video_point_id(row.video_id),
        vector={},
        payload={
            "video_id": row.video_id,
            "version": row.version,
            "deleted": LIVE,
            "bank": row.bank,
            "state": row.state,
            "searchable": row.segments - row.uninformative_segments,
            "video": json.dumps(asdict(public)),
        },
    )


def tombstone(video_id: str, version: int) -> models.PointStruct:
    """The entry of a deleted video."""
    return models.PointStruct(
        id=video_point_id(video_id),
        vector={},
        payload={"video_id": video_id, "version": version, "deleted": DELETED, "searchable": 0},
    )


def is_older(version: int, *, gone: bool) -> models.Filter:
    """What an entry may replace: an older version; a deletion also its own version, and a row its own
    version unless that was deleted."""
    if gone:
        return models.Filter(must=[version_below(version, equal=True)])
    same = models.Filter(must=[equals("version", version), equals("deleted", LIVE)])
    return models.Filter(should=[version_below(version, equal=False), same])


def upsert_if(point: models.PointStruct, only: models.Filter) -> models.UpsertOperation:
    """Write a point if there is none with its id, or one that meets the filter."""
    return models.UpsertOperation(upsert=models.PointsList(points=[point], update_filter=only))


def entry_of(record: models.Record) -> Entry:
    """The entry of a point that was read."""
    payload = record.payload or {}
    return Entry(payload["version"], payload["deleted"], payload.get("searchable", 0))


def epoch_of(records: Iterable[models.Record]) -> int:
    """The epoch among the records of a node, 0 before the first write."""
    return next((entry_of(record).version for record in records if record.id == EPOCH_ID), 0)


def row_of(payload: Mapping[str, Any]) -> Video:
    """The catalogue row in an entry."""
    return Video(**json.loads(payload["video"]))
