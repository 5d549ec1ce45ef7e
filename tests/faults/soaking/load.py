"""Callers that do everything at once, and what the service has acknowledged to them."""

from __future__ import annotations

import itertools
import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from common.types import VECTOR_DIMENSION
from tests.faults.soaking.killable import Killable

RAW = {"Content-Type": "application/octet-stream"}
KEPT = "kept"
# Videos that wait to be indexed, and videos in the catalogue, before the caller that adds them waits.
_MOST_PENDING, _MOST_VIDEOS = 6, 24
# The deleting caller leaves so many.
_LEAST_VIDEOS = 3
# Undelivered events before the callers that cause the most of them wait. A webhook keeps 10,000.
_MOST_EVENTS = 2_000
_DELETE_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 120.0
_BUSY = {429, 503}
_ENDED = ("done", "failed", "cancelled")


@dataclass
class Acknowledged:
    """What an answer has confirmed. undecided: videos whose deletion was asked for, not confirmed."""

    added: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    undecided: set[str] = field(default_factory=set)
    # Verdict id to match id.
    verdicts: dict[int, int] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)


class Load:
    """All callers, until `stop`."""

    def __init__(
        self,
        serve: Killable,
        key: dict[str, str],
        films: list[str],
        clips: list[bytes],
        chance: random.Random,
        webhook_id: str,
    ) -> None:
        """films: addresses. clips: contents of films that are matched."""
        self.most_undelivered = 0
        self._few_events = threading.Event()
        self._few_events.set()
        self._deliveries = f"/v1/webhooks/{webhook_id}/deliveries?state=pending&limit=1"
        self.known = Acknowledged()
        self.unexpected: list[str] = []
        self.lost = 0
        self.statuses: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._serve, self._key = serve, key
        self._films, self._clips = films, clips
        self._chance = chance
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        kinds: list[tuple[Callable[[httpx.Client], None], int]] = [
            (self._add, 1),
            (self._match, 2),
            (self._job, 1),
            (self._search, 2),
            (self._judge, 2),
            (self._delete, 1),
            (self._look, 1),
        ]
        self._threads = [
            threading.Thread(target=self._again, args=(work,), daemon=True)
            for work, callers in kinds
            for _ in range(callers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS + 60)
            if thread.is_alive():
                self.unexpected.append("a caller still waits for its answer")

    @property
    def figures(self) -> dict[str, Any]:
        with self._lock:
            return {
                "calls": {kind: len(took) for kind, took in sorted(self.seconds.items())},
                "p99_ms": {
                    kind: round(1000 * float(np.quantile(took, 0.99, method="higher")), 1)
                    for kind, took in sorted(self.seconds.items())
                },
                "statuses": dict(sorted(self.statuses.items())),
                "lost_by_kills": self.lost,
                "most_undelivered_events": self.most_undelivered,
                "acknowledged": {
                    "videos_added": len(self.known.added),
                    "videos_deleted": len(self.known.deleted),
                    "verdicts": len(self.known.verdicts),
                    "jobs": len(self.known.jobs),
                },
            }

    def _again(self, work: Callable[[httpx.Client], None]) -> None:
        # Connections end here before the service ends them, so that no request meets a closed one.
        limits = httpx.Limits(keepalive_expiry=2.0)
        with httpx.Client(
            base_url=self._serve.url, headers=self._key, timeout=_TIMEOUT_SECONDS, limits=limits
        ) as client:
            while not self._stop.is_set():
                try:
                    work(client)
                except Exception as error:
                    # An answer that could not be read, or a mistake here: each is to be seen.
                    self._wrong(f"{work.__name__}: {type(error).__name__}: {error}")
                    self._stop.wait(1.0)

    def _call(
        self,
        client: httpx.Client,
        kind: str,
        method: str,
        path: str,
        *expected: int,
        **request: Any,
    ) -> httpx.Response | None:
        """An expected answer; None if it was lost by a kill, refused by a bound or unexpected."""
        while not self._serve.up.wait(_PAUSE_SECONDS):
            if self._stop.is_set():
                return None
        life, began = self._serve.lives, time.perf_counter()
        try:
            answer = client.request(method, path, **request)
        except httpx.TransportError as error:
            # A process may have died an instant before its killer says so.
            self._stop.wait(_PAUSE_SECONDS)
            if life == self._serve.lives:
                self._wrong(f"{kind}: {type(error).__name__}: {error}")
            else:
                with self._lock:
                    self.lost += 1
            return None
        status = answer.status_code
        with self._lock:
            self.statuses[f"{kind} {status}"] += 1
            self.seconds[kind].append(time.perf_counter() - began)
        if status in expected:
            return answer
        if status in _BUSY and "Retry-After" in answer.headers:
            self._stop.wait(_PAUSE_SECONDS)
        elif life == self._serve.lives:
            self._wrong(f"{kind}: {status} {answer.text[:300]}")
        return None

    def _wrong(self, what: str) -> None:
        with self._lock:
            self.unexpected.append(what)

    def _add(self, client: httpx.Client) -> None:
        pending = self._call(client, "list", "GET", "/v1/videos?state=pending&limit=1", 200)
        known = self.known
        held = len(known.added) - len(known.deleted)
        if pending is None or pending.json()["total"] >= _MOST_PENDING or held >= _MOST_VIDEOS:
            self._stop.wait(_PAUSE_SECONDS)
            return
        name = f"load/{next(self._numbers)}.mp4"
        body = self.video(name)
        if self._call(client, "add", "POST", "/v1/videos", 202, json=body) is not None:
            known.added.add(name)

    def video(self, name: str) -> dict[str, str]:
        """The body that adds a video."""
        number = int(name.removeprefix("load/").removesuffix(".mp4"))
        film = self._films[number % len(self._films)]
        return {"uri": f"{film}?n={number}", "video_id": name, "bank": "load"}

    def _match(self, client: httpx.Client) -> None:
        if not self._few_events.wait(_PAUSE_SECONDS):
            return
        self._call(client, "match", "POST", "/v1/match", 200, content=self._clip(), headers=RAW)

    def _job(self, client: httpx.Client) -> None:
        if not self._few_events.wait(_PAUSE_SECONDS):
            return
        clip = self._clip()
        made = self._call(client, "job", "POST", "/v1/jobs", 202, content=clip, headers=RAW)
        if made is None:
            return
        name = str(made.json()["id"])
        self.known.jobs.add(name)
        while not self._stop.wait(_PAUSE_SECONDS):
            shown = self._call(client, "job state", "GET", f"/v1/jobs/{name}", 200)
            if shown is not None and shown.json()["state"] in _ENDED:
                return

    def _search(self, client: httpx.Client) -> None:
        rows = np.random.default_rng(next(self._numbers)).normal(size=(4, VECTOR_DIMENSION))
        vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")
        content = vectors.tobytes()
        self._call(client, "search", "POST", "/v1/search?k=20", 200, content=content, headers=RAW)

    def _judge(self, client: httpx.Client) -> None:
        if not self._few_events.wait(_PAUSE_SECONDS):
            return
        page = self._call(client, "list", "GET", f"/v1/matches?bank={KEPT}&limit=20", 200)
        if page is None or not page.json()["items"]:
            self._stop.wait(_PAUSE_SECONDS)
            return
        items = page.json()["items"]
        # Matches of a video of the load go with it, and their verdicts too.
        lasting = [one["id"] for one in items if one["query"]["kind"] == "upload"]
        if not lasting:
            self._stop.wait(_PAUSE_SECONDS)
            return
        match_id = self._chance.choice(lasting)
        body = {"verdict": self._chance.choice(["copy", "licensed", "unsure"]), "note": "soak"}
        # Where the answer is lost, it is asked for again, and the verdict is not there twice.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        while not self._stop.is_set():
            given = self._call(
                *(client, "verdict", "POST", f"/v1/matches/{match_id}/verdicts", 201),
                json=body,
                headers=key,
            )
            if given is not None:
                self.known.verdicts[int(given.json()["id"])] = match_id
                return

    def _delete(self, client: httpx.Client) -> None:
        known = self.known
        there = sorted(known.added - known.deleted)
        if len(there) < _LEAST_VIDEOS:
            self._stop.wait(_PAUSE_SECONDS)
            return
        name = self._chance.choice(there)
        known.undecided.add(name)
        while not self._stop.is_set():
            # 404: an attempt whose answer was lost has deleted it.
            if self._call(client, "delete", "DELETE", f"/v1/videos/{name}", 204, 404) is not None:
                known.deleted.add(name)
                # Most videos are indexed before they are deleted.
                self._stop.wait(_DELETE_SECONDS)
                known.undecided.discard(name)
                return

    def _look(self, client: httpx.Client) -> None:
        for path in ("/livez", "/v1/videos", "/v1/matches", "/v1/banks", "/v1/jobs", "/metrics"):
            self._call(client, path, "GET", path, 200)
        waiting = self._call(client, "deliveries", "GET", self._deliveries, 200)
        if waiting is not None:
            events = int(waiting.json()["total"])
            self.most_undelivered = max(self.most_undelivered, events)
            if events > _MOST_EVENTS:
                self._few_events.clear()
            else:
                self._few_events.set()
        self._stop.wait(_PAUSE_SECONDS)

    def _clip(self) -> bytes:
        """A film with a box behind it that every reader passes over: no two uploads are the same."""
        number = next(self._numbers)
        return (
            self._clips[number % len(self._clips)] + (16).to_bytes(4) + b"free" + number.to_bytes(8)
        )
