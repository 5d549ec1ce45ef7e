"""Queries that wait for their next pass: by id, for a while, and only so many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.http.errors import ApiError
from common.types import EVERYWHERE, PassName, QueryEmbedding, TimeSpans
from embedder.query.open_queries import OpenQueries, QueryLimits
from tests.support.clock import Clock


class Query:
    """Notes whether it was closed."""

    def __init__(self, size_bytes: int = 10) -> None:
        self.size_bytes = size_bytes
        self.closed = False

    @property
    def open(self) -> bool:
        return not self.closed

    def pieces(
        self,
        pass_name: PassName,
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[QueryEmbedding]:
        return iter(())

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def kept(queries: OpenQueries, query: Query) -> str:
    """The id of a query whose first pass has ended."""
    query_id = queries.add(query)
    queries.give_back(query_id, keep=True)
    return query_id


def test_a_query_is_kept_for_so_long_after_its_last_pass() -> None:
    clock, query = Clock(0.0), Query()
    queries = OpenQueries(QueryLimits(idle_seconds=10.0), clock)
    query_id = kept(queries, query)
    clock.now = 9.0
    assert queries.take(query_id) is query
    clock.now = 100.0
    queries.expire()
    assert query.open, "a pass is at work"
    queries.give_back(query_id, keep=True)
    clock.now = 110.0
    with pytest.raises(ApiError, match="expired") as raised:
        queries.take(query_id)
    assert raised.value.status == 404
    assert query.closed
    assert not len(queries)


@pytest.mark.parametrize("limits", [QueryLimits(most=2), QueryLimits(most_bytes=25)])
def test_what_is_too_much_closes_those_that_wait_longest(limits: QueryLimits) -> None:
    queries = OpenQueries(limits)
    first, second, third = Query(), Query(), Query()
    ids = [kept(queries, first), kept(queries, second)]
    # Used once more, the first has waited less than the second.
    queries.take(ids[0])
    queries.give_back(ids[0], keep=True)
    kept(queries, third)
    assert [one.closed for one in (first, second, third)] == [False, True, False]


def test_a_query_at_work_is_not_closed_however_large_it_is() -> None:
    queries = OpenQueries(QueryLimits(most_bytes=25))
    large, small = Query(100), Query()
    query_id = queries.add(large)
    kept(queries, small)
    assert (large.closed, small.closed) == (False, True)
    queries.give_back(query_id, keep=True)
    assert large.closed


def test_a_query_deleted_during_a_pass_is_closed_at_its_end() -> None:
    queries, query = OpenQueries(QueryLimits()), Query()
    query_id = queries.add(query)
    queries.delete(query_id)
    assert not query.closed
    with pytest.raises(ApiError):
        queries.take(query_id)
    queries.give_back(query_id, keep=True)
    assert query.closed


def test_a_pass_that_was_broken_off_keeps_nothing() -> None:
    queries, query = OpenQueries(QueryLimits()), Query()
    queries.give_back(queries.add(query), keep=False)
    assert query.closed
