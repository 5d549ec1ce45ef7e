"""Makes the catalogue of a data folder and the index in Qdrant consistent, when the folder is opened."""

from __future__ import annotations

from dataclasses import dataclass, replace

from searcher.lost_vectors import all_lost, some_lost
from searcher.qdrant.store import QdrantStore
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the register must get: rows by video_id, and deleted versions by video_id. said: messages for
    the user."""

    unshown: dict[str, Video]
    unhidden: dict[str, int]
    said: list[str]


def recover(videos: VideoStore, store: QdrantStore) -> Recovered:
    """Update the catalogue. Returns what the register lacks of it. Raises DependencyError."""
    rows = {row.video_id: row for row in videos.all() if row.version}
    # Deletions that this catalogue does not know: it was lost, or comes from a backup.
    gone = {
        name: last
        for name, last in store.register.deleted().items()
        if last >= (rows[name].version if name in rows else videos.next_version(name))
    }
    videos.delete_all(gone)
    rows = {name: row for name, row in rows.items() if name not in gone}
    registered = store.register.versions()
    if not registered and any(row.segments for row in rows.values()):
        videos.lose_vectors()
        return Recovered({}, {}, [all_lost("the Qdrant collection")])
    # The collections may come from a snapshot that is older than a deletion.
    deleted = {
        name: videos.next_version(name) - 1
        for name in registered.keys() - rows.keys()
        if videos.was_deleted(name)
    }
    unhidden = {name: last for name, last in deleted.items() if registered[name] <= last}
    notices = _adopt_newer(videos, store, registered, rows)
    unshown, lost = _unfinished(videos, store, registered, rows)
    if lost:
        videos.begin(*lost)
        notices.append(some_lost("Qdrant", lost))
    return Recovered(unshown, unhidden, notices)


def _adopt_newer(
    videos: VideoStore, store: QdrantStore, registered: dict[str, int], rows: dict[str, Video]
) -> list[str]:
    """Take over the versions that the register knows and the catalogue does not, because it was lost or
    comes from a backup: otherwise its next versions would be older than those that are searchable."""
    newer = {
        name
        for name, version in registered.items()
        if (name not in rows or version > rows[name].version)
        and version >= videos.next_version(name)
    }
    if not newer:
        return []
    found = [row for row in store.register.rows() if row.video_id in newer]
    videos.commit_all(found)
    return [f"{len(found)} videos, which the catalogue lacked, were read from Qdrant"]


def _unfinished(
    videos: VideoStore, store: QdrantStore, registered: dict[str, int], rows: dict[str, Video]
) -> tuple[dict[str, Video], list[Video]]:
    """The rows that the register must get: versions that it lacks, or whose older points may still be
    there. And the rows of which Qdrant lacks segments."""
    unfinished = set(videos.unshown())
    short = store.count() < sum(row.segments for row in rows.values())
    unshown: dict[str, Video] = {}
    lost: list[Video] = []
    for name, row in rows.items():
        version = registered.get(name, 0)
        due = version < row.version or name in unfinished
        if version > row.version or not (due or short):
            continue
        if not store.has_version(name, row.version, row.segments):
            lost.append(row)
        elif due:
            unshown[name] = replace(row, state="ready")
    return unshown, lost


def sweep(videos: VideoStore, store: QdrantStore) -> None:
    """Delete points of older versions and of deleted videos, if there are more points than the catalogue
    has segments: a write that a node held up may have come after the deletion."""
    if store.count() <= sum(row.segments for row in videos.all() if row.version):
        return
    current = videos.versions()
    store.delete_older(
        {
            name
            for name, version in set(store.held_versions())
            if version != current.get(name) and version < videos.next_version(name)
        }
    )
