"""Selects the videos of the catalogue to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from common.errors import UsageError
from common.uris import absolute, is_remote, public_uri
from ingest.catalogue import check_argument, list_catalog
from ingest.fingerprint import is_gone
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


@dataclass(frozen=True, slots=True)
class Scope:
    """The videos to ask about, by id; what of `path` is not indexed, as paths."""

    video_ids: tuple[str, ...]
    path: str = ""
    not_indexed: tuple[str, ...] = ()


def searchable_videos(videos: VideoStore) -> Iterator[Video]:
    """Every video that has been indexed whole."""
    return (video for video in videos.all() if video.version > 0)


def videos_below(path: str | None, videos: Mapping[str, Video]) -> Scope:
    """The videos of a file or folder, also those whose file is gone; all of them without a path.

    Raises UsageError for a path that neither the disk nor the catalogue has, and where nothing of it is
    indexed.
    """
    if path is None:
        return Scope(tuple(videos))
    prefix = absolute(check_argument(path))
    by_uri = {public_uri(video.uri): name for name, video in videos.items()}
    within = {
        name
        for uri, name in by_uri.items()
        if uri == prefix or uri.startswith(prefix.rstrip("/") + "/")
    }
    listed: list[str] = []
    if is_remote(prefix) or not is_gone(prefix):
        listing = list_catalog([path])
        listed = [public_uri(item.entry.uri) for item in listing.videos]
        within |= {by_uri[uri] for uri in listed if uri in by_uri}
    elif not within:
        raise UsageError(f"{path}: there is no such file or folder, here or in the catalogue")
    not_indexed = tuple(uri for uri in listed if uri not in by_uri)
    if not within:
        raise UsageError(f"nothing of {path} is indexed; run `storyhash index {path}` first")
    return Scope(tuple(sorted(within)), path, not_indexed)
