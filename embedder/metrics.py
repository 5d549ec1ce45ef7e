"""What the networks tell Prometheus: every call of one, whoever made it."""

from __future__ import annotations

from common.metrics import Metrics
from embedder.stage import EmbedderStage


def observe_encoders(stage: EmbedderStage, metrics: Metrics) -> None:
    """Make the time of every call of the stage's visual backend and tracker observed from now on, for
    segments and for queries alike."""
    encoders = {
        step: metrics.encode_duration_seconds.labels(name) for step, name in stage.encoders.items()
    }

    def observe(step: str, seconds: float) -> None:
        if step in encoders:
            encoders[step].observe(seconds)

    stage.clock.observe = observe
