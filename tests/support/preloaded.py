"""Runs commands as forks of a process that has already imported all modules.

A start of `storyhash` is mostly imports, and tests start it hundreds of times. The template process
(`python -m tests.support.preloaded SOCKET`) imports once and starts no thread. It forks for each command.
The child gets its own arguments, environment, folder and streams, and runs the module as `python -m`
does. Environment variables that are read during an import have no effect; a test of those must start
Python itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Protocol

ROOT = Path(__file__).parents[2]
_MAX_REQUEST_BYTES = 1 << 20
_STREAMS = 3
_SECONDS = 800.0
# Modules that commands import when they run. Most commands do not need torch.
_MODULES = (
    "common.kafka.topics",
    "common.kafka.transport",
    "common.runtime_tuning",
    "embedder.visual.offline",
    "searcher.mirror.qdrant_edge",
    "searcher.mirror.subprocess_mirror",
    "storyhash.client.catalogue",
    "storyhash.services.embed_service",
    "storyhash.services.ingest_service",
    "storyhash.services.search_service",
    "storyhash.services.shutdown",
    "storyhash.services.single_process",
)
# Modules that CLIP and SAM 2 import.
_NETWORKS = (
    "embedder.tracking.sam2.segmenter",
    "embedder.visual.clip",
    "transformers.models.clip.image_processing_clip",
    "transformers.models.clip.modeling_clip",
    "transformers.models.sam2_video.modeling_sam2_video",
    "transformers.models.sam2_video.video_processing_sam2_video",
)


@dataclass(frozen=True)
class _Request:
    """The command to run: a module, as for `python -m`, and its arguments."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool


class Process:
    """A forked command, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, status: socket.socket) -> None:
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()
        self.pid = int(self._line())

    def poll(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        with self._lock:
            if self.returncode is None:
                self._status.settimeout(timeout)
                try:
                    self.returncode = int(self._line())
                except (BlockingIOError, TimeoutError):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
                self._status.close()
            return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> bytes:
        """One message. The supervisor sends each message as one packet."""
        line = self._status.recv(64)
        if not line:
            raise RuntimeError("the process that started a command has ended")
        return line


class Start(Protocol):
    """A function that starts a module; see `start`."""

    def __call__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: IO[bytes],
        stderr: IO[bytes],
        new_session: bool = False,
    ) -> subprocess.Popen[bytes] | Process: ...


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: IO[bytes],
    stderr: IO[bytes],
    new_session: bool = False,
    networks: bool = False,
) -> Process:
    """Run a module with arguments, for example `["storyhash", "match", ...]`. networks: with the imports
    of CLIP and SAM 2 done too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = _Request([*arguments], {**env}, str(cwd), new_session)
    with theirs, open(os.devnull, "rb") as nothing:
        streams = [one.fileno() for one in (nothing, stdout, stderr, theirs)]
        message = json.dumps(asdict(request)).encode(errors="surrogateescape")
        socket.send_fds(_template(networks=networks), [message], streams)
    return Process(ours)


# HF_ variables were read during the imports.
start_with_networks: Start = partial(start, networks=True)


def start_python(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: IO[bytes],
    stderr: IO[bytes],
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """As `start`, but in a new interpreter that does all imports itself."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=new_session,
    )


def run(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    start: Start = start,
) -> subprocess.CompletedProcess[str]:
    """Run a module until it ends. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(arguments, env=env, cwd=cwd, stdout=stdout, stderr=stderr)
        try:
            exit_code = process.wait(_SECONDS)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, exit_code, _text(stdout), _text(stderr))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _template(*, networks: bool) -> socket.socket:
    """The socket of one of the two templates of this process. The templates end with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST_BYTES)
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("STORYHASH_")}
    # The console reads its width during import. Threads that BLAS starts during import would be lost in a
    # fork.
    fixed = {
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())),
            *(_NETWORKS if networks else ()),
        ],
        env=kept | fixed,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def main() -> None:
    """Run the template. In a forked child, `_serve` returns the request, and the child runs it."""
    from storyhash.cli.lazy_commands import COMMANDS

    for module in {one.partition(":")[0] for one in COMMANDS.values()}:
        importlib.import_module(f"storyhash.cli.{module}")
    for module in (*_MODULES, *sys.argv[2:]):
        importlib.import_module(module)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread, which a fork would lose")
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = request.arguments
    runpy.run_module(request.arguments[0], run_name="__main__", alter_sys=True)


def _serve(control: socket.socket) -> _Request:
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, _STREAMS + 1)
        if not message:
            _reap()
            os._exit(0)
        if os.fork() == 0:
            control.close()
            return _supervise(_Request(**json.loads(message)), *descriptors)
        for one in descriptors:
            os.close(one)
        _reap()


def _reap() -> None:
    """Collect the exit states of supervisors that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(request: _Request, *descriptors: int) -> _Request:
    """Fork the command, and send its process id and exit code. Only the command returns from here."""
    *streams, told = descriptors
    pid = os.fork()
    if pid:
        for one in streams:
            os.close(one)
        os.write(told, str(pid).encode())
        _, status = os.waitpid(pid, 0)
        os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(told)
    if request.new_session:
        os.setsid()
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    return request


if __name__ == "__main__":
    main()
