"""`GET /v1/videos/{id}/content`: the file of a video, for a person who compares it with a query."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.settings import HttpSettings
from common.state.roles import Role
from common.uris import is_remote
from searcher.api.video_path import VIDEO_ID, PartOfVideo
from searcher.serving import Catalogue
from searcher.storage.video import Video
from searcher.visible_video import visible_video

_BLOCK_BYTES = 1 << 18
# Threads that read files. Other routes do not use them.
_THREADS = 4
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Other types are sent as plain bytes: a browser must take no file for a page or a script.
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".mkv": "video/webm",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".ogg": "video/ogg",
}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file.",
        "content": {"video/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {"description": "The bytes of the `Range` header."},
    416: {"description": "The range begins after the end of the file."},
}


def content_router(catalogue: Catalogue, settings: HttpSettings) -> APIRouter:
    """The route. Only files in `settings.content_folders` are sent."""
    router = APIRouter(tags=["videos"], route_class=PartOfVideo)
    limiter = CapacityLimiter(_THREADS)

    @router.get(
        f"/v1/videos/{VIDEO_ID}/content",
        dependencies=needs(Role.READER),
        response_class=Response,
        responses={**_DOCUMENTED, **ERRORS},
    )
    async def content(request: Request, video_id: str) -> Response:
        """Get the file of a video, or the part of it that a `Range` header names. Only files in
        STORYHASH_HTTP__CONTENT_FOLDERS are sent."""
        videos, caller = catalogue.current().index.videos, facts_of(request.scope).caller
        video = await to_thread.run_sync(visible_video, videos, video_id, caller)
        open_file = partial(_open, video, settings.content_folders)
        descriptor, found = await to_thread.run_sync(open_file, limiter=limiter)
        try:
            return _response(descriptor, found, video, request, limiter)
        except BaseException:
            os.close(descriptor)
            raise

    return router


def _open(video: Video, folders: Sequence[Path]) -> tuple[int, os.stat_result]:
    """A descriptor of the video's file, and what the system says of it. Raises ApiError (404)."""
    if is_remote(video.uri):
        raise _no_content("the video came from an address, and StoryHash keeps no copy of a file")
    if not folders:
        raise _no_content(
            "this service sends no files; name the folders whose videos it may send in "
            "STORYHASH_HTTP__CONTENT_FOLDERS"
        )
    try:
        path = Path(video.uri).resolve(strict=True)
        if not _is_inside(path, folders):
            raise _no_content("the file is in no folder of STORYHASH_HTTP__CONTENT_FOLDERS")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        # No path in the message: it is the server's own.
        raise _no_content("the file is missing or cannot be read") from None
    try:
        found = os.fstat(descriptor)
        # A folder of the path may have become a link since it was resolved.
        now = path.resolve(strict=True)
        if not stat.S_ISREG(found.st_mode) or not os.path.samestat(found, os.stat(now)):
            raise _no_content("the video is not one file")
        if not _is_inside(now, folders):
            raise _no_content("the file is in no folder of STORYHASH_HTTP__CONTENT_FOLDERS")
    except OSError:
        os.close(descriptor)
        raise _no_content("the file is missing or cannot be read") from None
    except ApiError:
        os.close(descriptor)
        raise
    return descriptor, found


def _is_inside(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


def _no_content(why: str) -> ApiError:
    return ApiError(404, "no_content", why)


def _response(
    descriptor: int,
    found: os.stat_result,
    video: Video,
    request: Request,
    limiter: CapacityLimiter,
) -> Response:
    """The bytes of the Range header; the whole file without one, or if `If-Range` names another version
    of the file. Raises UsageError, ApiError (416)."""
    size, tag = found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    head_only = facts_of(request.scope).head_only
    wanted = request.headers.get("range")
    if head_only or request.headers.get("if-range", tag) != tag:
        wanted = None
    first, last = (0, size - 1) if wanted is None else _range(wanted, size)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Length": str(last - first + 1),
        "Content-Type": _TYPES.get(Path(video.uri).suffix.lower(), "application/octet-stream"),
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    blocks = _blocks(descriptor, first, first if head_only else last + 1, limiter)
    return _FileResponse(descriptor, blocks, 200 if wanted is None else 206, headers)


class _FileResponse(StreamingResponse):
    """Closes the file at the end, also if the caller has gone before the first block."""

    def __init__(
        self, descriptor: int, blocks: AsyncIterator[bytes], status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(blocks, status, headers)
        self._descriptor = descriptor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def _range(wanted: str, size: int) -> tuple[int, int]:
    """First and last byte of one range, RFC 9110 section 14.1.2. Raises UsageError, ApiError (416)."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or not any(found.groups()):
        raise UsageError(f"Range: expected bytes=FIRST-LAST, one range, got {wanted[:100]!r}")
    start, end = found.groups()
    if start:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
    else:
        first, last = max(0, size - int(end)), size - 1
    if first >= size or last < first:
        raise ApiError(
            416,
            "no_such_range",
            f"Range: the file has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last


async def _blocks(
    descriptor: int, position: int, end: int, limiter: CapacityLimiter
) -> AsyncIterator[bytes]:
    while position < end:
        size = min(_BLOCK_BYTES, end - position)
        block = await to_thread.run_sync(os.pread, descriptor, size, position, limiter=limiter)
        if not block:
            # The file became shorter; the client sees that bytes are missing.
            return
        position += len(block)
        yield block
