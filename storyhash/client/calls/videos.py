"""The catalogue: videos, incomplete videos, generations and backups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from common.errors import UsageError
from searcher.api.maintenance.generation_schemas import (
    GenerationItem,
    GenerationName,
    GenerationPage,
)
from searcher.api.maintenance.snapshot_schemas import SnapshotItem, SnapshotPage
from searcher.api.maintenance.staged_schemas import StagedPage
from searcher.api.videos.schemas import (
    ChangedVideo,
    ErasureReceipt,
    NewVideo,
    VideoItem,
    VideoPage,
    VideoStates,
    VideoStatesRequest,
)
from storyhash.client.call import (
    Call,
    OnProgress,
    Upload,
    as_model,
    as_nothing,
    body_of,
    if_unchanged,
    new_key,
    operation,
)


@operation("GET", "/v1/videos")
def list_videos(
    *,
    bank: str | None = None,
    state: str | None = None,
    prefix: str | None = None,
    text: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[VideoPage]:
    """A page of the catalogue, ordered by id."""
    query = {"limit": limit, "cursor": cursor, "bank": bank, "state": state, "prefix": prefix}
    query["text"] = text
    return Call(as_model(VideoPage), query=query)


@operation("POST", "/v1/videos")
def add_video(
    uri: str | None = None,
    *,
    file: Path | bytes | None = None,
    name: str | None = None,
    video_id: str | None = None,
    bank: str | None = None,
    title: str | None = None,
    metadata: dict[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    idempotency_key: str | None = None,
) -> Call[VideoItem]:
    """Index the video at an address, or a file, which is uploaded. It is searchable when its state is
    `ready`. name: of the file (default: that of its path). on_progress: gets the sent bytes and all bytes
    of the file. Raises UsageError."""
    given = {"video_id": video_id, "bank": bank, "title": title}
    once = idempotency_key or new_key()
    if (uri is None) == (file is None):
        raise UsageError("expected one of: uri, file")
    if file is None:
        body = body_of(NewVideo, uri=uri, metadata=metadata, **given)
        return Call(as_model(VideoItem), json=body, once=once)
    query = {
        **given,
        "name": file.name if name is None and isinstance(file, Path) else name,
        "metadata": None if metadata is None else json.dumps(metadata, separators=(",", ":")),
    }
    upload = Upload(file, on_progress)
    return Call(as_model(VideoItem), query=query, upload=upload, once=once)


@operation("GET", "/v1/videos/{video_id}")
def show_video(video_id: str) -> Call[VideoItem]:
    """One video."""
    return Call(as_model(VideoItem), path={"video_id": video_id})


@operation("PATCH", "/v1/videos/{video_id}")
def change_video(
    video_id: str,
    *,
    title: str | None = None,
    bank: str | None = None,
    metadata: dict[str, Any] | None = None,
    disabled: bool | None = None,
    if_match: str | None = None,
) -> Call[VideoItem]:
    """Change what is given of a video; it is not indexed again. if_match: the ETag of the video that is
    changed."""
    given = {"title": title, "bank": bank, "metadata": metadata, "disabled": disabled}
    body = body_of(ChangedVideo, **given)
    path = {"video_id": video_id}
    return Call(as_model(VideoItem), path=path, json=body, **if_unchanged(if_match))


@operation("DELETE", "/v1/videos/{video_id}")
def delete_video(video_id: str, *, if_match: str | None = None) -> Call[None]:
    """Delete a video with its matches, verdicts and exceptions. if_match: the ETag of the video that is
    deleted."""
    return Call(as_nothing, path={"video_id": video_id}, **if_unchanged(if_match))


@operation("GET", "/v1/videos/{video_id}/content")
def video_content(
    video_id: str, *, first_byte: int = 0, last_byte: int | None = None
) -> Call[bytes]:
    """The file of a video, or a part of it. It is read into memory; use `stream` for a large one."""
    end = "" if last_byte is None else str(last_byte)
    headers = {"Range": f"bytes={first_byte}-{end}"} if first_byte or end else {}
    return Call(_bytes, path={"video_id": video_id}, headers=headers)


@operation("GET", "/v1/videos/{video_id}/thumbnail")
def video_thumbnail(video_id: str, *, seconds: float = 0.0) -> Call[bytes]:
    """The small picture of a video at this time, as WebP; empty if the service has none."""
    return Call(_bytes, path={"video_id": video_id}, query={"seconds": seconds})


@operation("GET", "/v1/videos/{video_id}/erasure")
def erasure_of_video(video_id: str) -> Call[ErasureReceipt]:
    """The receipt of a deletion: where the video was looked for, and what is left."""
    return Call(as_model(ErasureReceipt), path={"video_id": video_id})


@operation("POST", "/v1/videos/states")
def video_states(video_ids: Sequence[str]) -> Call[VideoStates]:
    """Which versions of up to 1000 videos are searchable, deleted or incomplete."""
    return Call(as_model(VideoStates), json=body_of(VideoStatesRequest, video_ids=list(video_ids)))


@operation("GET", "/v1/staged")
def list_staged(*, limit: int = 100, cursor: str | None = None) -> Call[StagedPage]:
    """A page of the videos that are not complete yet, ordered by id."""
    return Call(as_model(StagedPage), query={"limit": limit, "cursor": cursor})


@operation("DELETE", "/v1/staged/{video_id}")
def drop_staged(video_id: str, *, version: int | None = None) -> Call[None]:
    """Stop waiting for a video, or for one version of it."""
    return Call(as_nothing, path={"video_id": video_id}, query={"version": version})


@operation("GET", "/v1/generations")
def list_generations() -> Call[GenerationPage]:
    """The generations that the searcher follows."""
    return Call(as_model(GenerationPage))


@operation("POST", "/v1/generations")
def follow_generation(name: str) -> Call[GenerationItem]:
    """Follow another generation."""
    return Call(as_model(GenerationItem), json=body_of(GenerationName, generation=name))


@operation("POST", "/v1/generations/activate")
def activate_generation(name: str) -> Call[GenerationItem]:
    """Let another generation answer."""
    return Call(as_model(GenerationItem), json=body_of(GenerationName, generation=name))


@operation("DELETE", "/v1/generations/{name}")
def drop_generation(name: str) -> Call[None]:
    """Stop following a generation and delete its index."""
    return Call(as_nothing, path={"name": name})


@operation("GET", "/v1/snapshots")
def list_snapshots() -> Call[SnapshotPage]:
    """The backups of the service."""
    return Call(as_model(SnapshotPage))


@operation("POST", "/v1/snapshots")
def create_snapshot() -> Call[SnapshotItem]:
    """Begin a backup."""
    return Call(as_model(SnapshotItem), repeatable=False)


def _bytes(answer: httpx.Response) -> bytes:
    return answer.content
