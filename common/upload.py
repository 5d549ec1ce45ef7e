"""A video a request brings, on disk and never whole in memory; or the address of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import orjson
from anyio import fail_after, to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from common.errors import StorageError, UsageError
from common.http import ApiError
from common.uris import is_remote, public_uri

# Written to disk in pieces of this size, by a thread: the event loop never waits for a disk.
_PIECE_BYTES = 1 << 20
_MAX_JSON_BYTES = 1 << 16
# A caller that sends nothing for so long is given up on: it holds a place that others wait for.
_SILENCE_SECONDS = 30.0
# Headers and boundaries of a form may take this much beside the file.
_FORM_BYTES = 1 << 16
_FIELD = b"file"
_BOUND = "STORYHASH_HTTP__MAX_UPLOAD_BYTES"

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
class Asked:
    """What a request is about: a file, else what its JSON says. `name`: how to call it."""

    path: Path | None
    name: str
    fields: Mapping[str, str]


@asynccontextmanager
async def asked(request: Request, max_bytes: int, allowed: frozenset[str]) -> AsyncIterator[Asked]:
    """Read a request's body; a file in it lies on disk for as long as the block lasts.

    A raw body of any content type, the field `file` of a form, or a JSON object with exactly one of the
    fields `allowed`. The parameter `name` says how to call the video. Raises ApiError for more than
    `max_bytes` (413) and for a body that stops coming (408), UsageError for one that is none of these,
    StorageError.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    name = request.query_params.get("name", "")
    if kind == b"application/json":
        async with _patience():
            fields = one_field(await read_json(request, _MAX_JSON_BYTES), allowed)
        yield Asked(None, name or public_uri(next(iter(fields.values()))), fields)
        return
    try:
        descriptor, scratch = tempfile.mkstemp(prefix="storyhash-upload-")
    except OSError as error:
        raise _cannot_keep(error) from None
    path = Path(scratch)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            sink = _Sink(file, max_bytes)
            if kind == b"multipart/form-data":
                given = await _read_form(request, options.get(b"boundary", b""), sink)
                name = name or given
            else:
                await _read_raw(request, sink)
        if not sink.size:
            names = " or ".join(f'{{"{field}": ...}}' for field in sorted(allowed))
            raise UsageError(f"no video in the request: send the file as its body, or JSON {names}")
        yield Asked(path, name or "upload", {})
    finally:
        path.unlink(missing_ok=True)


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """A small body, whole. Raises ApiError (413)."""
    _check_claim(request, max_bytes, "")
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    return bytes(body)


async def read_json(request: Request, max_bytes: int) -> Mapping[str, Any]:
    """A JSON object. Raises UsageError, ApiError (413)."""
    try:
        value = orjson.loads(await read_bytes(request, max_bytes))
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the body: expected a JSON object")
    return value


def one_field(body: Mapping[str, Any], allowed: frozenset[str]) -> Mapping[str, str]:
    """The one field there is, a string that is not empty. Raises UsageError."""
    names = " or ".join(repr(name) for name in sorted(allowed))
    if len(body) != 1 or not body.keys() <= allowed:
        raise UsageError(f"the body: expected a JSON object with {names}, got {sorted(body)}")
    ((name, value),) = body.items()
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name}: expected a string that is not empty")
    if name == "uri":
        check_address(value)
    return {name: value}


def check_address(uri: str) -> None:
    """Refuse a path: a server reads no file of its own for a caller. Raises UsageError."""
    if not is_remote(uri):
        raise UsageError(
            f"uri: expected an address such as https://host/film.mp4, got {uri[:200]!r}; "
            "send a file of yours as the body"
        )


def too_large(max_bytes: int, setting: str = "") -> ApiError:
    """The refusal of a body that is too long; `setting` is what bounds it."""
    which = f" ({setting})" if setting else ""
    message = f"the request is larger than {max_bytes} bytes{which}"
    return ApiError(413, "too_large", message, close=True)


class _Sink:
    """Bytes on their way to a file."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self.size = 0
        self.max_bytes = max_bytes
        self._file = file
        self._waiting = bytearray()

    def take(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self.max_bytes:
            raise too_large(self.max_bytes, _BOUND)
        self._waiting += block

    async def write(self, *, at_least: int = 1) -> None:
        """Write what waits, if it is so much."""
        if len(self._waiting) < at_least:
            return
        piece, self._waiting = bytes(self._waiting), bytearray()
        try:
            await to_thread.run_sync(_write_all, self._file, piece)
        except OSError as error:
            raise _cannot_keep(error) from None


def _cannot_keep(error: OSError) -> StorageError:
    return StorageError(
        f"the upload cannot be kept: {error.strerror}; free some space in {tempfile.gettempdir()}"
    )


def _write_all(file: IO[bytes], piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _check_claim(request: Request, max_bytes: int, setting: str = _BOUND) -> None:
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed) > max_bytes:
        raise too_large(max_bytes, setting)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """A body as it comes. Raises ApiError (408) when it stops coming."""
    stream = request.stream()
    while True:
        async with _patience():
            block = await anext(stream, None)
        if block is None:
            return
        yield block


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        with fail_after(_SILENCE_SECONDS):
            yield
    except TimeoutError:
        raise ApiError(
            408, "timeout", f"nothing came for {_SILENCE_SECONDS:.0f} s; send it again", close=True
        ) from None


async def _read_raw(request: Request, sink: _Sink) -> None:
    _check_claim(request, sink.max_bytes)
    async for block in _blocks(request):
        sink.take(block)
        await sink.write(at_least=_PIECE_BYTES)
    await sink.write()


async def _read_form(request: Request, boundary: bytes, sink: _Sink) -> str:
    """The file of a form into the sink; its name."""
    _check_claim(request, sink.max_bytes + _FORM_BYTES)
    if not boundary:
        raise UsageError("the form: its Content-Type names no boundary")
    form = _Form(sink)
    beside = 0
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for block in _blocks(request):
            held = sink.size
            parser.write(block)
            beside += len(block) - (sink.size - held)
            if beside > _FORM_BYTES:
                raise UsageError(f"the form: expected the video in its field {_FIELD.decode()!r}")
            await sink.write(at_least=_PIECE_BYTES)
        parser.finalize()
    except FormParserError as error:
        raise UsageError(f"the form cannot be read: {error}") from None
    await sink.write()
    if not form.ended:
        raise UsageError("the form is cut short")
    return form.filename


class _Form:
    """What the parser of a form calls back."""

    def __init__(self, sink: _Sink) -> None:
        self.filename = ""
        self.ended = False
        self._sink = sink
        self._header, self._value = b"", b""
        self._found = self._inside = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": partial(self._add, "_header"),
            "on_header_value": partial(self._add, "_value"),
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._inside = False

    def _add(self, name: str, data: bytes, start: int, end: int) -> None:
        setattr(self, name, getattr(self, name) + data[start:end])

    def _header_end(self) -> None:
        header, value = self._header.lower(), self._value
        self._header, self._value = b"", b""
        if header != b"content-disposition":
            return
        _, options = parse_options_header(value)
        if options.get(b"name") != _FIELD:
            return
        if self._found:
            raise UsageError("the form: expected one video, got several")
        self._found = self._inside = True
        self.filename = options.get(b"filename", b"").decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._sink.take(data[start:end])

    def _end(self) -> None:
        self.ended = True
