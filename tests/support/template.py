"""The process whose forks are commands and child processes of tests; see `preloaded`, `forked_children`.

`python -m tests.support.template COMMANDS CHILDREN CHILDREN_SENDER [MODULE ...]`: the numbers of its
sockets, and more modules to import. It ends when nobody can send a command any more.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import NoReturn

MAX_REQUEST_BYTES = 1 << 20
_STREAMS = 3
# Modules that commands and their child processes import when they run, and what test modules import
# whose functions run in child processes. Most commands do not need torch.
_MODULES = (
    "common.kafka.topics",
    "common.kafka.transport",
    "common.runtime_tuning",
    "common.sandbox.main",
    "embedder.clip_processes",
    "embedder.visual.offline",
    "ingest.decoder_work",
    "ingest.fetcher",
    "numpy.ma",
    "pytest",
    "rich._emoji_codes",
    "searcher.mirror.qdrant_edge",
    "searcher.mirror.subprocess_mirror",
    "storyhash.client.catalogue",
    "storyhash.duplicates.file_reading",
    "storyhash.query.pictures",
    "storyhash.services.streaming.embed_service",
    "storyhash.services.streaming.ingest_service",
    "storyhash.services.streaming.search_service",
    "storyhash.services.shutdown",
    "storyhash.services.serve.single_process",
)


@dataclass(frozen=True)
class Request:
    """What a fork runs.

    arguments: a module, as for `python -m`, and its arguments. is_child: they are the arguments of
    `common.sandbox.interpreter.PROGRAM` instead, and the fork ends with the process that sent the
    request.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool
    is_child: bool = False


def send_request(
    template: socket.socket, request: Request, descriptors: Sequence[int]
) -> socket.socket:
    """Have a fork run the request. descriptors: its standard streams; for a child, its pipe too.

    Returns the socket that first tells the process id of the fork, then its exit code.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        message = json.dumps(asdict(request)).encode(errors="surrogateescape")
        socket.send_fds(template, [message], [*descriptors, theirs.fileno()])
    return ours


def main() -> None:
    """Run the template. In a fork, `_serve` returns what to run."""
    # What is imported stays, so the garbage collector would look for nothing, again and again.
    gc.disable()
    from storyhash.cli.lazy_commands import COMMANDS

    for module in {one.module for one in COMMANDS.values()}:
        importlib.import_module(f"storyhash.cli.{module}")
    for module in (*_MODULES, *sys.argv[4:]):
        importlib.import_module(module)
    from embedder.onnx_runtime import onnx_runtime
    from tests.support import forked_children, state_schema

    onnx_runtime()
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread, which a fork would lose")
    commands, children, sender = (socket.socket(fileno=int(one)) for one in sys.argv[1:4])
    forked_children.install(lambda: sender)
    state_schema.install()
    state_schema.prepare()
    gc.freeze()
    gc.enable()
    request, pipe = _serve(commands, children)
    try:
        if request.is_child:
            forked_children.run(request.arguments, pipe)
        else:
            sys.argv = request.arguments
            runpy.run_module(request.arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _exit(end.code or 0)
        raise
    _exit(0)


def _exit(code: int) -> NoReturn:
    """End as the interpreter does, but without taking apart all modules, which copies their memory."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@dataclass(frozen=True)
class _Fork:
    """A running fork. ended: its pidfd. told: the number of the socket that tells its exit code."""

    pid: int
    ended: int
    told: int


def _serve(*requests: socket.socket) -> tuple[Request, int]:
    """Fork for each request and tell the exit codes; return in the fork. The first socket tells the
    end."""
    sources = {one.fileno(): one for one in requests}
    forks: dict[int, _Fork] = {}
    waiting = select.poll()
    for number in sources:
        waiting.register(number, select.POLLIN)
    while True:
        ready = [number for number, _ in waiting.poll()]
        # Ends come first: a request may get the numbers of the descriptors that they close.
        for number in ready:
            if number in forks:
                _end(forks, number, waiting)
        for number in ready:
            if number not in sources:
                continue
            message, descriptors, _, _ = socket.recv_fds(
                sources[number], MAX_REQUEST_BYTES, _STREAMS + 2
            )
            if not message:
                os._exit(0)
            request, told = Request(**json.loads(message)), descriptors.pop()
            pid = os.fork()
            if pid == 0:
                for other in (*sources, *forks, told):
                    os.close(other)
                return request, _become(request, descriptors)
            for other in descriptors:
                os.close(other)
            fork = _Fork(pid, os.pidfd_open(pid), told)
            forks |= {fork.ended: fork, told: fork}
            waiting.register(fork.ended, select.POLLIN)
            if request.is_child:
                # That the other side is gone is reported anyway.
                waiting.register(told, 0)
            _tell(fork, pid)


def _end(forks: dict[int, _Fork], number: int, waiting: select.poll) -> None:
    """Tell the exit code of a fork that has ended; kill one whose requester is gone."""
    fork = forks[number]
    if number == fork.told:
        os.kill(fork.pid, signal.SIGKILL)
    _, status = os.waitpid(fork.pid, 0)
    _tell(fork, os.waitstatus_to_exitcode(status))
    for descriptor in (fork.ended, fork.told):
        with suppress(KeyError):
            waiting.unregister(descriptor)
        os.close(descriptor)
        del forks[descriptor]


def _tell(fork: _Fork, number: int) -> None:
    # The process that sent the request may end first.
    with suppress(ConnectionError):
        os.write(fork.told, str(number).encode())


def _become(request: Request, descriptors: list[int]) -> int:
    """Give a fork the session, streams, environment and folder of its request. Returns the number of its
    pipe, if it is a child."""
    if request.new_session:
        os.setsid()
    for number, one in enumerate(descriptors[:_STREAMS]):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    return descriptors[-1]


if __name__ == "__main__":
    main()
