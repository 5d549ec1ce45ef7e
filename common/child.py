"""A generator run in a child process that can be killed: for work on input nobody can trust.

The child serves one job after another, so its start is paid once. It dies with its parent, is killed
when it is silent or busy for too long, and may add no more than so much memory; the next job then
gets a fresh one. Results go through a pipe, so the child is never more than one ahead of its reader.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from common.errors import (
    DecoderCrashedError,
    StoryHashError,
    VideoError,
    VideoLimitError,
    VideoTimeoutError,
)
from common.process import work_in_one_thread

Job = TypeVar("Job")
Result = TypeVar("Result")

# How long it may outlive its parent.
_WATCH_SECONDS = 0.5
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Seconds without a result, seconds in all for one job, and MiB the child may add to its start."""

    stall_seconds: float
    wall_seconds: float
    memory_mib: int


class Child(Generic[Job, Result]):
    """Runs `work(job)` in a child process and yields what it yields. Use from one thread."""

    def __init__(self, work: Callable[[Job], Iterator[Result]], limits: ChildLimits) -> None:
        self._work = work
        self._limits = limits
        self._process: Any = None
        self._pipe: Connection[Any, Any] | None = None

    @property
    def pid(self) -> int | None:
        """The process that serves now, if one does."""
        return None if self._process is None else self._process.pid

    def run(self, job: Job) -> Iterator[Result]:
        """Yield the results of one job.

        Raises the StoryHashError that the work raised; VideoTimeoutError, VideoLimitError (memory)
        or DecoderCrashedError when the child had to be or was killed; VideoError for anything else.
        """
        pipe = self._start() if self._pipe is None else self._pipe
        finished = False
        try:
            pipe.send(job)
            waited = 0.0
            while True:
                began = time.monotonic()
                if not pipe.poll(self._limits.stall_seconds):
                    raise VideoTimeoutError(
                        f"nothing decoded for {self._limits.stall_seconds:.0f} s "
                        "(STORYHASH_VIDEO__STALL_SECONDS)"
                    )
                # Time in which the reader was elsewhere is not the child's.
                waited += time.monotonic() - began
                if waited > self._limits.wall_seconds:
                    raise VideoTimeoutError(
                        f"still at work after {self._limits.wall_seconds:.0f} s "
                        "(STORYHASH_VIDEO__WALL_SECONDS)"
                    )
                kind, value = pipe.recv()
                if kind == "result":
                    yield value
                    continue
                finished = True
                if kind == "error":
                    raise value
                return
        except (EOFError, OSError):
            # Also OSError: it may die in the middle of a message.
            raise self._crash() from None
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """Kill the child, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def kill(self) -> None:
        """Kill the child, from any thread: the job it has raises DecoderCrashedError."""
        process = self._process
        if process is not None:
            # It may be gone already.
            with suppress(ValueError):
                process.kill()

    def _start(self) -> Connection[Any, Any]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._work, self._limits, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()
        self._pipe = ours
        return ours

    def _crash(self) -> StoryHashError:
        self._process.join()
        code = self._process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return DecoderCrashedError(f"the decoder died on it ({name})")


def _serve(
    pipe: Connection[Any, Any],
    work: Callable[[Any], Iterator[Any]],
    limits: ChildLimits,
    parent: int,
) -> None:
    """The child's life: jobs until the pipe closes."""
    # Ctrl-C reaches the whole terminal group; the parent decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    _bound_memory(limits.memory_mib)
    work_in_one_thread()
    with suppress(EOFError, ConnectionError):
        while True:
            _serve_one(pipe, work, pipe.recv(), limits)


def _serve_one(
    pipe: Connection[Any, Any], work: Callable[[Any], Iterator[Any]], job: Any, limits: ChildLimits
) -> None:
    try:
        for result in work(job):
            pipe.send(("result", result))
        answer: tuple[str, StoryHashError | None] = ("done", None)
    except StoryHashError as error:
        answer = ("error", error)
    except MemoryError:
        answer = (
            "error",
            VideoLimitError(
                f"needs more than {limits.memory_mib} MiB of memory (STORYHASH_VIDEO__MEMORY_MIB)"
            ),
        )
    except ConnectionError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        answer = ("error", VideoError(f"cannot be decoded ({type(error).__name__}: {reason})"))
    pipe.send(answer)


def die_with(parent: int) -> None:
    """End this process soon after its parent has.

    Linux could do it (PR_SET_PDEATHSIG), but means the thread that started the process, and threads of
    a pool end long before it.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def _bound_memory(memory_mib: int) -> None:
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        bound = in_use + memory_mib * _MIB
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
