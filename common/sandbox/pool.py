"""Child processes shared by many threads: each is lent to one caller at a time."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.closeable import Closeable

# How often a caller that waits for a child checks whether its own caller has gone.
_TICK_SECONDS = 0.2


# A `Child`, or what holds one.
Kept = TypeVar("Kept", bound=Closeable)


class ChildPool(Generic[Kept]):
    """Lends children; as many are in use at once as there are. Thread-safe.

    A child starts with its first job. One that died or was killed at a limit is returned like any other,
    and its next job starts it again (see `Child.run`).
    """

    def __init__(self, children: Iterable[Kept]) -> None:
        self.children = tuple(children)
        # The last used is lent first: it has started already.
        self._idle: queue.LifoQueue[Kept] = queue.LifoQueue()
        for child in reversed(self.children):
            self._idle.put(child)

    def __len__(self) -> int:
        return len(self.children)

    @contextmanager
    def borrow(self, cancellation: Cancellation = NEVER_CANCELLED) -> Iterator[Kept]:
        """One child for as long as the block lasts; waits for one. Raises CancelledError."""
        while True:
            cancellation.check()
            try:
                child = self._idle.get(timeout=_TICK_SECONDS)
                break
            except queue.Empty:
                continue
        try:
            yield child
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """Kill the children, also those that are in use: their jobs raise DecoderCrashedError."""
        for child in self.children:
            child.close()
