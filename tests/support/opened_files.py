"""Records which files of a folder are opened, with inotify."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """A list that, after the `with` block, has the names of all files in `folder` that were opened during
    it."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert descriptor >= 0
    assert libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN) >= 0
    opened: list[str] = []
    try:
        yield opened
    finally:
        try:
            events = os.read(descriptor, 1 << 20)
        except BlockingIOError:
            events = b""
        os.close(descriptor)
        while events:
            length = struct.unpack_from("iIII", events)[3]
            opened.append(events[16 : 16 + length].rstrip(b"\0").decode())
            events = events[16 + length :]
