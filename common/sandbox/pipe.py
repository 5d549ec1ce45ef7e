"""Messages between a process and its child over a pair of sockets: a kind, a length, the bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

from common.sandbox.codec import Buffer

# Kind of message and length of what follows.
_HEADER = struct.Struct("!cQ")
# The most pieces one call may send (IOV_MAX is 1024 on Linux).
_PIECES = 512

READY, JOB, BEAT, RESULT, ERROR, DONE = b"r", b"j", b"b", b"o", b"e", b"d"
KINDS = frozenset({READY, JOB, BEAT, RESULT, ERROR, DONE})
# Of anything but a result.
MAX_SMALL_BYTES = 64 * 1024


class PipeError(Exception):
    """The other side sent something that is no message."""


def send(
    pipe: socket.socket,
    kind: bytes,
    parts: Sequence[Buffer] = (),
    wait: Callable[[], None] | None = None,
) -> None:
    """Send one message. wait: called while a non-blocking socket accepts no more data."""
    views = [memoryview(part).cast("B") for part in parts]
    header = _HEADER.pack(kind, sum(len(view) for view in views))
    unsent = [memoryview(header), *(view for view in views if len(view))]
    while unsent:
        try:
            sent = pipe.sendmsg(unsent[:_PIECES])
        except BlockingIOError:
            if wait is None:
                raise
            wait()
            continue
        while unsent and sent >= len(unsent[0]):
            sent -= len(unsent.pop(0))
        if sent:
            unsent[0] = unsent[0][sent:]


def send_beat(pipe: socket.socket) -> None:
    """Send a sign of life; nothing if the reader has not read earlier messages yet."""
    try:
        pipe.send(_HEADER.pack(BEAT, 0), socket.MSG_DONTWAIT)
    except BlockingIOError:
        return


def receive(
    pipe: socket.socket, max_bytes: int, wait: Callable[[], None] | None = None
) -> tuple[bytes, memoryview]:
    """The next message: its kind and its content.

    Raises EOFError if the other side is closed, PipeError for an invalid message or one larger than
    `max_bytes` (a result) or 64 KiB (all other kinds except a job).
    """
    header = bytearray(_HEADER.size)
    _fill(pipe, memoryview(header), wait)
    kind, size = _HEADER.unpack(header)
    if kind not in KINDS:
        raise PipeError("an unknown kind of message")
    if size > (max_bytes if kind in (RESULT, JOB) else MAX_SMALL_BYTES):
        raise PipeError(f"a message of {size} bytes")
    content = memoryview(bytearray(size))
    _fill(pipe, content, wait)
    return kind, content


def _fill(pipe: socket.socket, view: memoryview, wait: Callable[[], None] | None) -> None:
    while len(view):
        try:
            count = pipe.recv_into(view)
        except BlockingIOError:
            if wait is None:
                raise
            wait()
            continue
        if not count:
            raise EOFError
        view = view[count:]
