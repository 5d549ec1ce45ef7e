"""Runs a generator in a child process that can be killed, for work on untrusted input.

The child runs many jobs, so it starts only once. It ends with its parent, and is killed if it shows no
sign of life, runs too long or needs too much memory; the next job then starts a new child. Results come
through a socket pair as checked data, not as pickles, so a child that a malicious file controls cannot
make its parent run code.
"""

from __future__ import annotations

import logging
import pickle
import signal
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Generic, TypeAlias, TypeVar

from common.closeable import Closeable
from common.errors import DecoderCrashedError, StoryHashError
from common.sandbox import interpreter
from common.sandbox import pipe as child_pipe
from common.sandbox.clock import ChildClock
from common.sandbox.codec import Codec, decode_error, one_line
from common.sandbox.limits import Check, ChildLimits, ChildWait
from common.sandbox.pipe import PipeError

Job = TypeVar("Job")
Result = TypeVar("Result")
Beat: TypeAlias = Callable[[], None]
"""Called by work as a sign of life; cheap, so as often as one likes."""

_log = logging.getLogger("storyhash.child")
# Time to exit for a child that has closed its socket, on a busy machine too. Then it is killed.
_EXIT_SECONDS = 5.0


class Child(Closeable, Generic[Job, Result]):
    """Runs `work(job, beat)` in a child process and yields what it yields. Use from one thread.

    work, and the functions of `codec`, are sent to the child by name; jobs are pickled.
    """

    def __init__(
        self,
        work: Callable[[Job, Beat], Iterator[Result]],
        limits: ChildLimits,
        codec: Codec[Result],
    ) -> None:
        self._work = work
        self._limits = limits
        self._codec = codec
        self._process: interpreter.ChildProcess | None = None
        self._pipe: socket.socket | None = None
        self._ready = False
        self.unconfined = ""
        """Why a process that was started is not confined, or empty."""

    @property
    def pid(self) -> int | None:
        """The process that serves now, if one does."""
        return None if self._process is None else self._process.pid

    def run(self, job: Job, check: Check = lambda: None) -> Generator[Result, None, None]:
        """Yield the results of one job.

        check: called at least twice per second during the wait; its errors end the job. Raises the
        VideoError that the work raised; VideoTimeoutError, VideoLimitError (memory) or
        DecoderCrashedError if the child was killed; VideoError for anything else. Unless the job ended
        by itself, the child is killed, and the next job starts a new one.
        """
        finished = False
        try:
            pipe = self._start(check) if self._pipe is None else self._pipe
            waiting = self._waiting(pipe, check)
            child_pipe.send(pipe, child_pipe.JOB, [pickle.dumps(job)], waiting.until_writable)
            while True:
                kind, content = child_pipe.receive(
                    pipe, self._codec.max_bytes, waiting.until_readable
                )
                waiting.heard()
                if kind == child_pipe.BEAT:
                    continue
                if kind == child_pipe.RESULT:
                    result = _decoded(self._codec.decode, content)
                    yield result
                    waiting.resume()
                    continue
                if kind not in (child_pipe.DONE, child_pipe.ERROR):
                    raise PipeError("an unexpected reply")
                error = _decoded(decode_error, content) if kind == child_pipe.ERROR else None
                finished = True
                if error is not None:
                    raise error
                return
        except PipeError as wrong:
            raise DecoderCrashedError(
                f"the {self._limits.name} sent an invalid result ({wrong})"
            ) from None
        except (EOFError, OSError):
            # Also OSError: the child may die in the middle of a message.
            raise self._crash() from None
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """Kill the child, even during a job."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None
        self._ready = False

    def _start(self, check: Check) -> socket.socket:
        parent_end, child_end = socket.socketpair()
        try:
            self._process = interpreter.start(child_end, network=self._limits.network)
        except BaseException:
            parent_end.close()
            raise
        finally:
            child_end.close()
        self._pipe = parent_end
        parent_end.setblocking(False)
        bound = self._limits.start_seconds
        limits = replace(self._limits, wall_seconds=float("inf"))
        starting = ChildWait(parent_end, ChildClock(self._process.pid), limits, check)
        starting.stall = (
            bound,
            f"the {self._limits.name} did not start within",
            "STORYHASH_VIDEO__START_SECONDS",
        )
        setup = pickle.dumps((self._work, self._limits, self._codec.encode))
        child_pipe.send(parent_end, child_pipe.JOB, [setup], starting.until_writable)
        kind, content = child_pipe.receive(parent_end, 0, starting.until_readable)
        if kind != child_pipe.READY:
            raise PipeError("a reply before it was ready")
        self.unconfined = one_line(bytes(content).decode(errors="replace"))
        if self.unconfined:
            _tell_once(self.unconfined)
        self._ready = True
        return parent_end

    def _waiting(self, pipe: socket.socket, check: Check) -> ChildWait:
        if self._process is None:
            raise EOFError
        return ChildWait(pipe, ChildClock(self._process.pid), self._limits, check)

    def _crash(self) -> StoryHashError:
        if self._process is None:
            return DecoderCrashedError(f"the {self._limits.name} could not be started")
        # It closed its end, so it is no longer usable.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
        self._process.kill()
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        problem = "crashed on this video" if self._ready else "did not start"
        return DecoderCrashedError(f"the {self._limits.name} {problem} ({name})")


@cache
def _tell_once(reason: str) -> None:
    _log.info("decoder processes are not sandboxed: %s; a malicious file may do more harm", reason)


def _decoded(decode: Callable[[memoryview], Result], content: memoryview) -> Result:
    try:
        return decode(content)
    except Exception as error:
        raise PipeError(type(error).__name__) from None
