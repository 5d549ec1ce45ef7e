"""A request for a job waits until the job changes, and holds no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from common.http.request_facts import Caller
from common.state.roles import Role
from searcher.jobs import job_watch
from searcher.jobs.job_watch import JobWatch
from storyhash.services.job_worker import JobWorker
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.unit.searcher.api.test_key_access import Keyed, keyed
from tests.unit.searcher.jobs.test_jobs import Queue

__all__ = ["keyed"]


@pytest.fixture
def queue(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> Queue:
    # Only what is told wakes the requests.
    monkeypatch.setattr(job_watch, "_LOOK_SECONDS", 300.0)
    return Queue(keyed)


def waited(queue: Queue, path: str, act: Callable[[], object], **request: Any) -> httpx.Response:
    """The response to a request that waits when `act` is called, in another thread."""
    client, watch = queue.keyed.client, queue.keyed.jobs.watch
    headers = {**queue.key, **request.get("headers", {})}

    async def both() -> httpx.Response:
        answer = asyncio.ensure_future(client.send("GET", path, headers=headers))
        while not watch.waiting:
            await asyncio.sleep(0.01)
            assert not answer.done(), answer.result().text
        await asyncio.to_thread(act)
        return await answer

    found = client.run(both())
    assert watch.waiting == 0
    return found


def waiting_for(answer: Any) -> str:
    return f"{answer.headers['Location']}?wait_seconds=30"


def test_the_answer_comes_when_the_job_changes(queue: Queue) -> None:
    posted = queue.post()
    changed = waited(queue, waiting_for(posted), queue.run).json()
    assert changed["state"] in ("running", "done")
    # A job that has ended changes no more.
    done = queue.ask("GET", waiting_for(posted)).json()
    assert (done["state"], done["result"]["decision"]) == ("done", "copy")
    assert queue.keyed.jobs.watch.waiting == 0


def test_it_comes_when_the_job_is_cancelled(queue: Queue) -> None:
    posted = queue.post()
    job_id, admin = posted.json()["id"], Caller(None, Role.ADMIN, None)
    cancelled = waited(queue, waiting_for(posted), lambda: queue.keyed.jobs.cancel(job_id, admin))
    assert cancelled.json()["state"] == "cancelled"


def test_what_another_process_changes_is_seen_too(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_watch, "_LOOK_SECONDS", 0.01)
    posted = queue.post()
    store, job_id = queue.keyed.state.jobs, posted.json()["id"]
    cancelled = waited(queue, waiting_for(posted), lambda: store.cancel(job_id, None))
    assert cancelled.json()["state"] == "cancelled"
    about = queue.post(json={"video_id": "a.mp4"})
    forget = queue.keyed.state.forget_video
    gone = waited(queue, waiting_for(about), lambda: forget("a.mp4"))
    assert error_of(gone) == (404, "unknown_job")


def test_a_version_that_is_known_is_not_sent_again(queue: Queue) -> None:
    posted = queue.post()
    place = posted.headers["Location"]
    known = {"If-None-Match": queue.ask("GET", place).headers["ETag"]}
    unchanged = queue.ask("GET", f"{place}?wait_seconds=0.01", headers=known)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    # One that has changed since is answered at once.
    first = {"If-None-Match": '"of another version"'}
    assert queue.ask("GET", waiting_for(posted), headers=first).json()["state"] == "queued"
    changed = waited(queue, waiting_for(posted), queue.run, headers=known)
    assert changed.headers["ETag"] != known["If-None-Match"]


def test_nothing_waits_once_the_service_stops(queue: Queue) -> None:
    posted = queue.post()
    nothing: Any = None
    worker = JobWorker(queue.keyed.jobs, nothing)
    assert waited(queue, waiting_for(posted), worker.stop).json()["state"] == "queued"
    assert queue.ask("GET", waiting_for(posted)).json()["state"] == "queued"


@pytest.mark.parametrize("seconds", ["30.1", "-1", "nan", "soon"])
def test_the_time_is_bounded(queue: Queue, seconds: str) -> None:
    place = queue.post().headers["Location"]
    assert error_of(queue.ask("GET", f"{place}?wait_seconds={seconds}")) == (400, "usage")


def test_only_its_key_waits_for_a_job(queue: Queue) -> None:
    posted, other = queue.post(), key_of(queue.keyed.state, Role.WRITER)
    assert error_of(queue.ask("GET", waiting_for(posted), other)) == (404, "unknown_job")


async def never() -> Message:
    return await asyncio.get_running_loop().create_future()


async def gone() -> Message:
    return {"type": "http.disconnect"}


def waits(receive: Callable[[], Awaitable[Message]], room_needed: bool) -> int:
    """How often a request that waits reads the job."""
    watch, reads = JobWatch(), []

    async def read() -> int:
        reads.append(1)
        return 1

    async def wait() -> None:
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if room_needed:
            room.set_result(None)
        await watch.until("a", read, lambda _: False, 300.0, receive, room)

    try:
        asyncio.run(wait())
    finally:
        assert watch.waiting == 0
    return len(reads)


def test_a_client_that_hangs_up_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watch, "_LOOK_SECONDS", 300.0)
    with pytest.raises(ClientDisconnect):
        waits(gone, room_needed=False)


def test_a_request_without_a_place_is_answered_at_once() -> None:
    assert waits(never, room_needed=True) == 1
