"""What runs in a child process of `common.sandbox.process`: jobs until its parent closes the pipe."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from common.errors import StoryHashError, VideoError, VideoLimitError
from common.runtime_tuning import die_with, work_in_one_thread
from common.sandbox import pipe as child_pipe
from common.sandbox.codec import Buffer, encode_error
from common.sandbox.confinement import confine
from common.sandbox.limits import ChildLimits
from common.sandbox.process import Beat

_MIB = 1024 * 1024
# At most one sign of life in so long.
_BEAT_SECONDS = 0.2
# Jobs come from the parent, which is trusted.
_MAX_JOB_BYTES = 1 << 40


def main() -> None:
    """The child's life. Arguments: the number of its socket, the process id of its parent, and what
    `common.sandbox.process` has used already."""
    # Whoever ends a service may signal all of its processes. The parent decides when this one ends.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe = socket.socket(fileno=int(sys.argv[1]))
    die_with(int(sys.argv[2]))
    with suppress(EOFError, ConnectionError):
        work, limits, encode = _next(pipe)
        _bound_memory(limits.memory_mib)
        work_in_one_thread()
        # What it says from now on is what a file says.
        os.dup2(0, 2)
        unconfined = confine(pipe.fileno(), network=limits.network, file_bytes=limits.file_bytes)
        child_pipe.send(pipe, child_pipe.READY, [unconfined.encode()])
        while True:
            _serve_one(pipe, work, _next(pipe), limits, encode)


def _next(pipe: socket.socket) -> Any:
    _, content = child_pipe.receive(pipe, _MAX_JOB_BYTES)
    # From the parent; nothing that a file decides is ever unpickled.
    return pickle.loads(content)  # noqa: S301


def _serve_one(
    pipe: socket.socket,
    work: Callable[[Any, Beat], Iterator[Any]],
    job: Any,
    limits: ChildLimits,
    encode: Callable[[Any], Sequence[Buffer]],
) -> None:
    try:
        for result in work(job, _beat(pipe)):
            child_pipe.send(pipe, child_pipe.RESULT, encode(result))
    except StoryHashError as error:
        answer = error
    except MemoryError:
        answer = VideoLimitError(
            f"needs more than {limits.memory_mib} MiB of memory (STORYHASH_VIDEO__MEMORY_MIB)"
        )
    except ConnectionError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        answer = VideoError(f"cannot be {limits.doing} ({type(error).__name__}: {reason})")
    else:
        child_pipe.send(pipe, child_pipe.DONE)
        return
    child_pipe.send(pipe, child_pipe.ERROR, [encode_error(answer)])


def _beat(pipe: socket.socket) -> Beat:
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _BEAT_SECONDS:
            last = now
            child_pipe.send_beat(pipe)

    return beat


def _bound_memory(memory_mib: int) -> None:
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        bound = in_use + memory_mib * _MIB
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
