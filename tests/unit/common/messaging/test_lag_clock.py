"""The lag in time: the age of what is read, while more waits."""

from __future__ import annotations

from common.messaging.lag_clock import LagClock
from common.messaging.transport import ReceivedMessage


def received(appended_ms: int | None) -> ReceivedMessage:
    return ReceivedMessage("t", 0, 0, b"", b"", appended_ms=appended_ms)


def test_the_oldest_message_of_the_batch_counts_and_its_age_grows() -> None:
    now = [100.0]
    clock = LagClock(lambda: now[0])
    clock.lag(5)
    assert clock.seconds() == 0
    clock.took([received(90_000), received(70_000), received(None)])
    assert clock.seconds() == 30
    now[0] = 110.0
    assert clock.seconds() == 40


def test_a_consumer_with_nothing_to_read_has_no_lag() -> None:
    clock = LagClock(lambda: 100.0)
    clock.took([received(70_000)])
    clock.lag(0)
    assert clock.seconds() == 0
    clock.lag(1)
    clock.took([received(250_000)])
    assert clock.seconds() == 0
