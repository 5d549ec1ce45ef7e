"""A batch of queries that is divided among threads has the answers it would have undivided."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

from common.runtime_tuning import yield_to_queries
from common.settings import SearcherSettings
from common.types import Float32Array
from searcher.index import parallel_search
from searcher.index.parallel_search import in_threads
from searcher.index.shard import Shard
from searcher.index.state import Nearest
from tests.support.embeddings import unit_rows, video


class Noted:
    """A search whose results name their queries. It notes the threads in which it ran."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, queries: Float32Array) -> Nearest:
        self.threads.append(threading.current_thread().name)
        return queries[:, :2], queries[:, :2].astype(np.int64)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_search, "usable_cores", lambda: 4)


def numbered(count: int) -> Float32Array:
    return np.arange(3 * count, dtype=np.float32).reshape(count, 3)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 101])
def test_every_query_has_its_own_answer_whatever_their_number(count: int) -> None:
    queries, search = numbered(count), Noted()
    scores, rows = in_threads(search, queries)
    assert np.array_equal(scores, queries[:, :2])
    assert np.array_equal(rows, queries[:, :2])
    assert len(search.threads) <= 4


def test_many_queries_are_searched_in_several_threads_and_few_in_that_of_the_caller() -> None:
    many, few = Noted(), Noted()
    in_threads(many, numbered(64))
    in_threads(few, numbered(2))
    here = threading.current_thread().name
    assert (len(many.threads), many.threads.count(here)) == (4, 1)
    assert few.threads == [here]


def test_a_thread_in_the_background_takes_no_other_thread() -> None:
    search = Noted()

    def work() -> None:
        yield_to_queries()
        in_threads(search, numbered(64))

    thread = threading.Thread(target=work, name="background")
    thread.start()
    thread.join()
    assert search.threads == ["background"]


def test_an_error_of_any_part_reaches_the_caller() -> None:
    def search(queries: Float32Array) -> Nearest:
        if queries[-1, 0] == 3 * 63:
            raise RuntimeError("broken")
        return queries, queries.astype(np.int64)

    with pytest.raises(RuntimeError, match="broken"):
        in_threads(search, numbered(64))


def _search_in_a_fork(answers: Any) -> None:
    answers.send(len(in_threads(Noted(), numbered(64))[0]))


def test_a_forked_process_has_threads_of_its_own() -> None:
    in_threads(Noted(), numbered(64))
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    process = context.Process(target=_search_in_a_fork, args=(theirs,))
    process.start()
    assert mine.poll(300)
    assert mine.recv() == 64
    process.join()


def test_a_shard_finds_the_same_for_a_batch_as_for_single_queries(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=8))
    for number in range(20):
        shard.add(video(rng, f"v{number}", 9))
    shard.wait_for_build()
    asked = unit_rows(rng, 50)
    scores, rows = shard.search_ids(asked, 5)
    for number, query in enumerate(asked):
        one_score, one_row = shard.search_ids(query[None], 5)
        assert np.array_equal(rows[number], one_row[0])
        assert np.allclose(scores[number], one_score[0], atol=1e-6)
