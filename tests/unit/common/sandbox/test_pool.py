"""Children are lent to one caller at a time; one that dies is lent again."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from common.cancellation import Cancellation
from common.closeable import Closeable
from common.errors import CancelledError, DecoderCrashedError
from common.sandbox.pool import ChildPool
from common.sandbox.process import Child
from tests.unit.common.sandbox.test_process import LIMITS, TEXT, work


class Named(Closeable):
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False

    def close(self) -> None:
        self.closed = True


def test_the_last_used_child_is_lent_first_and_none_to_two_callers() -> None:
    pool = ChildPool([Named("a"), Named("b")])
    with pool.borrow() as first, pool.borrow() as second:
        assert {first.name, second.name} == {"a", "b"}
    with pool.borrow() as again:
        assert again is first
    pool.close()
    assert all(child.closed for child in pool.children)


def test_a_caller_waits_for_a_child_until_it_is_returned_or_the_caller_has_gone() -> None:
    pool = ChildPool([Named("a")])
    gone = Cancellation()
    lent: list[str] = []

    def wait() -> None:
        with pool.borrow() as child:
            lent.append(child.name)

    with pool.borrow():
        waiting = threading.Thread(target=wait)
        waiting.start()
        gone.cancel()
        with pytest.raises(CancelledError), pool.borrow(gone):
            pass
        assert lent == []
    waiting.join(300)
    assert lent == ["a"]


def test_a_child_that_died_is_lent_again_and_serves() -> None:
    with closing(ChildPool([Child(work, LIMITS, TEXT)])) as pool:
        with pytest.raises(DecoderCrashedError), pool.borrow() as child:
            list(child.run("die"))
        with pool.borrow() as child:
            assert list(child.run("next")) == ["next begun", "next done"]
