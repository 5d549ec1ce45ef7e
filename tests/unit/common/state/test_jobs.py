"""The queue of jobs over both databases."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import TooManyJobsError, UsageError
from common.settings import JobSettings
from common.state.database import StateDatabase
from common.state.idempotency import Once
from common.state.job_order import fair_order
from common.state.job_rows import DONE, Job, NewJob, new_job_id
from common.state.jobs import JobStore
from tests.support.clock import Clock

OWNER = "here"
SETTINGS = JobSettings(
    max_queued=4, max_queued_per_key=3, max_bytes=100, result_hours=2, max_results=2
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: StateDatabase, clock: Clock) -> JobStore:
    return JobStore(database, SETTINGS, clock)


def add(store: JobStore, key: str = "k", size: int = 0, **request: Any) -> str:
    return store.add(NewJob(new_job_id(), OWNER, key, size, {"name": "x", **request}))[0]


def taken(store: JobStore) -> Job:
    job = store.take(OWNER)
    assert job is not None
    return job


def states(store: JobStore) -> list[str]:
    return [job.state for job in store.page(None, None, 100)[0]]


def test_keys_take_turns() -> None:
    queued = [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c")]
    assert fair_order(queued, {}) == [1, 4, 5, 2, 3]
    assert fair_order(queued, {"a": 9, "b": 5}) == [5, 4, 1, 2, 3]
    assert fair_order([], {"a": 9}) == []


def test_a_key_with_one_job_does_not_wait_for_all_of_another(store: JobStore, clock: Clock) -> None:
    greedy = [add(store, "greedy") for _ in range(3)]
    modest = add(store, "modest")
    order = []
    while store.has_queued(OWNER):
        clock.now += 1
        order.append(taken(store).id)
    assert order == [greedy[0], modest, greedy[1], greedy[2]]


def test_a_key_has_its_turn_also_after_the_clock_was_set_back(
    store: JobStore, clock: Clock
) -> None:
    def run_next() -> str:
        clock.now += 1
        job = taken(store)
        store.finish(job, DONE, result={})
        return job.key_id

    add(store, "first")
    run_next()
    clock.now -= 500
    order = []
    add(store, "second")
    add(store, "first")
    for _ in range(3):
        order.append(run_next())
        add(store, "second")
    assert order == ["second", "first", "second"]


def test_a_queued_job_knows_its_position(store: JobStore) -> None:
    first, second = add(store), add(store)
    other = add(store, "other")
    found = [store.get(one, None) for one in (first, second, other)]
    assert [job and job.position for job in found] == [0, 2, 1]
    running = taken(store)
    assert (running.id, running.position, running.state) == (first, None, "running")


def test_the_queue_is_bounded_for_a_key_for_all_and_in_bytes(store: JobStore) -> None:
    # No time makes room for it.
    with pytest.raises(UsageError, match="101 bytes; those of all jobs may have 100 together"):
        add(store, size=101)
    for _ in range(3):
        add(store, size=30)
    with pytest.raises(TooManyJobsError, match="3 jobs of this key"):
        store.check_capacity(OWNER, "k")
    with pytest.raises(TooManyJobsError, match="disk space"):
        add(store, "other", size=20)
    add(store, "other")
    with pytest.raises(TooManyJobsError, match="4 jobs are queued"):
        add(store, "third")
    # A job that has ended makes room.
    store.finish(taken(store), DONE, result={})
    add(store, size=30)


def test_a_job_is_seen_by_its_key_alone(store: JobStore) -> None:
    job_id = add(store, "mine")
    assert store.get(job_id, "other") is None
    assert store.page("other", None, 9)[2] == 0
    assert not store.cancel(job_id, "other")
    assert [job.id for job in store.page("mine", None, 9)[0]] == [job_id]


def test_an_id_that_a_database_refuses_is_unknown(store: JobStore) -> None:
    job_id = add(store)
    for wrong in ("\0", f"{job_id}\0", "\ud800"):
        assert store.get(wrong, None) is None
        assert not store.cancel(wrong, None)


def test_an_ended_job_keeps_its_result_and_forgets_the_address(
    store: JobStore, clock: Clock
) -> None:
    job_id = add(store, uri="https://host/film.mp4?token=secret")
    assert taken(store).request["uri"].endswith("secret")
    store.tell_progress(1, {"stage": "first pass"})
    store.finish(taken_again(store, job_id), DONE, result={"decision": "copy"})
    job = store.get(job_id, None)
    assert job is not None
    assert (job.result, job.progress) == ({"decision": "copy"}, {"stage": "first pass"})
    assert "uri" not in job.request
    clock.now += 3600
    store.trim()
    assert store.get(job_id, None) is not None
    clock.now += 3601
    store.trim()
    assert store.get(job_id, None) is None


def taken_again(store: JobStore, job_id: str) -> Job:
    job = store.get(job_id, None)
    assert job is not None
    return job


def test_of_too_many_results_the_oldest_go(store: JobStore) -> None:
    ids = []
    for _ in range(3):
        ids.append(add(store))
        store.finish(taken(store), DONE, result={})
    waiting = add(store)
    store.trim()
    assert [job.id for job in store.page(None, None, 9)[0]] == [waiting, ids[2], ids[1]]


def test_a_long_job_that_ended_last_is_not_among_the_oldest(store: JobStore, clock: Clock) -> None:
    long_id = add(store)
    long_job = taken(store)
    ids = []
    for _ in range(2):
        clock.now += 1
        ids.append(add(store))
        store.finish(taken(store), DONE, result={})
    clock.now += 1
    store.finish(long_job, DONE, result={})
    store.trim()
    assert [job.id for job in store.page(None, None, 9)[0]] == [ids[1], long_id]


def test_cancelling_ends_asks_or_deletes(store: JobStore) -> None:
    first, second = add(store), add(store)
    running = taken(store)
    assert not store.is_cancelled(running.number)
    assert store.cancel(first, "k")
    assert store.is_cancelled(running.number)
    assert store.cancel(second, "k")
    assert states(store) == ["cancelled", "running"]
    assert store.take(OWNER) is None
    assert store.cancel(second, "k")
    assert states(store) == ["cancelled", "running"]
    store.finish(running, DONE, result={})
    assert store.cancel(first, "k")
    assert states(store) == ["cancelled"]
    assert not store.cancel(first, "k")


def test_after_a_crash_a_job_is_queued_again_and_after_three_it_failed(store: JobStore) -> None:
    job_id = add(store)
    taken(store)
    store.recover("elsewhere")
    assert states(store) == ["running"]
    for _ in range(2):
        store.recover(OWNER)
        waiting = store.get(job_id, None)
        assert waiting is not None
        assert (waiting.state, waiting.started_at) == ("queued", None)
        taken(store)
    store.recover(OWNER)
    job = store.get(job_id, None)
    assert job is not None
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "crashed"


def test_a_stop_of_the_service_is_no_crash(store: JobStore) -> None:
    add(store)
    for _ in range(3):
        store.give_back(taken(store))
        store.recover(OWNER)
    assert states(store) == ["queued"]


def test_a_job_that_was_cancelled_before_a_crash_is_not_begun_again(store: JobStore) -> None:
    job_id = add(store)
    taken(store)
    store.cancel(job_id, None)
    store.recover(OWNER)
    assert states(store) == ["cancelled"]


def test_a_job_of_another_service_is_left_to_it(store: JobStore) -> None:
    store.add(NewJob(new_job_id(), "elsewhere", "k", 0, {}))
    assert not store.has_queued(OWNER)
    assert store.take(OWNER) is None


def test_the_same_request_again_is_the_same_job(store: JobStore) -> None:
    once = Once("k", "POST /v1/jobs", "mine", "{}")
    ids = {store.add(NewJob(new_job_id(), OWNER, "k", 0, {}), once) for _ in range(2)}
    assert {replayed for _, replayed in ids} == {False, True}
    assert len({job_id for job_id, _ in ids}) == 1
    assert states(store) == ["queued"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_that_a_crash_ended_forgets_its_address(store: JobStore, cancelled: bool) -> None:
    job_id = new_job_id()
    request = {"uri": "https://host/a.mp4?token=secret", "kind": "uri"}
    store.add(NewJob(job_id, OWNER, "k", 0, request))
    for _ in range(3):
        taken(store)
        if cancelled:
            store.cancel(job_id, None)
        store.recover(OWNER)
        if cancelled:
            break
    job = store.get(job_id, None)
    assert job is not None
    assert job.state == ("cancelled" if cancelled else "failed")
    assert job.request == {"kind": "uri"}
