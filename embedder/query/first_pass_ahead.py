"""The first pass over a query begins while the query is still being decoded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context

from common.cancellation import Cancellation
from common.errors import CancelledError
from common.types import Float32Array, Segment
from embedder.query.embedder import QueryEmbedder
from embedder.query.features import SegmentFeatures
from embedder.query.passes import FIRST
from embedder.query.pieces import PIECE_SECONDS

# Clips that wait for the embedder: more than a minute of them. One more may exceed it.
_MAX_WAITING_BYTES = 8 << 20
# How often a caller that waits checks whether its own caller has gone.
_TICK_SECONDS = 0.2


class FirstPassAhead:
    """Embeds the first ten minutes of a query in a thread, one segment after the other.

    What it does not take, because too many clips wait or the query is longer, is left to the pass itself.
    So decoding never waits for it, and the features that it keeps are at most a few megabytes. `add`,
    `finish` and `close` are called from one thread.
    """

    def __init__(
        self, embedder: QueryEmbedder, actions: dict[float, Float32Array] | None = None
    ) -> None:
        """actions: those that are known already."""
        self._embedder = embedder
        self.actions: dict[float, Float32Array] = {} if actions is None else actions
        """See `QueryEmbedder.each`."""
        self._changed = threading.Condition()
        self._waiting: deque[Segment] = deque()
        self._ended = False
        self._seen: dict[float, SegmentFeatures] = {}
        self._error: Exception | None = None
        self._cancellation = Cancellation()
        self._thread: threading.Thread | None = None

    def add(self, segment: Segment) -> None:
        """Take the next segment that was decoded, if there is room."""
        with self._changed:
            full = sum(len(one.clip) for one in self._waiting) >= _MAX_WAITING_BYTES
            if full or segment.ref.start_seconds >= PIECE_SECONDS:
                return
            self._waiting.append(segment)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(
                target=copy_context().run, args=(self._run,), name="first-pass"
            )
            self._thread.start()

    def finish(self, cancellation: Cancellation) -> None:
        """The last segment was added: wait until all are embedded. Raises CancelledError."""
        self._end()
        cancellation.check()
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(_TICK_SECONDS)
            cancellation.check()

    def take(self, start_seconds: float, end_seconds: float) -> list[SegmentFeatures]:
        """The features of the segments that overlap [start, end), once. Raises the error of a segment,
        once."""
        with self._changed:
            error, self._error = self._error, None
            if error is not None:
                raise error
            taken = [
                one
                for one in self._seen.values()
                if one.end_seconds > start_seconds and one.start_seconds < end_seconds
            ]
            for one in taken:
                del self._seen[one.start_seconds]
            return taken

    def close(self) -> None:
        """End the work, after the segment that is embedded now."""
        self._cancellation.cancel()
        self._end()
        if self._thread is not None:
            self._thread.join()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            for one in self._embedder.each(
                self._added(), FIRST, 0.0, actions=self.actions, cancellation=self._cancellation
            ):
                with self._changed:
                    self._seen[one.start_seconds] = one
        except CancelledError:
            pass
        except Exception as error:
            # `take` raises it.
            self._error = error

    def _added(self) -> Iterator[Segment]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                self._cancellation.check()
                if not self._waiting:
                    return
                segment = self._waiting.popleft()
            yield segment
