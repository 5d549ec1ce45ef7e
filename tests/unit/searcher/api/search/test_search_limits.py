"""What bounds a search: its time limit, its queue, and where it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import searcher.api.search.routes
from common.types import Float32Array
from searcher.index.hit_fields import HitFields
from searcher.index.state import EVERYTHING, Filter
from tests.support.queries import error_of, message_of
from tests.unit.searcher.api.test_api import RAW, Api, axis, hits

# Enough vectors that the event loop leaves them to a thread.
MANY = np.stack([axis(0)] * 40)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path / "data")
    yield made
    made.close()


class HeldSearch:
    """The search of an index, which waits until it is let go."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.threads: list[int] = []
        self.sizes: list[int] = []
        self._search = api.index.search_fields
        monkeypatch.setattr(api.index, "search_fields", self)

    def __call__(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        self.threads.append(threading.get_ident())
        self.sizes.append(len(vectors))
        self.begun.release()
        assert self.go_on.wait(300)
        return self._search(vectors, k, only)

    async def has_begun(self, times: int) -> None:
        for _ in range(times):
            assert await asyncio.to_thread(self.begun.acquire, timeout=300)


def ask(api: Api, vectors: Float32Array, limit: str | None = None) -> httpx.Response:
    headers = RAW if limit is None else {**RAW, "X-Request-Timeout-Ms": limit}
    return api.client.post("/v1/search", content=vectors.tobytes(), headers=headers)


@pytest.mark.parametrize("limit", ["0", "-1", "60001", "1.5", "soon", "", "9" * 30])
def test_a_time_limit_is_a_whole_number_of_milliseconds(api: Api, limit: str) -> None:
    answer = ask(api, MANY[:1], limit)
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith("X-Request-Timeout-Ms: expected a whole number from 1")


def test_an_answer_within_the_limit_is_that_without_one(api: Api) -> None:
    assert hits(ask(api, MANY, "60000")) == hits(ask(api, MANY))


def test_a_caller_is_answered_when_its_time_ends_and_the_work_stops_at_its_next_part(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher.api.search.routes, "_VECTORS_AT_ONCE", 15)
    held = HeldSearch(api, monkeypatch)
    answer = ask(api, MANY, "20")
    assert error_of(answer) == (504, "deadline_exceeded")
    assert "no answer within 20 ms" in message_of(answer)
    held.go_on.set()
    # The place is free, and the work that nobody waits for did not go on to its second part.
    assert len(hits(ask(api, MANY))) == 40
    assert held.sizes.count(10) == 1
    assert len(held.sizes) <= 4


def test_a_body_that_does_not_come_is_not_waited_for_beyond_the_limit(api: Api) -> None:
    status = 0

    async def late() -> None:
        nonlocal status
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/search",
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", RAW["Content-Type"].encode()),
                (b"x-request-timeout-ms", b"20"),
            ],
        }

        async def receive() -> dict[str, object]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, object]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                assert isinstance(message["status"], int)
                status = message["status"]

        await api.client.app(scope, receive, send)  # type: ignore[arg-type]

    api.client.run(late())
    assert status == 504


def test_a_full_queue_is_429_and_says_when_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldSearch(api, monkeypatch)

    async def check() -> None:
        def one(vectors: Float32Array) -> asyncio.Future[httpx.Response]:
            sent = api.client.send("POST", "/v1/search", content=vectors.tobytes(), headers=RAW)
            return asyncio.ensure_future(sent)

        waiting = [one(MANY) for _ in range(66)]
        await held.has_begun(2)
        while api.metric("queue_waiting_requests", queue="search") < 64:
            await asyncio.sleep(0)
        refused = await one(MANY)
        assert error_of(refused) == (429, "busy")
        assert refused.headers["Retry-After"] == "1"
        held.go_on.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {200}

    api.client.run(check())
    assert api.metric("queue_refused_requests_total", queue="search") == 1


@pytest.mark.parametrize(
    ("in_process", "vectors", "here"), [(True, 1, True), (True, 40, False), (False, 1, False)]
)
def test_only_a_short_search_of_this_process_runs_in_the_event_loop(
    api: Api, monkeypatch: pytest.MonkeyPatch, in_process: bool, vectors: int, here: bool
) -> None:
    held = HeldSearch(api, monkeypatch)
    held.go_on.set()
    monkeypatch.setattr(api.index, "in_process", in_process, raising=False)
    assert len(hits(ask(api, MANY[:vectors]))) == vectors
    assert (held.threads == [threading.get_ident()]) is here


def test_a_request_is_counted_under_its_route_and_its_errors_have_a_request_id(api: Api) -> None:
    assert ask(api, MANY[:1]).headers["X-Request-ID"]
    answer = ask(api, MANY[:1], "0")
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    for status, count in (("200", 1), ("400", 1)):
        labels = {"method": "POST", "route": "/v1/search", "status": status}
        assert api.metric("http_requests_total", **labels) == count


def test_other_methods_of_the_path_are_told_which_one_there_is(api: Api) -> None:
    answer = api.client.get("/v1/search")
    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30, 0.5])
def test_one_vector_is_checked_as_several_are(api: Api, bad: float) -> None:
    vector = axis(0)
    vector[0] = bad
    answer = ask(api, vector[None])
    assert error_of(answer) == (400, "usage")
    expected = "expected unit norm" if bad == 0.5 else "expected finite numbers"
    assert message_of(answer).startswith(f"vectors: {expected}")
