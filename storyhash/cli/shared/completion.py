"""Shell completion of arguments. After an error nothing is offered, because a shell cannot show
errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import StoryHashError
from common.settings import load_settings

_MOST_IDS = 50


def profile_names(incomplete: str) -> list[str]:
    """Names of profiles that begin with `incomplete`."""
    from storyhash.profiles import AUTO, PROFILES

    return [name for name in (AUTO, *PROFILES) if name.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Names of models on the hub that begin with `incomplete`."""
    from embedder.weights.hub import HUB_MODELS

    return [name for name in HUB_MODELS if name.startswith(incomplete)]


def video_ids(ctx: Any, incomplete: str) -> list[str]:
    """Ids of indexed videos that begin with `incomplete`, from the data folder of the command line or the
    settings."""
    try:
        return list(_video_ids(ctx.params.get("data"), incomplete))
    except (StoryHashError, OSError):
        return []


def _video_ids(data: Path | None, incomplete: str) -> Iterator[str]:
    from searcher.storage.database import Database
    from searcher.storage.video_store import VideoStore

    path = load_settings(data_dir=data).data_dir / "videos.sqlite"
    if not path.is_file():
        return
    database = Database(path, read_only=True)
    try:
        # `page` begins after the given id, so a video with exactly this id is looked up separately.
        exact = VideoStore(database).get(incomplete)
        if exact is not None:
            yield exact.video_id
        videos, _ = VideoStore(database).page(after=incomplete, limit=_MOST_IDS)
        yield from (video.video_id for video in videos if video.video_id.startswith(incomplete))
    finally:
        database.close()
