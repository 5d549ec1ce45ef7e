"""The plan of an `index` run: compares the given videos with the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from common.types import CatalogEntry
from common.uris import public_uri
from ingest.catalogue import CatalogueItem, Listing, RejectedVideo
from ingest.fingerprint import same_source, with_content
from ingest.sending_plan import WORTH_A_RETRY as LISTED
from searcher.storage.video import Description, Video
from searcher.storage.video_store import VideoStore
from storyhash.pipeline.naming import NamedVideo, named

# The next version may fix an internal error.
WORTH_A_RETRY = LISTED | {"internal"}


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A video to index, with its new version."""

    entry: CatalogEntry
    version: int
    root: str
    fingerprint: str

    @classmethod
    def of(cls, row: Video, version: int) -> WorkItem:
        """The video of a catalogue row, as another version."""
        return cls(row.entry, version, row.root, row.fingerprint)

    def row(self, duration_seconds: float = 0.0) -> Video:
        """The catalogue row of this version.

        duration_seconds: 0 for a version that is not complete. With a duration, the fingerprint gets a
        digest of the content, by which the video is recognised at another path.
        """
        entry, fingerprint = self.entry, self.fingerprint
        if duration_seconds:
            fingerprint = with_content(fingerprint, entry.uri)
        return Video(
            video_id=entry.video_id,
            uri=entry.uri,
            bank=entry.bank,
            title=entry.title,
            version=self.version,
            duration_seconds=duration_seconds,
            metadata=entry.metadata,
            root=self.root,
            fingerprint=fingerprint,
        )


@dataclass(frozen=True, slots=True)
class MovedVideo:
    """An indexed video that is now at another path. It is not embedded again."""

    video_id: str
    uri: str
    root: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Relabelled:
    """An indexed video whose bank, title or metadata changed. It is not embedded again. item: how it
    would be indexed. before: its current row."""

    item: WorkItem
    before: Video


@dataclass(frozen=True, slots=True)
class RenamedVideo:
    """A video whose id is not the one from its path, because another video has that id."""

    video_id: str
    uri: str
    taken_id: str
    taken_by: str


PlannedVideo: TypeAlias = WorkItem | MovedVideo | Relabelled | Video


@dataclass(slots=True)
class IndexPlan:
    """The videos of an `index` run by what must be done.

    refused: videos that failed before and have not changed. removed: ids of videos that were indexed from
    one of the given paths and are not there any more. failed: videos that cannot be indexed. twins: paths
    of second copies of a video under the same id. named: id of every video to its path.
    """

    work: list[WorkItem] = field(default_factory=list)
    unchanged: int = 0
    refused: list[Video] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    moved: list[MovedVideo] = field(default_factory=list)
    relabelled: list[Relabelled] = field(default_factory=list)
    renamed: list[RenamedVideo] = field(default_factory=list)
    failed: list[RejectedVideo] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)

    def embed_again(self, items: Sequence[WorkItem]) -> None:
        """Move videos from `relabelled` to `work`, because some of their vectors are missing."""
        again = {item.entry.video_id for item in items}
        self.work += items
        self.relabelled = [
            relabelled for relabelled in self.relabelled if relabelled.before.video_id not in again
        ]


def plan_videos(items: Iterable[CatalogueItem], videos: VideoStore) -> IndexPlan:
    """Find out which videos are new, changed, unfinished or moved.

    Two videos with the same id are both kept if their ids come from their paths: see `named`.
    """
    plan = IndexPlan()
    for item in items:
        named_video = named(item, videos, plan.named)
        if isinstance(named_video, RejectedVideo):
            plan.failed.append(named_video)
        elif named_video.is_twin:
            plan.twins.append(named_video.entry.uri)
        else:
            plan.named.setdefault(named_video.entry.video_id, named_video.entry.uri)
            _add(plan, item, named_video, _work_on(named_video, videos))
    return plan


