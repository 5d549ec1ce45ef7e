"""A broker that no longer answers is told, though its connections stay open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from common.http.health import Health
from common.kafka import broker_watch
from common.kafka.broker_watch import BrokerWatch
from common.settings import KafkaSettings
from tests.support.services import wait_until
from tests.support.small_broker import SmallBroker


@pytest.fixture(autouse=True)
def asks_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(broker_watch, "_ASK_SECONDS", 0.05)
    yield
    # A watch ends with its last question. Until then kafka-python logs into the next tests.
    names = {"broker-watch"}
    wait_until(
        lambda: names.isdisjoint(thread.name for thread in threading.enumerate()),
        "the end of the watch",
        60,
        0.01,
    )


def settings(broker: SmallBroker, seconds: float) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, request_timeout_seconds=seconds
    )


def test_a_broker_that_hangs_is_told_until_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "storyhash.kafka")
    health = Health(None, ("broker",), 60.0)
    health.met("broker")
    with SmallBroker() as broker, BrokerWatch(settings(broker, 0.6)) as watch:
        health.watch("broker", watch.reason)
        where = f"Kafka at {broker.bootstrap_servers}"
        wait_until(broker.answered.is_set, "an answer", 60, 0.01)
        broker.hangs.set()
        wait_until(lambda: health.reasons() != {}, "a reason", 60, 0.01)
        assert health.reasons()["broker"].startswith(f"{where} does not respond: no answer for")
        wait_until(lambda: "waiting for it" in caplog.text, "a line of the log", 60, 0.01)
        time.sleep(0.5)
        broker.hangs.clear()
        wait_until(lambda: health.reasons() == {}, "no reason", 60, 0.01)
        wait_until(lambda: "responds again" in caplog.text, "a line of the log", 60, 0.01)
    ours = [record.levelname for record in caplog.records if record.name == "storyhash.kafka"]
    assert ours == ["WARNING", "INFO"]


def test_a_broker_that_is_gone_is_told_before_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_watch, "_REFUSED_SECONDS", 0.1)
    with SmallBroker() as broker, BrokerWatch(settings(broker, 60.0)) as watch:
        wait_until(broker.answered.is_set, "an answer", 60, 0.01)
        assert watch.reason() == ""
        broker.gone()
        wait_until(lambda: watch.reason() != "", "a reason", 60, 0.01)
        assert watch.reason().endswith("does not respond: it accepts no connection")


def test_a_broker_that_never_answers_a_new_connection_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The search for a broker goes on after the test, and its end is waited for.
    monkeypatch.setattr("common.kafka.client._FIND_SECONDS", 0.5)
    with SmallBroker() as broker:
        broker.hangs.set()
        with BrokerWatch(settings(broker, 0.3)) as watch:
            wait_until(lambda: watch.reason() != "", "a reason", 60, 0.01)


def test_a_line_is_logged_once_per_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr("common.kafka.broker_watch.time.monotonic", lambda: now[0])
    watch = BrokerWatch(KafkaSettings(bootstrap_servers="kafka:9092", request_timeout_seconds=15))
    for _ in range(135):
        now[0] += 1.0
        watch.tell()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"Kafka at kafka:9092 does not respond: no answer for {seconds} s; waiting for it"
        for seconds in (16, 76)
    ]
