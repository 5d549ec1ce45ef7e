"""Slow, oversized, half-open, malformed, leaving and parallel callers against `storyhash serve`. An
honest caller is answered as before, and what the service holds stays bounded. Then many parallel callers
of two keys: the queue is bounded, the key with few callers has its share, and /livez is quick."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from common.types import VECTOR_DIMENSION
from tests.faults.harness import Trial, run
from tests.faults.keys import create_key
from tests.faults.memory import MemoryWatch
from tests.faults.videos import draw
from tests.support.services import ROOT, Service, clean_environment, wait_until

_SETTINGS = {
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_INGEST__QUIET_SECONDS": "0.5",
}
_FILMS = 8
# Between two requests of the honest caller, and of his clips.
_PAUSE_SECONDS, _CLIP_SECONDS = 0.05, 5.0
_MOST_RATIO = 3.0
# What it holds beside the idle service: a query's 500 MiB (docs/operations/limits.md), and a bit.
_MOST_MORE_MIB = 600.0
# The bounds' own answers; busy is 503.
_REFUSED_BY_BOUNDS = {"400", "403", "408", "413", "415", "429", "431", "503", "200", "closed"}


_PARALLEL = 50
# Of the callers, this share has the second key.
_FEW_SHARE = 0.2
# Of all answers, the key with few callers gets this share at least; a fair one is a half.
_LEAST_SHARE = 0.35
_MOST_LIVEZ_MS = 50.0
# As docs/operations/limits.md states it.
_MOST_RUNNING, _MOST_WAITING = 2, 16


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parallel", type=int, default=_PARALLEL, help="callers of two keys")


def callers(trial: Trial) -> None:
    """The scenario."""
    if trial.wants("hostile"):
        hostile(trial)
    if trial.wants("parallel"):
        parallel(trial)


def hostile(trial: Trial) -> None:
    """Without keys."""
    films = trial.folder / "films"
    clip, *_ = [draw(films / f"film-{number}.mp4", number, 12.0) for number in range(_FILMS)]
    seconds = float(trial.size(120, 20))
    service = Service(
        "serve",
        ["serve", "--data", trial.folder / "data", "--watch", films],
        trial.folder / "serve.log",
        _SETTINGS,
    ).start()
    try:
        service.ready()
        wait_until(lambda: _indexed(service) == _FILMS, "films to be indexed", 240)
        _tried(trial, service, clip, seconds)
        trial.promise("it ends in order", service.stop() != 0)
    finally:
        if service.running:
            service.kill()


def _tried(trial: Trial, service: Service, clip: Path, seconds: float) -> None:
    with MemoryWatch(service.pid) as before:
        idle = _honest(service.url, clip, seconds)
    attack = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.hostile_callers", service.url, str(seconds), clip],
        env=clean_environment({}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with MemoryWatch(service.pid) as during:
        busy = _honest(service.url, clip, seconds)
    told, _ = attack.communicate(timeout=seconds + 240)
    statuses = json.loads(told)
    ratios = {
        kind: round(busy.p99(kind) / idle.p99(kind), 2) for kind in ("livez", "search", "match")
    }
    trial.figures |= {
        "seconds": seconds,
        "idle_p99_ms": idle.figures,
        "busy_p99_ms": busy.figures,
        "ratio": ratios,
        "idle_memory": before.figures,
        "busy_memory": during.figures,
        "hostile_statuses": statuses,
    }
    trial.promise("the honest caller is always answered", idle.failed + busy.failed)
    trial.promise(
        "his p99 stays within 3 times of idle",
        [f"{kind}: {ratios[kind]}" for kind in ("livez", "search") if ratios[kind] > _MOST_RATIO],
    )
    trial.promise("memory stays bounded", during.process_mib > before.process_mib + _MOST_MORE_MIB)
    trial.promise(
        "no hostile caller finds an error of the service's own",
        [
            f"{kind}: {status}"
            for kind, seen in statuses.items()
            for status in seen
            if status not in _REFUSED_BY_BOUNDS
        ],
    )
    trial.promise("it lives", httpx.get(f"{service.url}/livez", timeout=60).status_code != 200)
    trial.promise("nothing was deleted by a foreign page", _indexed(service) != _FILMS)
    trial.promise("no traceback", "Traceback" in service.text())


def parallel(trial: Trial) -> None:
    """With keys: most callers have one key, few have another."""
    folder = trial.folder / "parallel"
    clip = draw(folder / "films" / "film.mp4", 1, 6.0)
    data = folder / "data"
    settings = {
        **_SETTINGS,
        "STORYHASH_HTTP__REQUIRE_KEYS": "always",
        "STORYHASH_HTTP__REQUESTS_PER_MINUTE": "0",
    }
    tokens = [create_key(data, name, settings) for name in ("many", "few")]
    few = max(1, round(_FEW_SHARE * trial.asked.parallel))
    numbers = (trial.asked.parallel - few, few)
    seconds = float(trial.size(60, 20))
    service = Service(
        "serve", ["serve", "--data", data, "--watch", clip.parent], folder / "serve.log", settings
    ).start()
    try:
        service.ready()
        wait_until(lambda: _indexed(service, tokens[0]) == 1, "the film to be indexed", 240)
        keys = [f"{token}:{number}" for token, number in zip(tokens, numbers, strict=True)]
        command = [sys.executable, "-m", "tests.faults.parallel_callers", service.url]
        callers = subprocess.Popen(
            [*command, str(seconds), str(clip), *keys],
            env=clean_environment({}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        with MemoryWatch(service.pid) as memory:
            watched = _watch(service.url, seconds)
        told, _ = callers.communicate(timeout=seconds + 600)
        _shared(trial, dict(zip(("many", "few"), json.loads(told), strict=True)), watched, memory)
        trial.promise("parallel: it ends in order", service.stop() != 0)
    finally:
        if service.running:
            service.kill()
    trial.promise("parallel: no traceback", "Traceback" in service.text())


def _shared(
    trial: Trial, told: dict[str, Any], watched: dict[str, Any], memory: MemoryWatch
) -> None:
    trial.figures["parallel"] = {**told, **watched, "memory": memory.figures}
    answered = {name: one["answered"] for name, one in told.items()}
    share = answered["few"] / max(1, sum(answered.values()))
    trial.figures["parallel"]["share_of_few"] = round(share, 3)
    statuses = {status for one in told.values() for status in one["statuses"]}
    refused = sum(one["statuses"].get("429", 0) for one in told.values())
    trial.promise(
        f"parallel: the key with few callers has {_LEAST_SHARE:.0%} of all answers at least",
        [f"{share:.0%}"] if share < _LEAST_SHARE else [],
    )
    # A refusal may close the connection while the clip is being sent.
    expected = {"200", "429", "503", "WriteError", "ReadError", "RemoteProtocolError"}
    trial.promise("parallel: each is answered or told to wait", sorted(statuses - expected))
    trial.promise("parallel: keys that have their share are refused with 429", not refused)
    trial.promise(
        "parallel: every refusal says when to come again",
        any(one["without_retry_after"] for one in told.values()),
    )
    queue = watched["queue"]
    trial.promise(
        f"parallel: {_MOST_RUNNING} run and {_MOST_WAITING} wait at most",
        [str(queue)]
        if queue["running"] > _MOST_RUNNING or queue["waiting"] > _MOST_WAITING
        else [],
    )
    trial.promise(
        f"parallel: p99 of /livez is {_MOST_LIVEZ_MS:g} ms at most",
        [f"{watched['livez_ms']['p99']} ms"] if watched["livez_ms"]["p99"] > _MOST_LIVEZ_MS else [],
    )


def _watch(url: str, seconds: float) -> dict[str, Any]:
    """Milliseconds of /livez, and the most that the queue of matches held."""
    took: list[float] = []
    queue = {"running": 0.0, "waiting": 0.0}
    until = time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            client.get("/livez").raise_for_status()
            took.append(1000 * (time.perf_counter() - began))
            if len(took) % 20 == 0:
                for line in client.get("/metrics").text.splitlines():
                    for name in queue:
                        if line.startswith(f'storyhash_queue_{name}_requests{{queue="match"}}'):
                            queue[name] = max(queue[name], float(line.rpartition(" ")[2]))
            time.sleep(_PAUSE_SECONDS)
    p50, p99 = (float(np.quantile(took, share, method="higher")) for share in (0.5, 0.99))
    figures = {"asked": len(took), "p50": round(p50, 1), "p99": round(p99, 1)}
    return {"livez_ms": figures, "queue": queue}


class _Honest:
    """What one caller saw: seconds by kind of request, and what was not answered."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {"livez": [], "search": [], "match": []}
        self.failed: list[str] = []

    def p99(self, kind: str) -> float:
        """Seconds; of few requests the slowest."""
        return float(np.quantile(self.seconds[kind], 0.99, method="higher"))

    @property
    def figures(self) -> dict[str, float]:
        """p99 by kind, milliseconds."""
        return {kind: round(1000 * self.p99(kind), 2) for kind in self.seconds}


