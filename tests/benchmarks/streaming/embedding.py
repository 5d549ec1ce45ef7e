"""Segments a second of one and of two offline embedders, and the share of the machine they use.

All films are sent at once to embedders that wait for them. The bound is the stage alone, without Kafka,
in one process and one thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.runtime_tuning import usable_cores
from common.settings import Settings
from storyhash.profiles import build_stage, resolve_profile
from tests.benchmarks.streaming.broker import Topics
from tests.benchmarks.streaming.films import Film
from tests.benchmarks.streaming.watching import cpu_seconds
from tests.support.services import Deployment, Service

_PARTITIONS = 12
_PATIENCE_SECONDS = 900.0
_BOUND_SEGMENTS = 40


def measure(servers: str, films: Sequence[Film], segments: int, folder: Path) -> dict[str, Any]:
    """Figures for about so many segments: the films over and over."""
    rates = {
        count: _embedded(servers, films, segments, count, folder / f"embedders-{count}")
        for count in (1, 2)
    }
    bound = stage_alone(films)
    one, two = (rates[count]["segments_per_second"] for count in (1, 2))
    return {
        "stage_alone_segments_per_second": bound,
        "one embedder": rates[1],
        "two embedders": rates[2],
        "ratios": {
            "one embedder over the stage alone": round(one / bound, 2),
            "two embedders over one": round(two / one, 2),
        },
    }


def stage_alone(films: Sequence[Film]) -> float:
    """Segments a second."""
    settings = Settings(profile="offline")
    stage = build_stage(resolve_profile(settings), settings)
    segments = [one for film in films for one in film.segments][:_BOUND_SEGMENTS]
    size = stage.segments_at_once
    stage.process(segments[:size])
    began = time.perf_counter()
    for start in range(0, len(segments), size):
        stage.process(segments[start : start + size])
    return round(len(segments) / (time.perf_counter() - began), 2)


def _embedded(
    servers: str, films: Sequence[Film], segments: int, count: int, folder: Path
) -> dict[str, float]:
    with (
        Topics(servers, _PARTITIONS) as topics,
        Deployment(folder, servers, topics.kafka.topic_prefix, topics.settings) as deployment,
    ):
        embedders = [deployment.embedder(number) for number in range(count)]
        for each in embedders:
            each.ready()
        publisher = topics.transport.publisher()
        sent = 0
        before = sum(cpu_seconds(each.pid) for each in embedders)
        began = time.perf_counter()
        while sent < segments:
            film = films[sent % len(films)]
            for message in film.messages(topics.names.segments, f"film-{sent:06}"):
                publisher.publish(message)
            sent += len(film.segments)
        publisher.flush()
        _until_embedded(embedders, sent)
        spent = time.perf_counter() - began
        used = sum(cpu_seconds(each.pid) for each in embedders) - before
        publisher.close()
    return {
        "segments": sent,
        "segments_per_second": round(sent / spent, 2),
        "share_of_the_cores": round(used / spent / usable_cores(), 2),
    }


def _until_embedded(embedders: Sequence[Service], segments: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done = sum(
            each.metric("storyhash_segments_total", stage="embed", outcome="done")
            for each in embedders
        )
        if done >= segments:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{done:.0f} of {segments} segments were embedded")
