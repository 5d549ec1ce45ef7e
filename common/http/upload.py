"""A video a request brings, on disk and never whole in memory; or the address of one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from common.errors import StoryHashError, UsageError
from common.http.connection import network_of
from common.http.load_shedding import busy
from common.http.request_body import JSON_TYPE, content_type, read_json, unsupported
from common.http.upload_reading import FORM_TYPE, UploadWriter, cannot_keep, receive_upload
from common.scratch import delete_dead_files, locked_file
from common.settings import HttpSettings
from common.uris import is_remote, public_uri

_MAX_JSON_BYTES = 1 << 16
# What a video is sent as. A form without a file is what curl calls its body unless it is told otherwise.
_RAW_TYPES = frozenset(
    {"", "application/octet-stream", "application/mp4", "application/mxf", "application/ogg"}
)
_RAW_FAMILIES = ("video/", "image/")
_CURL_TYPE = "application/x-www-form-urlencoded"
_UPLOAD_NAME = "the upload"
_PREFIX = "storyhash-upload-"

# The body as OpenAPI documents it.
BODIES: Mapping[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}},
        }
    },
}


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """What a request is about: a file, else what its JSON says. `name`: how to call it."""

    path: Path | None
    name: str
    fields: Mapping[str, str]


class UploadStore:
    """Receives uploads into files, with a limit on their number and total bytes. For one event
    loop.

    An upload takes no slot of the load shedder: slow senders do not block other requests.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._receiving: Counter[str] = Counter()
        self._bytes = 0
        delete_dead_files(_PREFIX)

    @asynccontextmanager
    async def asked(self, request: Request, allowed: frozenset[str]) -> AsyncIterator[MatchRequest]:
        """Read a request's body; a file in it lies on disk for as long as the block lasts.

        A raw body, the field `file` of a form, or a JSON object with exactly one of the fields `allowed`.
        The parameter `name` says how to call the video. Raises ApiError for more than `max_upload_bytes`
        (413), for a body that comes too slowly (408), for another content type (415) and when too many
        uploads are under way (503), UsageError for a body that is none of these, StorageError.
        """
        kind = content_type(request)
        name = request.query_params.get("name", "")
        if kind == JSON_TYPE:
            fields = one_field(await read_json(request, _MAX_JSON_BYTES), allowed)
            yield MatchRequest(None, name or public_uri(next(iter(fields.values()))), fields)
            return
        _check_type(request, kind)
        path, sink, lock = None, None, None
        try:
            with self._place(request):
                descriptor, path = _scratch()
                # Shares the lock of the file, and keeps it until the file is deleted.
                lock = os.dup(descriptor)
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    sink = UploadWriter(file, self)
                    given = await receive_upload(request, kind, sink)
            if not sink.size:
                names = " or ".join(f'{{"{field}": ...}}' for field in sorted(allowed))
                raise UsageError(
                    f"no video in the request: send the file as its body, or JSON {names}"
                )
            yield MatchRequest(path, name or given or "upload", {})
        except StoryHashError as error:
            if path is not None:
                # Where it lay for a while tells its sender nothing.
                error.args = (str(error).replace(str(path), _UPLOAD_NAME),)
            raise
        finally:
            if sink is not None:
                self._bytes -= sink.size
            if path is not None:
                path.unlink(missing_ok=True)
            if lock is not None:
                os.close(lock)

    @property
    def max_bytes(self) -> int:
        """Of one upload."""
        return self._settings.max_upload_bytes

    def take(self, size: int) -> None:
        """Count bytes in. Raises ApiError (503) when there is no room for them."""
        if self._bytes + size > self._settings.max_uploads_bytes:
            raise busy(
                "the uploads in progress use all the disk space reserved for uploads; try "
                "again later"
            )
        self._bytes += size

    @contextmanager
    def _place(self, request: Request) -> Iterator[None]:
        """A place for as long as a body comes. Raises ApiError (503)."""
        network = network_of(request.client.host) if request.client else ""
        settings, most = self._settings, self._settings.max_uploads_per_address
        if self._receiving.total() >= settings.max_uploads:
            raise busy("too many uploads are in progress; try again later")
        if most and self._receiving[network] >= most:
            raise busy("too many uploads from your address are in progress; try again later")
        self._receiving[network] += 1
        try:
            yield
        finally:
            self._receiving[network] -= 1
            if not self._receiving[network]:
                del self._receiving[network]


def _check_type(request: Request, kind: str) -> None:
    """Raises ApiError (415)."""
    if kind == FORM_TYPE or kind in _RAW_TYPES or kind.startswith(_RAW_FAMILIES):
        return
    # Any web page could send this one; RequestGuard has seen whose page it is, where it is one.
    if kind == _CURL_TYPE and "origin" not in request.headers:
        return
    raise unsupported(kind, f"application/octet-stream, video/*, {FORM_TYPE} or {JSON_TYPE}")


def _scratch() -> tuple[int, Path]:
    try:
        return locked_file(_PREFIX)
    except OSError as error:
        raise cannot_keep(error) from None


def one_field(body: Mapping[str, Any], allowed: frozenset[str]) -> Mapping[str, str]:
    """The one field there is, a string that is not empty. Raises UsageError."""
    names = " or ".join(repr(name) for name in sorted(allowed))
    if len(body) != 1 or not body.keys() <= allowed:
        raise UsageError(f"the body: expected a JSON object with {names}, got {sorted(body)}")
    ((name, value),) = body.items()
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name}: expected a non-empty string")
    if name == "uri":
        check_address(value)
    return {name: value}


def check_address(uri: str) -> None:
    """Refuse a path: a server reads no file of its own for a caller. Raises UsageError."""
    if not is_remote(uri):
        raise UsageError(
            "uri: expected an address such as https://host/film.mp4; to send a local "
            "file, use it as the body"
        )
