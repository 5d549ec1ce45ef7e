"""A searcher looked at from outside while it works: memory, progress, how long queries take."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from common.types import Float32Array
from tests.support.background import Background
from tests.support.services import Service


def memory_bytes(pid: int) -> dict[str, int]:
    """`VmHWM`, the most it ever held, and `RssAnon` and `RssFile`, what it holds now."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name in ("VmHWM", "RssAnon", "RssFile"):
            found[name] = int(value.split()[0]) * 1024
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of those of its children that have ended, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100


@dataclass
class Watch(Background):
    """Samples of a searcher, every `pause_seconds` until the block ends, in step with each other.

    seconds: since the watch began. live, waiting: vectors. anonymous, resident: bytes. query_seconds: one
    request of one vector, 10 nearest; NaN while nothing answers.
    """

    service: Service
    query: Float32Array
    pause_seconds: float = 0.5
    seconds: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    anonymous: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    query_seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        began = time.monotonic()
        with httpx.Client(base_url=self.service.url, timeout=60) as client:
            while not self.stopping.is_set():
                with contextlib.suppress(httpx.TransportError, OSError):
                    self._sample(client, began)
                self.stopping.wait(self.pause_seconds)

    def _sample(self, client: httpx.Client, began: float) -> None:
        memory = memory_bytes(self.service.pid)
        live, waiting = vectors(client)
        asked = time.perf_counter()
        answer = client.post(
            "/v1/search?k=10",
            content=self.query.astype("<f4").tobytes(),
            headers={"content-type": "application/octet-stream"},
        )
        spent = time.perf_counter() - asked
        self.seconds.append(time.monotonic() - began)
        self.live.append(live)
        self.waiting.append(waiting)
        self.anonymous.append(memory["RssAnon"])
        self.resident.append(memory["RssAnon"] + memory["RssFile"])
        self.query_seconds.append(spent if answer.is_success else float("nan"))

    def rate(self, start: float, stop: float) -> float:
        """Vectors a second while the shard grew from `start` to `stop` vectors."""
        live, seconds = np.array(self.live), np.array(self.seconds)
        within = (live > start) & (live <= stop)
        first, last = np.flatnonzero(within)[[0, -1]]
        return float((live[last] - live[first]) / max(seconds[last] - seconds[first], 1e-9))

    def query_milliseconds(self) -> dict[str, float]:
        """p50, p99 and the longest."""
        known = np.array([one for one in self.query_seconds if one == one]) * 1000
        return {
            "p50": round(float(np.median(known)), 2),
            "p99": round(float(np.quantile(known, 0.99)), 1),
            "longest": round(float(known.max()), 1),
        }


def vectors(client: httpx.Client) -> tuple[float, float]:
    """Vectors a searcher holds, and how many of them no graph has yet."""
    found = {"live": 0.0, "waiting": 0.0}
    for line in client.get("/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == 'storyhash_index_vectors{state="live"}':
            found["live"] = float(value)
        elif name == "storyhash_index_waiting_vectors":
            found["waiting"] = float(value)
    return found["live"], found["waiting"]
