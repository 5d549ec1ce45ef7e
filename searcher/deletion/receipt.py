"""The erasure receipt: where a video was looked for, and how much of it was found there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import StoryHashError
from searcher.backup.manifest import CATALOGUE, SECOND, backups_in
from searcher.storage.database import Database
from searcher.storage.video import now
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and most commands on videos do not need it.
    from common.state.state import State


@dataclass(frozen=True, slots=True)
class Place:
    """found: how many items of the video are there. items: what is counted."""

    place: str
    items: str
    found: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """erased: nothing was found in any place. kept: what stays on purpose, and why; nothing if the index
    has never had a video of this id."""

    video_id: str
    checked_at: str
    erased: bool
    places: list[Place]
    kept: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def erasure_receipt(
    index: VideoIndex,
    video_id: str,
    state: State | None,
    backups: Path | None,
    second: VideoIndex | None = None,
) -> Receipt:
    """Look for a video in everything that this process can reach. state: None if there is none; backups:
    the folder of backups, None if there is none. second: the index of the second opinion, None if there
    is none. Raises what reading the stores raises."""
    places = _in_index(index, video_id)
    if second is not None:
        places += [
            replace(place, place=f"second opinion: {place.place}")
            for place in _in_index(second, video_id)
        ]
    if state is not None:
        places += [
            Place("matches", "matches, as query or reference", state.matches.count_of(video_id)),
            Place(
                "other matches",
                "matches of two other videos that name it",
                state.matches.mentions_of(video_id),
            ),
            Place("exceptions", "exceptions", state.exceptions.count_of(video_id)),
            Place("jobs", "jobs that name it", state.jobs.count_of(video_id)),
            Place("webhooks", "deliveries that name it", state.deliveries.count_of(video_id)),
            Place(
                "answers",
                "answers kept for an Idempotency-Key that name it",
                state.answers.count_of(video_id),
            ),
        ]
    if backups is not None and backups.is_dir():
        places.append(Place("backups", "backups with it", _in_backups(backups, video_id)))
    erased = not any(one.found for one in places)
    unknown = erased and not index.videos.was_deleted(video_id)
    return Receipt(video_id, now(), erased, places, {} if unknown else _KEPT)


def _in_index(index: VideoIndex, video_id: str) -> list[Place]:
    with index.changing:
        unpurged = video_id in index.videos.unpurged()
        return [
            Place("catalogue", "rows", int(index.videos.get(video_id) is not None)),
            # The shard's graph and its delta.
            Place("shard", "segments", len(index.vectors_of(video_id).refs)),
            Place("mirror", "segments", len(index.segments_of(video_id))),
            # A snapshot is written again before a deletion counts as finished.
            Place("snapshots", "pending deletions", int(unpurged)),
            Place("staging", "incomplete versions", len(index.staging.staged_versions(video_id))),
            Place("thumbnails", "files of thumbnails", index.thumbnails.count(video_id)),
            Place("uploads", "uploaded files", index.uploads.count(video_id)),
        ]


_KEPT = {
    "id and last version": "so that a video indexed again under this id gets a higher version",
    "size and time of its file": "so that a watched folder does not bring it back",
    "audit log": "who deleted it, for STORYHASH_STATE__AUDIT_DAYS",
    "events of its deletion": "in the outbox of webhooks, until they are trimmed",
}


def _in_backups(folder: Path, video_id: str) -> int:
    """Backups of which a catalogue has the video; one that cannot be read counts, too."""
    found = 0
    for backup in backups_in(folder):
        catalogues = [backup / CATALOGUE]
        if (backup / SECOND).is_dir():
            catalogues.append(backup / SECOND / CATALOGUE)
        try:
            found += any(_has(catalogue, video_id) for catalogue in catalogues)
        except StoryHashError:
            found += 1
    return found


def _has(catalogue: Path, video_id: str) -> bool:
    with closing(Database(catalogue, read_only=True)) as database:
        return VideoStore(database).get(video_id) is not None
