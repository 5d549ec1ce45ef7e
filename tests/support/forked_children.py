"""Starts the children of `common.sandbox.process` as forks of the template of `preloaded`.

The start of such a child is most of a second of imports, and tests start hundreds. A fork has its
imports done. Everything else is as in a child with an interpreter of its own: confinement, limits, the
pipe, the end with its parent. Tests of the start itself ask for the fixture `own_interpreters`.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from common.sandbox import interpreter
from tests.support.preloaded import Process
from tests.support.template import Request, send_request


def install(template: Callable[[], socket.socket]) -> None:
    """From now on children of this process are forks. template: gives the socket for requests."""

    def start(pipe: socket.socket, *, network: bool) -> interpreter.ChildProcess:
        request = Request(
            interpreter.arguments(network=network),
            interpreter.environment(os.environ),
            os.getcwd(),
            new_session=True,
            is_child=True,
        )
        with open(os.devnull, "r+b") as nothing:
            descriptors = [nothing.fileno(), nothing.fileno(), 2, pipe.fileno()]
            return Process(send_request(template(), request, descriptors))

    interpreter.start = start


@contextmanager
def own_interpreters() -> Iterator[None]:
    """Within the block each child gets an interpreter of its own, as for users."""
    forking = interpreter.start
    interpreter.start = _start_interpreter
    try:
        yield
    finally:
        interpreter.start = forking


def run(arguments: Sequence[str], pipe: int) -> None:
    """Run a child in this process, a fork. pipe: the number of its socket."""
    # The template is the parent now.
    sys.argv = ["-c", str(pipe), str(os.getppid()), *arguments[1:]]
    exec(interpreter.PROGRAM, {"__name__": "__main__"})


_start_interpreter = interpreter.start