def plan_work(listing: Listing, videos: VideoStore) -> IndexPlan:
    """As `plan_videos`, and also find the videos of the given folders that are gone."""
    plan = plan_videos(listing.videos, videos)
    plan.failed = [*listing.refused, *plan.failed]
    for uri in plan.twins:
        listing.passed_over.add("copy", "the same video under the same name", uri)
    named_ids = plan.named.keys() | {refused.video_id for refused in listing.refused}
    plan.removed = [
        video.video_id
        for video in _of_roots(videos, {item.root for item in listing.videos})
        if video.video_id not in named_ids
        and not _is_below(video.uri, listing.refused)
        and not listing.excludes(video.root, video.uri)
    ]
    return plan


def _add(
    plan: IndexPlan, item: CatalogueItem, named_video: NamedVideo, outcome: PlannedVideo
) -> None:
    add_to_plan(plan, outcome)
    if isinstance(outcome, WorkItem) and named_video.taken_by:
        plan.renamed.append(
            RenamedVideo(
                outcome.entry.video_id, outcome.entry.uri, item.entry.video_id, named_video.taken_by
            )
        )


def add_to_plan(plan: IndexPlan, outcome: PlannedVideo) -> None:
    """Add what must be done for one video; its row if nothing must be done."""
    if isinstance(outcome, WorkItem):
        plan.work.append(outcome)
    elif isinstance(outcome, MovedVideo):
        plan.moved.append(outcome)
    elif isinstance(outcome, Relabelled):
        plan.relabelled.append(outcome)
    elif outcome.state == "failed":
        plan.refused.append(outcome)
    else:
        plan.unchanged += 1


def _work_on(named_video: NamedVideo, videos: VideoStore) -> PlannedVideo:
    """What must be done for a video. Returns its row if nothing must be done: it is indexed or failed,
    and has not changed."""
    row = named_video.row
    entry = named_video.entry if row is None else as_edited(named_video.entry, row, videos)
    version = videos.next_version(entry.video_id)
    item = WorkItem(entry, version, named_video.root, named_video.fingerprint)
    if row is not None and _is_settled(entry, row, named_video):
        if not is_described(row, entry):
            return Relabelled(item, row) if row.state == "ready" else item
        if is_here(row, entry) or not named_video.is_moved:
            return row
        content = with_content(named_video.fingerprint, entry.uri)
        return MovedVideo(entry.video_id, entry.uri, named_video.root, content)
    return item


def note_moves(moved: Iterable[MovedVideo], videos: VideoStore) -> None:
    """Write the new paths of moved videos into the catalogue."""
    for video in moved:
        videos.move(video.video_id, video.uri, video.root, video.fingerprint)


def _is_settled(entry: CatalogEntry, row: Video, named_video: NamedVideo) -> bool:
    if row.state == "pending":
        return False
    is_same_place = is_here(row, entry)
    if is_same_place and not same_source(row.fingerprint, named_video.fingerprint):
        return False
    if not is_same_place and not named_video.same_content:
        return False
    # A video that failed at its old path is tried again at the new one.
    if named_video.is_moved and row.state != "ready":
        return False
    return not (row.state == "failed" and row.error_code in WORTH_A_RETRY)


def as_edited(entry: CatalogEntry, row: Video, videos: VideoStore) -> CatalogEntry:
    """The entry with the description that somebody wrote into the catalogue instead of this one;
    unchanged if the source has another description now."""
    if videos.replaced_description(row.video_id) != description_of(entry):
        return entry
    return replace(entry, bank=row.bank, title=row.title, metadata=row.metadata)


def description_of(entry: CatalogEntry) -> Description:
    """Bank, title and metadata of an entry."""
    return Description(entry.bank, entry.title, dict(entry.metadata))


def is_here(row: Video, entry: CatalogEntry) -> bool:
    """Whether the row and the entry have the same path or address."""
    return public_uri(row.uri) == public_uri(entry.uri)


def is_described(row: Video, entry: CatalogEntry) -> bool:
    """Whether the row and the entry have the same bank, title and metadata."""
    return row.description == description_of(entry)


def _of_roots(videos: VideoStore, roots: set[str]) -> Iterable[Video]:
    return (video for video in videos.all() if video.root in roots)


def _is_below(uri: str, refused: Iterable[RejectedVideo]) -> bool:
    """Whether a path is, or is below, one that could not be read this time."""
    return any(uri == video.uri or uri.startswith(f"{video.uri}/") for video in refused)
