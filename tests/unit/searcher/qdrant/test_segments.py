"""The counts of a collection, which metrics show, while Qdrant does not respond."""

from __future__ import annotations

import threading
from typing import Any

from common.errors import DependencyError
from common.settings import SearcherSettings
from searcher.qdrant.segments import QdrantSegments


class Store:
    """Has 7 vectors, unless `count` is another function."""

    def __init__(self) -> None:
        self.count: Any = lambda: 7
        self.asked = 0

    def __len__(self) -> int:
        self.asked += 1
        return int(self.count())


def segments(store: Any) -> QdrantSegments:
    return QdrantSegments(store, SearcherSettings())


def test_after_a_failure_the_last_count_is_told_without_a_request() -> None:
    store = Store()
    counted = segments(store)
    assert counted.stats().live == 7

    def fails() -> int:
        raise DependencyError("Qdrant does not respond")

    store.count = fails
    assert [counted.stats().live for _ in range(3)] == [7, 7, 7]
    assert store.asked == 2


def test_while_a_count_takes_long_no_other_call_waits() -> None:
    store = Store()
    counted = segments(store)
    begun, go_on = threading.Event(), threading.Event()

    def hangs() -> int:
        begun.set()
        go_on.wait(300)
        return 9

    store.count = hangs
    slow = threading.Thread(target=counted.stats)
    slow.start()
    begun.wait(300)
    assert counted.stats().live == 0
    go_on.set()
    slow.join()
    store.count = lambda: 9
    assert counted.stats().live == 9
