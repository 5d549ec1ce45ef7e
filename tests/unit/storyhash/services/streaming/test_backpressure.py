"""A producer waits for embedders that are too far behind, says so, and goes on when they are not."""

from __future__ import annotations

import threading
import time

from common.errors import BrokerError
from common.http.health import Health
from common.messaging.transport import Message
from storyhash.services.streaming.backpressure import EmbedderLag
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until

TOPIC, GROUP = "segments", "embedders"
HOUR_MS = 3_600_000


class Bench:
    """A topic with one message of two hours ago, and a producer that minds an hour."""

    def __init__(self) -> None:
        self.now = 1_795_000_000_000
        self.transport = MemoryTransport(partitions=1, clock=lambda: self.now)
        self.publish()
        self.now += 2 * HOUR_MS
        self.health = Health(None, (), 60.0)
        self.stopping = threading.Event()
        self.settled = 0

    def publish(self) -> None:
        self.transport.publisher().publish(Message(TOPIC, b"film", b"clip"))

    def take(self) -> None:
        """As an embedder does."""
        consumer = self.transport.group_consumer([TOPIC], GROUP)
        consumer.commit(consumer.poll(10, 0.0))
        consumer.close()

    def lag(self, max_seconds: float = 3600.0) -> EmbedderLag:
        return EmbedderLag(
            self.transport,
            TOPIC,
            GROUP,
            max_seconds=max_seconds,
            moment=self.transport.moment("clock"),
            health=self.health,
            look_seconds=0.01,
        )

    def settle(self) -> None:
        self.settled += 1


def test_a_producer_waits_until_embedders_have_taken_what_is_old_and_says_so() -> None:
    bench = Bench()
    waiting = threading.Thread(target=bench.lag().wait, args=(bench.stopping, bench.settle))
    waiting.start()
    wait_until(lambda: "embedders" in bench.health.reasons(), "the reason", 300, 0.01)
    assert (
        "1 messages of segments have waited for embedders for more than 1 h"
        in (bench.health.reasons()["embedders"])
    )
    assert waiting.is_alive()
    bench.take()
    waiting.join(300)
    assert not waiting.is_alive()
    assert (bench.health.reasons(), bench.settled) == ({}, 1)


def test_one_that_is_told_to_stop_waits_no_longer() -> None:
    bench = Bench()
    waiting = threading.Thread(target=bench.lag().wait, args=(bench.stopping,))
    waiting.start()
    wait_until(lambda: "embedders" in bench.health.reasons(), "the reason", 300, 0.01)
    bench.stopping.set()
    waiting.join(300)
    assert not waiting.is_alive()


def test_what_is_new_or_taken_or_expired_is_not_waited_for() -> None:
    for clear in ("new", "taken", "expired", "kept for ever"):
        bench = Bench()
        lag = bench.lag(float("inf") if clear == "kept for ever" else 3600.0)
        if clear == "new":
            lag = bench.lag(3 * 3600.0)
        elif clear == "taken":
            bench.take()
            bench.publish()
        elif clear == "expired":
            bench.transport.expire(TOPIC, 0, 1)
        lag.wait(bench.stopping, bench.settle)
        assert bench.settled == 0, clear


def test_how_far_a_group_is_counts_all_it_has_not_taken() -> None:
    bench = Bench()
    bench.publish()
    assert bench.lag().behind() == 2
    bench.take()
    assert bench.lag().behind() == 0


def test_a_broker_that_does_not_answer_is_left_to_what_is_sent_next() -> None:
    bench = Bench()

    class Gone(MemoryTransport):
        def overdue(self, topic: str, group: str, before_ms: int) -> int:
            raise BrokerError("Kafka does not answer")

    lag = EmbedderLag(
        *(Gone(), TOPIC, GROUP),
        max_seconds=1.0,
        moment=time.time_ns() // 1_000_000,
        health=bench.health,
    )
    lag.wait(bench.stopping, bench.settle)
    assert bench.settled == 0
