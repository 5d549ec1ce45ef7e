"""What an `index` run has to do: the videos named, held against those indexed already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import UsageError
from common.types import CatalogEntry
from common.uris import is_remote, public_uri
from ingest.catalog import Listed
from ingest.fingerprint import source_fingerprint
from ingest.ledger import WORTH_A_RETRY
from searcher.videos import Video, VideoStore

# An internal error may be mended by the next version.
_WORTH_A_RETRY = WORTH_A_RETRY | {"internal"}


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One video to index, as a version."""

    entry: CatalogEntry
    version: int
    root: str
    fingerprint: str

    def row(self, duration_seconds: float = 0.0) -> Video:
        """The catalogue row this version will have."""
        entry = self.entry
        return Video(
            video_id=entry.video_id,
            uri=entry.uri,
            bank=entry.bank,
            title=entry.title,
            version=self.version,
            duration_seconds=duration_seconds,
            metadata=entry.metadata,
            root=self.root,
            fingerprint=self.fingerprint,
        )


@dataclass(slots=True)
class Plan:
    """`refused`: failed before and have not changed since. `removed`: indexed from one of the paths
    given, and no longer there."""

    work: list[WorkItem] = field(default_factory=list)
    unchanged: int = 0
    refused: list[Video] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def plan_work(listed: Sequence[Listed], videos: VideoStore) -> Plan:
    """Which of the videos named are new, changed, unfinished or gone.

    Raises UsageError when a name is taken by another video that is still where it was.
    """
    plan = Plan()
    for one in listed:
        found = work_on(one, videos)
        if isinstance(found, WorkItem):
            plan.work.append(found)
        elif found.state == "failed":
            plan.refused.append(found)
        else:
            plan.unchanged += 1
    named = {one.entry.video_id for one in listed}
    roots = {one.root for one in listed}
    plan.removed = [
        video.video_id
        for video in videos.all()
        if video.root in roots and video.video_id not in named
    ]
    return plan


def work_on(one: Listed, videos: VideoStore) -> WorkItem | Video:
    """What is to be done for a video; its row where that is nothing, as it is indexed, or failed, and has
    not changed since.

    Raises UsageError when its name is taken by another video that is still where it was.
    """
    held = videos.get(one.entry.video_id)
    fingerprint = source_fingerprint(one.entry.uri)
    if held is not None:
        _check_same_video(one.entry, held)
        if _is_settled(one.entry, held, fingerprint):
            return held
    return WorkItem(one.entry, videos.next_version(one.entry.video_id), one.root, fingerprint)


def _is_settled(entry: CatalogEntry, held: Video, fingerprint: str) -> bool:
    if held.state == "pending" or held.fingerprint != fingerprint:
        return False
    if held.state == "failed" and held.error_code in _WORTH_A_RETRY:
        return False
    return is_described(held, entry)


def is_described(held: Video, entry: CatalogEntry) -> bool:
    """Whether the row says of the video what the entry does."""
    described = (held.bank, held.title, dict(held.metadata))
    return described == (entry.bank, entry.title, dict(entry.metadata))


def _check_same_video(entry: CatalogEntry, held: Video) -> None:
    if public_uri(held.uri) != public_uri(entry.uri) and (
        is_remote(held.uri) or Path(held.uri).exists()
    ):
        raise UsageError(
            f"{public_uri(entry.uri)} would be named {entry.video_id!r}, as {public_uri(held.uri)} is "
            "already; "
            "index the folder above both, or name it in a manifest"
        )
