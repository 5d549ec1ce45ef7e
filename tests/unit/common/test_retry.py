"""Retries: pauses double up to a bound, begin anew after progress, and end when told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from common.errors import BrokerError, UsageError
from common.retry import Backoff


def failing(times: int, error: Exception) -> Callable[[], str]:
    """Work that fails so many times, then succeeds."""
    left = iter([error] * times)

    def work() -> str:
        for each in left:
            raise each
        return "done"

    return work


def test_pauses_double_up_to_the_longest() -> None:
    pauses: list[float] = []
    backoff = Backoff(0.001, 0.003, threading.Event(), lambda _, pause: pauses.append(pause))
    assert backoff.call(failing(4, BrokerError("down"))) == "done"
    assert pauses == [0.001, 0.002, 0.003, 0.003]


def test_after_progress_the_pauses_begin_anew() -> None:
    pauses: list[float] = []
    backoff = Backoff(0.001, 1.0, threading.Event(), lambda _, pause: pauses.append(pause))
    work = failing(4, BrokerError("down"))

    def progressing() -> str:
        if len(pauses) == 2:
            backoff.restart()
        return work()

    assert backoff.call(progressing) == "done"
    assert pauses == [0.001, 0.002, 0.001, 0.002]


def test_an_error_of_another_kind_is_raised_at_once() -> None:
    told: list[BaseException] = []
    backoff = Backoff(0.001, 0.001, threading.Event(), lambda error, _: told.append(error))
    with pytest.raises(UsageError, match="no such file"):
        backoff.call(failing(1, UsageError("no such file")))
    assert told == []


def test_work_is_not_called_again_once_told_to_stop() -> None:
    stopping = threading.Event()
    calls: list[int] = []

    def work() -> str:
        calls.append(1)
        raise BrokerError("down")

    backoff = Backoff(3600.0, 3600.0, stopping, lambda *_: stopping.set())
    assert backoff.call(work) is None
    assert len(calls) == 1


def test_a_pause_shows_that_the_thread_is_alive() -> None:
    stopping, beats = threading.Event(), threading.Semaphore(0)
    backoff = Backoff(3600.0, 3600.0, stopping, lambda *_: None, while_waiting=beats.release)
    waiting = threading.Thread(target=backoff.call, args=(failing(1, BrokerError("down")),))
    waiting.start()
    assert all(beats.acquire(timeout=300) for _ in range(2))
    stopping.set()
    waiting.join(300)
    assert not waiting.is_alive()
