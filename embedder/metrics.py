"""Prometheus metrics of the networks, for all calls."""

from __future__ import annotations

from common.metrics import Metrics
from embedder.stage import EmbedderStage


def observe_encoders(stage: EmbedderStage, metrics: Metrics) -> None:
    """Observe the time of every call of the stage's visual backend and tracker, for segments and
    queries."""
    encoders = {
        step: metrics.encode_duration_seconds.labels(name) for step, name in stage.encoders.items()
    }

    def observe(step: str, seconds: float) -> None:
        if step in encoders:
            encoders[step].observe(seconds)

    stage.clock.observe = observe
