"""A real Qdrant on this machine: one server, or a cluster on loopback ports, from an executable."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

_READY_SECONDS = 300.0


class QdrantCluster:
    """Nodes that can be killed, paused and started again; all end with the context."""

    def __init__(self, executable: Path, folder: Path, count: int = 1) -> None:
        self.executable = executable.resolve()
        self.folder = folder
        self.ports = [_free_ports() for _ in range(count)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def urls(self) -> list[str]:
        """The REST address of each node."""
        return [f"http://127.0.0.1:{http}" for http, _, _ in self.ports]

    @property
    def url(self) -> str:
        """As `STORYHASH_QDRANT__URL` takes it."""
        return ",".join(self.urls)

    def __enter__(self) -> QdrantCluster:
        try:
            for number in range(len(self.ports)):
                self.start(number)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pid(self, number: int) -> int:
        """The process of a node."""
        return self._processes[number].pid

    def start(self, number: int) -> None:
        """Start a node over its folder, and wait until it is ready."""
        http, grpc, peers = self.ports[number]
        home = self.folder / f"node-{number}"
        home.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(http),
            "QDRANT__SERVICE__GRPC_PORT": str(grpc),
            "QDRANT__STORAGE__STORAGE_PATH": str(home / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(home / "snapshots"),
            "QDRANT__TELEMETRY_DISABLED": "true",
        }
        options: list[str] = []
        if len(self.ports) > 1:
            environment |= {
                "QDRANT__CLUSTER__ENABLED": "true",
                "QDRANT__CLUSTER__P2P__PORT": str(peers),
            }
            options = ["--uri", f"http://127.0.0.1:{peers}"]
            if number:
                options += ["--bootstrap", f"http://127.0.0.1:{self.ports[0][2]}"]
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.executable), *options],
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes[number] = process
        self.wait_ready(number)

    def wait_ready(self, number: int) -> None:
        """Wait until a node answers. Raises RuntimeError."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._processes[number].poll() is None:
            try:
                if httpx.get(f"{self.urls[number]}/readyz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        log = (self.folder / f"node-{number}" / "log").read_text(errors="replace")[-400:]
        raise RuntimeError(f"Qdrant node {number} did not become ready: {log}")

    def kill(self, number: int) -> None:
        """SIGKILL."""
        self._processes[number].kill()
        self._processes[number].wait()

    def pause(self, number: int) -> None:
        """SIGSTOP."""
        self._processes[number].send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """SIGCONT."""
        self._processes[number].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End every node."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()


def _free_ports() -> tuple[int, int, int]:
    """Ports for REST, gRPC and peers that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    http, grpc, peers = (one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    return http, grpc, peers
