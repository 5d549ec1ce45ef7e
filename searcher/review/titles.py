"""The titles of the videos of stored matches. They are read when a match is shown: a title may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from searcher.storage.video_store import VideoStore

# The title of a video of a bank, empty if it has none; None if this bank has no such video any more.
TitleOf: TypeAlias = Callable[[str, str], str | None]


def titles_of(videos: VideoStore) -> TitleOf:
    """The titles of a catalogue, each read once."""
    known: dict[str, tuple[str | None, str]] = {}

    def title_of(video_id: str, bank: str) -> str | None:
        if video_id not in known:
            video = videos.get(video_id)
            known[video_id] = (None, "") if video is None else (video.bank, video.title)
        of_bank, title = known[video_id]
        return title if of_bank == bank else None

    return title_of
