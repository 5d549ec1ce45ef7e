"""The video of a request: an upload, which is written to disk in parts, or an address."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anyio import CancelScope, to_thread
from starlette.requests import Request

from common.errors import StoryHashError, UsageError
from common.http.connection import network_of
from common.http.errors import ApiError
from common.http.load_shedding import busy
from common.http.request_body import JSON_TYPE, content_type, read_json, unsupported
from common.http.request_facts import facts_of
from common.http.request_metrics import QueueMetrics
from common.http.upload_reading import FORM_TYPE, UploadWriter, cannot_keep, receive_upload
from common.metrics import Metrics
from common.scratch import delete_dead_files, locked_file
from common.settings import HttpSettings
from common.uris import is_remote, public_uri

Result = TypeVar("Result")
_MAX_JSON_BYTES = 1 << 16
# Characters of a display name that are kept: it is stored with each match.
MAX_NAME = 1000
# Content types of a raw upload. curl sends _CURL_TYPE by default, whatever the body is.
_RAW_TYPES = frozenset(
    {"", "application/octet-stream", "application/mp4", "application/mxf", "application/ogg"}
)
_RAW_FAMILIES = ("video/", "image/")
_CURL_TYPE = "application/x-www-form-urlencoded"
# The JSON field of a video that must be fetched and decoded.
_ADDRESS = "uri"
_UPLOAD_NAME = "the upload"
_PREFIX = "storyhash-upload-"

# The request body in the OpenAPI document.
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
    """The query of a request. path: the uploaded file; None if the body was JSON. fields: the JSON field,
    name to value; empty for an upload. name: display name of the video. sha256: of the uploaded file."""

    path: Path | None
    name: str
    fields: Mapping[str, str]
    sha256: str = ""


class UploadStore:
    """Writes uploads into files, with limits on their number and total bytes. Use it from one event loop.

    An upload takes no place of the load shedder, so slow senders do not block other requests.
    """

    def __init__(self, settings: HttpSettings, metrics: Metrics | None = None) -> None:
        """metrics: counts bytes, places and refusals."""
        self._settings = settings
        self._counted = None if metrics is None else metrics.upload_bytes_total
        self._measured = None if metrics is None else QueueMetrics(metrics, "upload")
        if self._measured is not None:
            self._measured.running.set_function(lambda: self._receiving.total())
        self._receiving: Counter[str] = Counter()
        self._bytes = 0
        delete_dead_files(_PREFIX)

    @asynccontextmanager
    async def asked(self, request: Request, allowed: frozenset[str]) -> AsyncIterator[MatchRequest]:
        """Read the body of a request. An uploaded file exists until the `with` block ends.

        The body is the raw file, a form with the file in the field `file`, or a JSON object with exactly
        one of the fields in `allowed`. The query parameter `name` is the display name of the video, of
        which MAX_NAME characters are kept.

        Raises ApiError for more than `max_upload_bytes` (413), a body that arrives too slowly (408),
        another content type (415), an address when the key has no second of video left (429) or too many
        uploads at once (503), UsageError for any other body, StorageError.
        """
        kind = content_type(request)
        name = request.query_params.get("name", "")[:MAX_NAME]
        if kind == JSON_TYPE:
            fields = one_field(await read_json(request, _MAX_JSON_BYTES), allowed)
            meter = facts_of(request.scope).meter
            if _ADDRESS in fields and meter is not None:
                meter.check_seconds()
            yield MatchRequest(None, name or public_uri(next(iter(fields.values()))), fields)
            return
        _check_type(request, kind)
        path, sink, lock = None, None, None
        try:
            with self._place(request):
                descriptor, path = await _off_loop(_scratch)
                # The copy keeps the file's lock until the file is deleted.
                lock = os.dup(descriptor)
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    sink = UploadWriter(file, self)
                    given = await receive_upload(request, kind, sink)
            if not sink.size:
                names = " or ".join(f'{{"{field}": ...}}' for field in sorted(allowed))
                raise UsageError(
                    f"no video in the request: send the file as its body, or JSON {names}"
                )
            yield MatchRequest(path, name or given[:MAX_NAME] or "upload", {}, sink.sha256)
        except StoryHashError as error:
            if path is not None:
                # The temporary path means nothing to the sender.
                error.args = (str(error).replace(str(path), _UPLOAD_NAME),)
            raise
        finally:
            if sink is not None:
                self._bytes -= sink.size
            if path is not None:
                await _off_loop(partial(_delete, path, lock))

    @property
    def max_bytes(self) -> int:
        """Maximum bytes of one upload."""
        return self._settings.max_upload_bytes

    @property
    def max_kept_bytes(self) -> int:
        """Maximum bytes of all uploads that are kept in the catalogue."""
        return self._settings.max_kept_uploads_bytes

    def take(self, size: int) -> None:
        """Count received bytes. Raises ApiError (503) if all uploads together exceed the limit."""
        if self._bytes + size > self._settings.max_uploads_bytes:
            raise self._refused(
                "the uploads in progress use all the disk space reserved for uploads; try again later"
            )
        self._bytes += size
        if self._counted is not None:
            self._counted.inc(size)

    def _refused(self, why: str) -> ApiError:
        if self._measured is not None:
            self._measured.refused.inc()
        return busy(why)

    @contextmanager
    def _place(self, request: Request) -> Iterator[None]:
        """Take a place while a body arrives. Raises ApiError (503)."""
        network = network_of(request.client.host) if request.client else ""
        settings, most = self._settings, self._settings.max_uploads_per_address
        if self._receiving.total() >= settings.max_uploads:
            raise self._refused("too many uploads are in progress; try again later")
        if most and self._receiving[network] >= most:
            raise self._refused(
                "too many uploads from your address are in progress; try again later"
            )
        self._receiving[network] += 1
        try:
            yield
        finally:
            self._receiving[network] -= 1
            if not self._receiving[network]:
                del self._receiving[network]


def _check_type(request: Request, kind: str) -> None:
    """Check the content type. Raises ApiError (415)."""
    if kind == FORM_TYPE or kind in _RAW_TYPES or kind.startswith(_RAW_FAMILIES):
        return
    # Any web page can send this type without a preflight, so a request with an Origin must use another
    # one.
    if kind == _CURL_TYPE and "origin" not in request.headers:
        return
    raise unsupported(kind, f"application/octet-stream, video/*, {FORM_TYPE} or {JSON_TYPE}")


def _scratch() -> tuple[int, Path]:
    try:
        return locked_file(_PREFIX)
    except OSError as error:
        raise cannot_keep(error) from None


def _delete(path: Path, lock: int | None) -> None:
    path.unlink(missing_ok=True)
    if lock is not None:
        os.close(lock)


async def _off_loop(work: Callable[[], Result]) -> Result:
    """The result of work on the disk, in a thread: to delete a large file takes longer than other
    requests should wait. It is not cancelled half-way."""
    with CancelScope(shield=True):
        result = await to_thread.run_sync(work)
    return result  # noqa: RET504


def one_field(body: Mapping[str, Any], allowed: frozenset[str]) -> Mapping[str, str]:
    """The only field of a JSON body; its value is a non-empty string. Raises UsageError."""
    names = " or ".join(repr(name) for name in sorted(allowed))
    if len(body) != 1 or not body.keys() <= allowed:
        raise UsageError(f"the body: expected a JSON object with {names}, got {sorted(body)}")
    ((name, value),) = body.items()
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name}: expected a non-empty string")
    if name == _ADDRESS:
        check_address(value)
    return {name: value}


def check_address(uri: str) -> None:
    """Refuse a local path: a server reads no local file for a caller. Raises UsageError."""
    if not is_remote(uri):
        raise UsageError(
            "uri: expected an address such as https://host/film.mp4; to send a local "
            "file, use it as the body"
        )
