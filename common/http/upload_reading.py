"""Writes the bytes of an upload to a file, from a raw body or a form."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import IO, Any, Protocol

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from common.errors import StorageError, UsageError
from common.http.request_body import check_claim, too_large

# Threads write blocks of this size to disk, so that the event loop never waits for a disk.
_PIECE_BYTES = 1 << 20
# Maximum bytes of the headers, boundaries and other fields of a form.
MAX_FORM_BYTES = 1 << 16
_FIELD = b"file"
_BOUND = "STORYHASH_HTTP__MAX_UPLOAD_BYTES"
FORM_TYPE = "multipart/form-data"


class UploadQuota(Protocol):
    """Limits the bytes of all uploads."""

    @property
    def max_bytes(self) -> int:
        """Maximum bytes of one upload."""
        ...

    def take(self, size: int) -> None:
        """Count received bytes. Raises ApiError (503) if all uploads together exceed the limit."""
        ...


class UploadWriter:
    """Buffers received bytes, hashes them and writes them to a file."""

    def __init__(self, file: IO[bytes], quota: UploadQuota) -> None:
        self.size = 0
        self.max_bytes = quota.max_bytes
        self._quota = quota
        self._file = file
        self._waiting = bytearray()
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of what was written."""
        return self._sha256.hexdigest()

    def take(self, block: bytes) -> None:
        if self.size + len(block) > self.max_bytes:
            raise too_large(self.max_bytes, _BOUND)
        self._quota.take(len(block))
        self.size += len(block)
        self._waiting += block

    async def write(self, *, at_least: int = 1) -> None:
        """Write the buffered bytes if there are at least `at_least`. Raises StorageError."""
        if len(self._waiting) < at_least:
            return
        piece, self._waiting = bytes(self._waiting), bytearray()
        try:
            await to_thread.run_sync(self._sha256.update, piece)
            await to_thread.run_sync(_write_all, self._file, piece)
        except OSError as error:
            raise cannot_keep(error) from None


def cannot_keep(error: OSError) -> StorageError:
    return StorageError(
        f"the upload cannot be stored: {error.strerror}; free some disk space in the "
        "server's temporary folder"
    )


def _write_all(file: IO[bytes], piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


async def receive_upload(request: Request, kind: str, sink: UploadWriter) -> str:
    """Write the body to `sink`. Returns the file name that a form gives, otherwise ""."""
    if kind != FORM_TYPE:
        await _read_raw(request, sink)
        return ""
    _, options = parse_options_header(request.headers["content-type"])
    return await _read_form(request, options.get(b"boundary", b""), sink)


async def _read_raw(request: Request, sink: UploadWriter) -> None:
    check_claim(request, sink.max_bytes, _BOUND)
    async for block in request.stream():
        sink.take(block)
        await sink.write(at_least=_PIECE_BYTES)
    await sink.write()


async def _read_form(request: Request, boundary: bytes, sink: UploadWriter) -> str:
    """Write the file of a form to `sink`. Returns its name; empty if the form gives none. Raises
    UsageError."""
    check_claim(request, sink.max_bytes + MAX_FORM_BYTES, _BOUND)
    if not boundary:
        raise UsageError("the form: its Content-Type has no boundary")
    form = _Form(sink)
    beside = 0
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for block in request.stream():
            held = sink.size
            parser.write(block)
            beside += len(block) - (sink.size - held)
            if beside > MAX_FORM_BYTES:
                raise UsageError(f"the form: expected the video in its field {_FIELD.decode()!r}")
            await sink.write(at_least=_PIECE_BYTES)
        parser.finalize()
    except FormParserError as error:
        raise UsageError(f"the form cannot be read: {error}") from None
    await sink.write()
    if not form.ended:
        raise UsageError("the form is incomplete")
    return form.filename


class _Form:
    """The callbacks of the form parser: they pass the content of the field `file` to the sink."""

    def __init__(self, sink: UploadWriter) -> None:
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
        name = options.get(b"name")
        if name != _FIELD:
            # Ignored, a field `bank` would leave the video in another bank.
            shown = (name or b"")[:100].decode("utf-8", "replace")
            raise UsageError(
                f"the form: unexpected field {shown!r}; it has only the video, in the field "
                f"{_FIELD.decode()!r}, and the rest are query parameters of the address"
            )
        if self._found:
            raise UsageError("the form: expected one video, got several")
        self._found = self._inside = True
        self.filename = options.get(b"filename", b"").decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._sink.take(data[start:end])

    def _end(self) -> None:
        self.ended = True
