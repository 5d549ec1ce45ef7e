"""Runs StoryHash's services as real processes: starts, calls and kills them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.support import preloaded as processes

ROOT = Path(__file__).parents[2]
STORYHASH = ("storyhash",)
_START_SECONDS = 300.0
_LISTENS = re.compile(r"(?:at|on) (http://\S+)")
# Short delays, so that tests need not wait long for restarts.
_QUICK = {
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_SERVICE__RETRY_SECONDS": "0.2",
    "STORYHASH_SERVICE__MAX_RETRY_SECONDS": "2",
    "STORYHASH_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
}


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process without its StoryHash settings, plus `settings`."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("STORYHASH_")}
    # Here several processes share the cores; in production each has its own.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**kept, **threads, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **settings}


class Service:
    """One `storyhash` command as a process. It can be killed and started again."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str | Path],
        log: Path,
        settings: Mapping[str, str],
        *,
        preloaded: bool = False,
    ) -> None:
        """preloaded: start it with modules already imported; see `tests.support.preloaded`."""
        self.name = name
        self.log = log
        self._preloaded = preloaded
        self.kills = 0
        self._arguments = [str(one) for one in arguments]
        self._environment = clean_environment(settings)
        self._process: subprocess.Popen[bytes] | processes.Process | None = None
        self._began_at = 0
        self._orphans: list[int] = []

    def start(self, module: Sequence[str] = STORYHASH) -> Self:
        """Start the process. module: what to run instead of `storyhash`, with its first arguments."""
        with self.log.open("ab") as log:
            self._began_at = log.tell()
            start = processes.start if self._preloaded else processes.start_python
            self._process = start(
                [*module, *self._arguments],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                new_session=True,
            )
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def kill(self) -> None:
        """Send SIGKILL and wait for the end. Its children notice that their parent has gone, and end
        too."""
        self.kills += 1
        self._orphans = children(self.pid) if self.running else []
        self._end(signal.SIGKILL)

    def gone(self) -> None:
        """Wait until the children of a killed process have ended, because they may still be writing."""
        wait_gone(self._orphans)

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself, and return the exit code."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.wait(seconds)

    def text(self) -> str:
        """What it has printed since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._began_at)
            return log.read().decode(errors="replace")

    @property
    def url(self) -> str:
        """The address on which it listens; waits until it is printed. Raises RuntimeError if the process
        ends first or does not print it in time."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            found = _LISTENS.search(self.text())
            if found:
                return found.group(1).rstrip(".,")
            if not self.running:
                break
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen:\n{self.text()[-3000:]}")

    def ready(self) -> Self:
        """Wait until /readyz reports ready. Raises RuntimeError if it does not in time."""
        url = self.url
        told = ""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.running:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(f"{url}/readyz", timeout=300)
                told = answer.text
                if answer.status_code == 200:
                    return self
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} is not ready: {told}\n{self.text()[-3000:]}")

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0 if the service does not respond."""
        try:
            text = httpx.get(f"{self.url}/metrics", timeout=300).text
        except (httpx.TransportError, RuntimeError):
            return 0.0
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0.0
        for line in text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(one in head for one in wanted):
                total += float(value)
        return total

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
            # A stopped process must continue before it can end.
            os.kill(self._process.pid, signal.SIGCONT)
        return self._process.wait(300)


def children(pid: int) -> list[int]:
    """Ids of the running child processes of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def wait_gone(pids: Iterable[int]) -> None:
    """Wait until these processes have ended."""
    wait_until(lambda: not any(map(_runs, pids)), "processes to end", 300, 0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended exists as a zombie until its parent reads its exit state.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Deployment:
    """Producers, embedders and searchers on one broker, with their own topic prefix."""

    def __init__(
        self,
        folder: Path,
        bootstrap_servers: str,
        prefix: str,
        settings: Mapping[str, str] = {},
        *,
        preloaded: bool = False,
    ) -> None:
        """preloaded: as in `Service`, for all its processes."""
        self.folder = folder
        self._preloaded = preloaded
        self.prefix = prefix
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = {
            **_QUICK,
            "STORYHASH_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "STORYHASH_KAFKA__TOPIC_PREFIX": prefix,
            "STORYHASH_KAFKA__PARTITIONS": "4",
            "STORYHASH_DATA_DIR": str(folder / "state"),
            **settings,
        }
        self.services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self.services.values():
            if service.running:
                service.kill()

    def run(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command until it ends, with the settings of this deployment and `settings`."""
        return processes.run(
            ["storyhash", *map(str, arguments)],
            env=clean_environment({**self.settings, **settings}),
            cwd=ROOT,
            start=processes.start if self._preloaded else processes.start_python,
        )

    def create_topics(self, **settings: str) -> None:
        made = self.run("topics", "create", **settings)
        if made.returncode:
            raise RuntimeError(f"topics create: {made.stderr}")

    def service(
        self, name: str, *arguments: str | Path, module: Sequence[str] = STORYHASH, **settings: str
    ) -> Service:
        """Define a service and start it. module: as in `Service.start`."""
        made = Service(
            name,
            arguments,
            self.folder / f"{name}.log",
            {**self.settings, **settings},
            preloaded=self._preloaded,
        )
        self.services[name] = made
        return made.start(module)

    def searcher(self, name: str = "searcher", data: str = "data", **settings: str) -> Service:
        return self.service(name, "search", "--data", self.folder / data, **settings)

    def embedder(self, number: int = 1, **settings: str) -> Service:
        return self.service(f"embedder-{number}", "embed", **settings)

    def producer(self, *sources: str | Path, name: str = "producer", **settings: str) -> Service:
        """`storyhash ingest`. When it is started again, it resumes."""
        return self.service(
            name, "ingest", *sources, "--data", self.folder / name, "--json", **settings
        )


def wait_until(
    true: Callable[[], bool], what: str, seconds: float = 600.0, pause: float = 0.2
) -> float:
    """Wait until `true()` holds. Returns the seconds waited. Raises TimeoutError with `what`."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return time.monotonic() - started


def write_manifest(
    path: Path, videos: Iterable[Path | str], copies: int, *, prefix: str = ""
) -> list[str]:
    """Write a manifest with every video, a file or an address, `copies` times under different ids.
    Returns the ids."""
    names = []
    with path.open("w") as file:
        for copy in range(copies):
            for video in videos:
                uri = video if isinstance(video, str) else str(video.resolve())
                name = f"{prefix}{Path(uri).stem}-{copy:03d}"
                names.append(name)
                file.write(json.dumps({"video_id": name, "uri": uri}) + "\n")
    return names
