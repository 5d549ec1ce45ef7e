"""Runs commands as forks of a process that has already imported all modules.

A start of `storyhash` is mostly imports, and tests start it hundreds of times. The template process
(`tests.support.template`) imports once and starts no thread. It forks for each command. The command gets
its own arguments, environment, folder and streams, and runs the module as `python -m` does. Environment
variables that are read during an import have no effect; a test of those must start Python itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from tests.support.template import Request, listen, send_request

ROOT = Path(__file__).parents[2]
_SECONDS = 800.0
# Modules that CLIP and SAM 2 import.
_NETWORKS = (
    "embedder.tracking.sam2.segmenter",
    "embedder.visual.clip",
    "transformers.models.clip.image_processing_clip",
    "transformers.models.clip.modeling_clip",
    "transformers.models.sam2_video.modeling_sam2_video",
    "transformers.models.sam2_video.video_processing_sam2_video",
)


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
            # It may have ended, and its exit code is on the way.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> bytes:
        """One message. The template sends each message as one packet."""
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
    request = Request([*arguments], {**env}, str(cwd), new_session)
    with open(os.devnull, "rb") as nothing:
        streams = [one.fileno() for one in (nothing, stdout, stderr)]
        return Process(send_request(template(networks=networks), request, streams))


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


class _Template:
    """A template that this process starts and that ends with it. Commands that run then go on."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="storyhash-template-")
        self.path = f"{self._folder.name}/requests"
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("STORYHASH_")}
        # The console reads its width during import. Threads that BLAS starts during import would be
        # lost in a fork.
        fixed = {
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        with listen(self.path) as listener:
            number = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.template", str(number), *modules],
                env=kept | fixed,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
            )
        # Finalizers run in reverse order: those of the commands' owners come first.
        weakref.finalize(self, self._end)

    def _end(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


_templates: dict[bool, str] = {}
_templates_lock = threading.Lock()


def template(*, networks: bool = False, modules: Sequence[str] = ()) -> str:
    """The path of the socket of one of the two templates; this process starts the template if there is
    none. modules: to import then, too. networks: as in `start`."""
    with _templates_lock:
        if networks not in _templates:
            _templates[networks] = _Template([*modules, *(_NETWORKS if networks else ())]).path
        return _templates[networks]


def share(path: str) -> None:
    """Let this process use the template that listens at `path`."""
    _templates[False] = path