def _honest(url: str, clip: Path, seconds: float) -> _Honest:
    """One vector searched, health, and now and then a clip, for so long."""
    vector = np.zeros(VECTOR_DIMENSION, dtype="<f4")
    vector[7] = 1.0
    raw = {"Content-Type": "application/octet-stream"}
    video = clip.read_bytes()
    found = _Honest()
    until = time.monotonic() + seconds
    next_clip = time.monotonic()
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < until:
            asked = {
                "livez": client.build_request("GET", "/livez"),
                "search": client.build_request(
                    "POST", "/v1/search", content=vector.tobytes(), headers=raw
                ),
            }
            if time.monotonic() >= next_clip:
                next_clip += _CLIP_SECONDS
                asked["match"] = client.build_request(
                    "POST", "/v1/match", content=video, headers=raw
                )
            for kind, request in asked.items():
                began = time.perf_counter()
                try:
                    answer = client.send(request)
                except httpx.TransportError as error:
                    found.failed.append(f"{kind}: {type(error).__name__}")
                    continue
                found.seconds[kind].append(time.perf_counter() - began)
                if answer.status_code != 200:
                    found.failed.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
            time.sleep(_PAUSE_SECONDS)
    return found


def _indexed(service: Service, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    items = httpx.get(f"{service.url}/v1/videos", timeout=60, headers=headers).json()["items"]
    return sum(one["state"] == "ready" for one in items)


if __name__ == "__main__":
    run("callers", __doc__ or "", callers, arguments)
