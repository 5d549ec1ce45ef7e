"""Decoded queries by id, so that the next pass needs no second upload. They expire, and their number and
bytes are bounded."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.http.errors import ApiError
from common.types import EVERYWHERE, PassName, QueryEmbedding, TimeSpans

UNKNOWN_QUERY = "unknown_query"
"""Code of the error for a query that is not here."""


class OpenQuery(Protocol):
    """A decoded query: `QuerySession`."""

    @property
    def size_bytes(self) -> int:
        """On disk."""
        ...

    def pieces(
        self,
        pass_name: PassName,
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[QueryEmbedding]:
        """The query as one pass sees it, piece by piece; see `TakePass`."""
        ...

    def close(self) -> None:
        """Give the space on disk back."""
        ...


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds on the queries that wait for their next pass.

    idle_seconds: how long a query is kept after its last pass. most, most_bytes: number of queries, and
    their bytes on disk; above either, the longest waiting queries are closed.
    """

    idle_seconds: float = 120.0
    most: int = 64
    most_bytes: int = 4 << 30


@dataclass(slots=True)
class _OpenEntry:
    query: OpenQuery
    passes: int
    idle_since: float = 0.0
    deleted: bool = False


class OpenQueries:
    """The queries of one embedder. A query is never closed during a pass. Thread-safe."""

    def __init__(self, limits: QueryLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        # In the order of their last use.
        self._open: dict[str, _OpenEntry] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, query: OpenQuery) -> str:
        """Add a query whose first pass begins; returns its new, random id."""
        query_id = secrets.token_hex(16)
        with self._lock:
            self._open[query_id] = _OpenEntry(query, 1)
        return query_id

    def take(self, query_id: str) -> OpenQuery:
        """The query, for one more pass. Raises ApiError (404)."""
        self.expire()
        with self._lock:
            entry = self._open.get(query_id)
            if entry is None or entry.deleted:
                raise _unknown(query_id)
            entry.passes += 1
            return entry.query

    def give_back(self, query_id: str, *, keep: bool) -> None:
        """End a pass; the query is closed unless it is kept for another pass."""
        with self._lock:
            entry = self._open.pop(query_id)
            entry.passes -= 1
            entry.idle_since = self._clock()
            entry.deleted |= not keep
            closed = entry.deleted and not entry.passes
            if not closed:
                self._open[query_id] = entry
        if closed:
            entry.query.close()
        self.expire()

    def delete(self, query_id: str) -> None:
        """Close a query that needs no further pass; during a pass, at its end. Raises ApiError (404)."""
        with self._lock:
            entry = self._open.get(query_id)
            if entry is None or entry.deleted:
                raise _unknown(query_id)
            entry.deleted = True
            if entry.passes:
                return
            del self._open[query_id]
        entry.query.close()

    def expire(self) -> None:
        """Close queries that are idle for too long or above the bounds."""
        with self._lock:
            closed = [name for name, entry in self._open.items() if self._is_old(entry)]
            remaining = {name: entry for name, entry in self._open.items() if name not in closed}
            number, size = (
                len(remaining),
                sum(entry.query.size_bytes for entry in remaining.values()),
            )
            for name, entry in remaining.items():
                if number <= self.limits.most and size <= self.limits.most_bytes:
                    break
                if not entry.passes:
                    closed.append(name)
                    number, size = number - 1, size - entry.query.size_bytes
            queries = [self._open.pop(name).query for name in closed]
        for query in queries:
            query.close()

    def _is_old(self, entry: _OpenEntry) -> bool:
        return not entry.passes and self._clock() - entry.idle_since >= self.limits.idle_seconds


def _unknown(query_id: str) -> ApiError:
    return ApiError(
        404,
        UNKNOWN_QUERY,
        f"no query {query_id[:40]!r} is here: it expired or was deleted; send the video again",
    )
