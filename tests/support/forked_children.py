"""Starts the children of `common.sandbox.process` and of multiprocessing as forks of the template of
`preloaded`.

The start of such a child is mostly imports, and tests start hundreds. A fork has its imports done.
Everything else is as in a child with an interpreter of its own: confinement, limits, the pipes, the end
with its parent. Tests of the start itself ask for the fixture `own_interpreters`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import popen_fork, popen_spawn_posix, util
from subprocess import TimeoutExpired
from typing import Any

from common.sandbox import interpreter
from tests.support.preloaded import Process
from tests.support.template import Request, send_request


def install(template: Callable[[], str]) -> None:
    """From now on children of this process are forks. template: gives the path of its socket."""

    def start(pipe: socket.socket, *, network: bool) -> interpreter.ChildProcess:
        program = ["-c", interpreter.PROGRAM, str(pipe.fileno())]
        request = Request(
            [*program, *interpreter.arguments(network=network)],
            interpreter.environment(os.environ),
            os.getcwd(),
            new_session=True,
            parent=os.getpid(),
            kept=[pipe.fileno()],
        )
        with open(os.devnull, "r+b") as nothing:
            streams = [nothing.fileno(), nothing.fileno(), 2]
            return Process(send_request(template(), request, [*streams, pipe.fileno()]))

    def spawn(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
        # multiprocessing starts a process that cleans up, too.
        if "--multiprocessing-fork" not in args:
            return _spawn(path, args, passfds)
        kept = sorted(passfds)
        request = Request(
            [*map(str, args[args.index("-c") :])],
            {**os.environ},
            os.getcwd(),
            new_session=False,
            parent=os.getpid(),
            kept=kept,
        )
        process = Process(send_request(template(), request, [0, 1, 2, *kept]))
        _spawned[process.pid] = process
        return process.pid

    interpreter.start = start
    util.spawnv_passfds = spawn
    popen_spawn_posix.Popen.poll = _poll  # type: ignore[assignment, method-assign]


@contextmanager
def own_interpreters() -> Iterator[None]:
    """Within the block each child gets an interpreter of its own, as for users."""
    forking = interpreter.start, util.spawnv_passfds
    interpreter.start, util.spawnv_passfds = _start_interpreter, _spawn
    try:
        yield
    finally:
        interpreter.start, util.spawnv_passfds = forking


def _poll(popen: popen_fork.Popen, flag: int = os.WNOHANG) -> int | None:
    """As `Popen.poll`. The parent of a fork is the template, so its exit code comes from there."""
    process = _spawned.get(popen.pid)
    if process is None:
        return _poll_interpreter(popen, flag)
    if popen.returncode is None:
        with suppress(TimeoutExpired):
            popen.returncode = process.wait(0 if flag else None)
            _spawned.pop(popen.pid, None)
    return popen.returncode


_spawned: dict[int, Process] = {}
_start_interpreter = interpreter.start
_spawn = util.spawnv_passfds
_poll_interpreter = popen_spawn_posix.Popen.poll
