"""Jobs and the probability of judged matches, as metrics."""

from __future__ import annotations

import math

from common.metrics import BoundedLabels, Metrics
from common.types import DEFAULT_BANK
from searcher.metrics import observe_jobs, observe_judged


def test_the_probability_of_judged_matches_is_told_by_bank() -> None:
    metrics = Metrics.create("serve")

    def value(bank: str) -> float | None:
        return metrics.registry.get_sample_value("storyhash_judged_probability", {"bank": bank})

    observe_judged(metrics, {"news": 0.8} | {f"bank-{number}": 0.5 for number in range(100)})
    assert value("news") == 0.8
    assert value(BoundedLabels.OTHER) is None
    assert math.isnan(value(DEFAULT_BANK) or 0.0)
    observe_judged(metrics, {})
    assert value("news") is None


def test_jobs_are_told_by_state() -> None:
    metrics = Metrics.create("serve")
    observe_jobs(metrics, {"queued": 2, "failed": 0})
    for state, number in (("queued", 2), ("failed", 0)):
        assert metrics.registry.get_sample_value("storyhash_jobs", {"state": state}) == number
