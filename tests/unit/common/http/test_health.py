"""Ready means that every condition holds; alive, that the main loop has come round of late."""

from __future__ import annotations

from functools import partial

import pytest

from common.http.health import Health
from common.metrics import Metrics
from tests.support.background import together


def ready(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("storyhash_ready")


def test_nothing_is_ready_before_each_condition_was_met_once() -> None:
    metrics = Metrics.create("test")
    health = Health(metrics, ("index", "broker"), 60.0)
    assert health.reasons() == {"index": "not started yet", "broker": "not started yet"}
    health.met("index")
    assert health.reasons() == {"broker": "not started yet"}
    assert ready(metrics) == 0
    health.met("broker")
    assert health.reasons() == {}
    assert ready(metrics) == 1


def test_a_condition_that_fails_later_counts_though_nobody_asked_for_it_first() -> None:
    health = Health(None, (), 60.0)
    assert health.reasons() == {}
    health.unmet("stage", "the disk is full")
    assert health.reasons() == {"stage": "the disk is full"}
    health.met("stage")
    assert health.reasons() == {}


def test_a_reason_without_words_is_a_reason_all_the_same() -> None:
    health = Health(None, (), 60.0)
    health.unmet("broker", "")
    assert health.reasons() == {"broker": "unknown"}


def test_what_is_told_is_a_copy() -> None:
    health = Health(None, ("index",), 60.0)
    health.reasons().clear()
    assert health.reasons() == {"index": "not started yet"}


def test_silence_beyond_the_bound_is_being_stuck_and_a_beat_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("common.http.health.time.monotonic", lambda: now[0])
    health = Health(None, (), 60.0)
    now[0] = 160.0
    assert health.stuck() == ""
    now[0] = 161.0
    assert health.stuck() == "the main loop has been silent for 61 s"
    health.beat()
    assert health.stuck() == ""


def test_readiness_does_not_prove_life_nor_life_readiness() -> None:
    health = Health(None, ("broker",), -1.0)
    health.met("broker")
    assert health.reasons() == {}
    assert health.stuck()


def test_many_threads_may_tell_and_ask_at_once() -> None:
    health = Health(None, (), 60.0)

    def tell(name: str) -> None:
        for number in range(500):
            health.unmet(name, f"{number}")
            assert health.reasons()[name] == f"{number}"
        health.met(name)

    together(partial(tell, f"{n}") for n in range(4))
    assert health.reasons() == {}
