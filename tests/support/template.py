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
    "pytest",
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
    from storyhash.cli.lazy_commands import COMMANDS

    for module in {one.module for one in COMMANDS.values()}:
        importlib.import_module(f"storyhash.cli.{module}")
    for module in (*_MODULES, *sys.argv[4:]):
        importlib.import_module(module)
    from tests.support import forked_children, state_schema

    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread, which a fork would lose")
    commands, children, sender = (socket.socket(fileno=int(one)) for one in sys.argv[1:4])
    forked_children.install(lambda: sender)
    state_schema.install()
    state_schema.prepare()
    gc.collect()
    gc.freeze()
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


def _serve(*requests: socket.socket) -> tuple[Request, int]:
    """Fork for each request; return in the fork. The first socket tells the end."""
    waiting = select.poll()
    for one in requests:
        waiting.register(one, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in waiting.poll()}
        for source in requests:
            if source.fileno() not in ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(source, MAX_REQUEST_BYTES, _STREAMS + 2)
            if not message:
                _reap()
                os._exit(0)
            if os.fork() == 0:
                for one in requests:
                    one.close()
                return _supervise(Request(**json.loads(message)), descriptors)
            for number in descriptors:
                os.close(number)
            _reap()


def _reap() -> None:
    """Collect the exit states of supervisors that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(request: Request, descriptors: list[int]) -> tuple[Request, int]:
    """Fork again, and tell the process id and the exit code. Only the fork returns from here."""
    told = descriptors.pop()
    pid = os.fork()
    if pid:
        for number in descriptors:
            os.close(number)
        # The process that sent the request may end first.
        with suppress(ConnectionError):
            os.write(told, str(pid).encode())
            if request.is_child:
                _kill_without_owner(pid, told)
            _, status = os.waitpid(pid, 0)
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(told)
    if request.new_session:
        os.setsid()
    for number, one in enumerate(descriptors[:_STREAMS]):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    return request, descriptors[-1]


def _kill_without_owner(pid: int, told: int) -> None:
    """Wait until a fork has ended; kill it when the process that sent its request is gone."""
    waiting = select.poll()
    waiting.register(os.pidfd_open(pid), select.POLLIN)
    # The end of the other side is reported anyway.
    waiting.register(told, 0)
    waiting.poll()
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
