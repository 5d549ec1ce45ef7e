"""The process whose forks are commands and child processes of tests, and the processes of pytest-xdist.

See `preloaded`, `forked_children` and `forked_worker`.

`python -m tests.support.template LISTENER [MODULE ...]`: the number of the socket on which it takes
requests, and more modules to import. It ends when its standard input ends.
"""

from __future__ import annotations

import atexit
import fcntl
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
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import NoReturn

_MAX_REQUEST_BYTES = 1 << 20
_STREAMS = 3
_MAX_DESCRIPTORS = 64
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
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
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
    "storyhash.cli.shared.shutdown",
    "storyhash.services.serve.single_process",
)


@dataclass(frozen=True)
class Request:
    """What a fork runs.

    arguments: a module and its arguments, as for `python -m`, or `-c`, code and its arguments. parent:
    the id of the process that sent the request, if the fork is its child and ends with it. kept: numbers
    that the fork gives to the descriptors after its standard streams.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool
    parent: int | None = None
    kept: list[int] = field(default_factory=list)


def listen(path: str) -> socket.socket:
    """The socket on which a template takes requests."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(128)
    return listener


def send_request(path: str, request: Request, descriptors: Sequence[int]) -> socket.socket:
    """Have a fork run the request. path: of the template's socket. descriptors: its standard streams, and
    those that it keeps.

    Returns the socket that first tells the process id of the fork, then its exit code.
    """
    told = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST_BYTES)
    told.connect(path)
    message = json.dumps(asdict(request)).encode(errors="surrogateescape")
    socket.send_fds(told, [message], descriptors)
    return told


def main() -> None:
    """Run the template. In a fork, `_serve` returns what to run."""
    # What is imported stays, so the garbage collector would look for nothing, again and again.
    gc.disable()
    from storyhash.cli.lazy_commands import COMMANDS

    for module in {one.module for one in COMMANDS.values()}:
        importlib.import_module(f"storyhash.cli.{module}")
    for module in (*_MODULES, *sys.argv[2:]):
        importlib.import_module(module)
    from embedder.onnx_runtime import onnx_runtime
    from tests.support import forked_children, preloaded, priorities, state_schema

    onnx_runtime()
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread, which a fork would lose")
    listener = socket.socket(fileno=int(sys.argv[1]))
    preloaded.share(listener.getsockname())
    forked_children.install(preloaded.template)
    priorities.install()
    state_schema.install()
    state_schema.prepare()
    gc.freeze()
    gc.enable()
    request = _serve(listener)
    try:
        if request.arguments[0] == "-c":
            _run_code(request.arguments)
        else:
            sys.argv = request.arguments
            runpy.run_module(request.arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _exit(end.code or 0)
        raise
    _exit(0)


def _run_code(arguments: list[str]) -> None:
    """Run code in a module of its own, so that nothing takes the template for the program."""
    sys.argv = ["-c", *arguments[2:]]
    sys.modules["__main__"] = program = ModuleType("__main__")
    exec(arguments[1], program.__dict__)


def _exit(code: int) -> NoReturn:
    """End as the interpreter does, but without taking apart all modules, which copies their memory."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@dataclass(frozen=True)
class _Fork:
    """A running fork. parent: as in its request. ended: its pidfd. told: the number of the socket that
    tells its exit code."""

    pid: int
    parent: int | None
    ended: int
    told: int


def _serve(listener: socket.socket) -> Request:
    """Fork for each request and tell the exit codes; return in the fork. The end of the standard input
    ends the template."""
    forks: dict[int, _Fork] = {}
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(sys.stdin, select.POLLIN)
    while True:
        ready = [number for number, _ in waiting.poll()]
        if sys.stdin.fileno() in ready:
            os._exit(0)
        # Ends come first: a request may get the numbers of the descriptors that they close.
        for number in ready:
            if number in forks:
                _end(forks, number, waiting)
        if listener.fileno() not in ready:
            continue
        told = listener.accept()[0].detach()
        with socket.socket(fileno=os.dup(told)) as requester:
            message, descriptors, _, _ = socket.recv_fds(
                requester, _MAX_REQUEST_BYTES, _MAX_DESCRIPTORS
            )
        if not message:
            os.close(told)
            continue
        request = Request(**json.loads(message))
        pid = os.fork()
        if pid == 0:
            listener.close()
            for other in (*forks, told):
                os.close(other)
            _become(request, descriptors)
            return request
        for other in descriptors:
            os.close(other)
        fork = _Fork(pid, request.parent, os.pidfd_open(pid), told)
        forks |= {fork.ended: fork, told: fork}
        waiting.register(fork.ended, select.POLLIN)
        if request.parent is not None:
            # That the other side is gone is reported anyway.
            waiting.register(told, 0)
        _tell(fork, pid)


def _end(forks: dict[int, _Fork], number: int, waiting: select.poll) -> None:
    """Tell the exit code of a fork that has ended, after its children have; kill one whose requester is
    gone."""
    fork = forks[number]
    if number == fork.told:
        os.kill(fork.pid, signal.SIGKILL)
    _, status = os.waitpid(fork.pid, 0)
    for child in {one.told for one in forks.values() if one.parent == fork.pid}:
        _end(forks, child, waiting)
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


def _become(request: Request, descriptors: list[int]) -> None:
    """Give a fork the session, descriptors, environment, folder and parent of its request."""
    if request.new_session:
        os.setsid()
    wanted = [*range(_STREAMS), *request.kept]
    # Away from the wanted numbers first, because each of these may be one that came.
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, max(wanted) + 1) for one in descriptors]
    for one in descriptors:
        os.close(one)
    for one, number in zip(moved, wanted, strict=True):
        os.dup2(one, number, inheritable=number < _STREAMS)
        os.close(one)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    if request.parent is not None:
        parent = request.parent
        os.getppid = lambda: parent


if __name__ == "__main__":
    main()
