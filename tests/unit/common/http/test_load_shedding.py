"""So many at work, so many waiting, and the rest is turned away at once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from common.cancellation import Cancellation
from common.http.errors import ApiError
from common.http.fair_turns import NOBODY, EvictedError, FairTurns, Sender
from common.http.load_shedding import LoadShedder
from common.http.request_metrics import QueueMetrics
from common.metrics import Metrics


def run(work: Coroutine[Any, Any, None]) -> None:
    """One event loop, as a server has it; a test that hangs in it has found something."""
    asyncio.run(asyncio.wait_for(work, 300))


class Work:
    """Work in threads that waits until it is let go, and counts how much of it runs at once; it heeds a
    cancellation, or does not."""

    def __init__(self, *, heeds: bool = False) -> None:
        self.heeds = heeds
        self.most = self.now = self.done = 0
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, cancellation: Cancellation) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.begun.release()
        try:
            while not self.go_on.wait(0.01):
                if self.heeds:
                    cancellation.check()
        finally:
            with self._lock:
                self.now -= 1
                self.done += 1
        return self.done

    async def has_begun(self, times: int) -> None:
        for _ in range(times):
            assert await asyncio.to_thread(self.begun.acquire, timeout=300)


class Caller:
    """Who waits for an answer, until he hangs up."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    def hang_up(self) -> None:
        self._gone.set()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}


async def request(
    load_shedder: LoadShedder, work: Work, caller: Caller | None = None, sender: Sender = NOBODY
) -> int:
    async with load_shedder.entered(sender):
        return await load_shedder.run(work, (caller or Caller()).receive, sender=sender)


def test_so_many_work_at_once_and_all_that_wait_have_their_turn() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(2, 5), Work()
        requests = [asyncio.create_task(request(load_shedder, work)) for _ in range(7)]
        await work.has_begun(2)
        work.go_on.set()
        assert sorted(await asyncio.gather(*requests)) == list(range(1, 8))
        assert work.most == 2

    run(check())


def test_one_too_many_is_told_when_to_come_again() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(1, 2, retry_seconds=7), Work()
        inside = [asyncio.create_task(request(load_shedder, work)) for _ in range(3)]
        await work.has_begun(1)
        with pytest.raises(ApiError, match="3 requests are in progress or waiting") as refused:
            await request(load_shedder, work)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        # Its body is not read, so the connection cannot go on.
        assert refused.value.headers == {"Retry-After": "7", "Connection": "close"}
        work.go_on.set()
        await asyncio.gather(*inside)

    run(check())


def test_a_place_is_free_again_however_a_request_ended() -> None:
    async def fail(load_shedder: LoadShedder) -> None:
        async with load_shedder.entered():
            raise ValueError("the body is no video")

    def broken(_: Cancellation) -> None:
        raise ZeroDivisionError

    async def check() -> None:
        load_shedder = LoadShedder(1, 0)
        for _ in range(3):
            with pytest.raises(ValueError, match="no video"):
                await fail(load_shedder)
            with pytest.raises(ZeroDivisionError):
                async with load_shedder.entered():
                    await load_shedder.run(broken, Caller().receive)
        async with load_shedder.entered():
            assert await load_shedder.run(lambda _: 5, Caller().receive) == 5

    run(check())


@pytest.mark.parametrize("heeds", [True, False])
def test_work_whose_caller_hangs_up_holds_its_turn_until_it_has_really_ended(heeds: bool) -> None:
    async def check() -> None:
        load_shedder, work, caller = LoadShedder(1, 1), Work(heeds=heeds), Caller()
        left = asyncio.create_task(request(load_shedder, work, caller))
        await work.has_begun(1)
        waiting = asyncio.create_task(request(load_shedder, work))
        caller.hang_up()
        if not heeds:
            # It cannot be ended, so it still counts: nobody can pile up work by asking and leaving.
            await asyncio.sleep(0.05)
            assert (left.done(), work.now, work.most) == (False, 1, 1)
            with pytest.raises(ApiError, match="try again later"):
                await request(load_shedder, work)
            work.go_on.set()
        with pytest.raises(ClientDisconnect):
            await left
        await work.has_begun(1)
        work.go_on.set()
        await waiting
        assert (work.most, work.done) == (1, 2)

    run(check())


def test_work_that_is_cancelled_is_not_done_after_all() -> None:
    async def check() -> None:
        load_shedder, work, caller = LoadShedder(1, 0), Work(heeds=True), Caller()
        left = asyncio.create_task(request(load_shedder, work, caller))
        await work.has_begun(1)
        caller.hang_up()
        with pytest.raises(ClientDisconnect):
            await left
        assert (work.now, work.go_on.is_set()) == (0, False)

    run(check())


def test_one_that_waits_and_hangs_up_leaves_its_place_at_once() -> None:
    async def check() -> None:
        load_shedder, work, caller = LoadShedder(1, 1), Work(), Caller()
        first = asyncio.create_task(request(load_shedder, work))
        await work.has_begun(1)
        waiting = asyncio.create_task(request(load_shedder, work, caller))
        await asyncio.sleep(0)
        caller.hang_up()
        with pytest.raises(ClientDisconnect):
            await waiting
        third = asyncio.create_task(request(load_shedder, work))
        work.go_on.set()
        await asyncio.gather(first, third)
        assert work.done == 2

    run(check())


def test_a_server_that_stops_leaves_no_turn_behind() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(1, 0), Work(heeds=True)
        for moment in range(6):
            given_up = asyncio.create_task(request(load_shedder, work))
            for _ in range(moment):
                await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        work.go_on.set()
        await request(load_shedder, work)

    run(check())


def test_one_that_waits_and_gives_up_takes_no_turn() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(1, 2), Work()
        first, second, third = (asyncio.create_task(request(load_shedder, work)) for _ in range(3))
        await work.has_begun(1)
        second.cancel()
        work.go_on.set()
        await asyncio.gather(first, third)
        assert work.done == 2

    run(check())


FEW, MANY = Sender("few", has_key=True), Sender("many", has_key=True)


def test_many_requests_of_one_key_keep_no_other_key_out() -> None:
    """40 callers of one key come first, then 10 of another: 2 work, 16 wait, half of them each's."""

    async def check() -> None:
        load_shedder, work = LoadShedder(2, 16), Work()
        senders = [*[MANY] * 40, *[FEW] * 10]
        requests = []
        for sender in senders:
            requests.append(asyncio.create_task(request(load_shedder, work, sender=sender)))
            await asyncio.sleep(0)
        await work.has_begun(2)
        refused = [one for one in requests if one.done()]
        assert len(refused) == 50 - 18
        for one in refused:
            error = one.exception()
            assert isinstance(error, ApiError)
            assert (error.status, error.code) == (429, "too_many_requests")
            assert error.headers["Retry-After"] == "5"
        inside = Counter(
            sender.name for sender, one in zip(senders, requests, strict=True) if not one.done()
        )
        assert inside == {"many": 9, "few": 9}
        work.go_on.set()
        await asyncio.gather(*requests, return_exceptions=True)
        assert (work.done, work.most) == (18, 2)
        # Nothing is left behind: as many find a place again.
        await asyncio.gather(*(request(load_shedder, work, sender=MANY) for _ in range(18)))

    run(check())


def test_keys_have_turns_in_turn_and_their_own_requests_keep_their_order() -> None:
    async def check() -> None:
        turns = FairTurns(1)
        order = [MANY] * 4 + [FEW] * 2 + [Sender("last")]
        asked = [turns.ask(sender) for sender in order]
        had: list[int] = []
        while len(had) < len(order):
            (now,) = [n for n, turn in enumerate(asked) if turn.done() and n not in had]
            had.append(now)
            turns.release(order[now])
        assert had == [0, 1, 4, 6, 2, 5, 3]

    run(check())


def test_who_works_already_waits_for_who_does_not() -> None:
    async def check() -> None:
        turns = FairTurns(2)
        working = [turns.ask(MANY) for _ in range(2)]
        many, few = turns.ask(MANY), turns.ask(FEW)
        turns.release(MANY)
        assert [one.done() for one in (*working, many, few)] == [True, True, False, True]
        turns.leave(MANY, many)
        assert not turns.can_evict("many")
        # One that leaves with its turn gives it back.
        turns.leave(FEW, few)
        assert turns.ask(FEW).done()

    run(check())


def test_a_request_that_is_evicted_as_its_caller_leaves_holds_nothing() -> None:
    async def check() -> None:
        load_shedder, work, caller = LoadShedder(1, 1), Work(), Caller()
        first = asyncio.create_task(request(load_shedder, work, sender=MANY))
        await work.has_begun(1)
        second = asyncio.create_task(request(load_shedder, work, caller, MANY))
        await asyncio.sleep(0)
        other = asyncio.create_task(request(load_shedder, work, sender=FEW))
        caller.hang_up()
        with pytest.raises((ApiError, ClientDisconnect)):
            await second
        work.go_on.set()
        assert sorted([await first, await other]) == [1, 2]

    run(check())


def test_who_has_no_place_and_finds_none_is_told_that_the_service_is_busy() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(1, 1), Work()
        inside = [
            asyncio.create_task(request(load_shedder, work, sender=Sender(name, has_key=True)))
            for name in ("a", "b")
        ]
        await work.has_begun(1)
        for sender, status in ((Sender("c", has_key=True), 503), (Sender("a"), 503)):
            with pytest.raises(ApiError, match="2 requests are in progress") as refused:
                await request(load_shedder, work, sender=sender)
            assert refused.value.status == status
        work.go_on.set()
        await asyncio.gather(*inside)

    run(check())


def test_the_event_loop_goes_on_while_threads_work() -> None:
    async def check() -> None:
        load_shedder, work = LoadShedder(1, 0), Work()
        slow = asyncio.create_task(request(load_shedder, work))
        await work.has_begun(1)
        # This line is the proof: the loop has come here with the work still waiting.
        work.go_on.set()
        assert await slow == 1

    run(check())


def measured_queue(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"storyhash_queue_{name}", {"queue": "match"})


def test_the_queue_is_measured_while_it_works_and_is_empty_afterwards() -> None:
    metrics = Metrics.create("test")
    measured = partial(measured_queue, metrics)

    async def check() -> None:
        load_shedder = LoadShedder(1, 2, measured=QueueMetrics(metrics, "match"))
        work, caller = Work(heeds=True), Caller()
        first = asyncio.create_task(request(load_shedder, work))
        await work.has_begun(1)
        waiting = [asyncio.create_task(request(load_shedder, work, caller)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (measured("running_requests"), measured("waiting_requests")) == (1, 2)
        with pytest.raises(ApiError):
            await request(load_shedder, work)
        assert measured("refused_requests_total") == 1
        # Whoever leaves takes no turn.
        caller.hang_up()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (measured("running_requests"), measured("waiting_requests")) == (1, 0)
        work.go_on.set()
        await first
        await asyncio.sleep(0)
        assert (measured("running_requests"), measured("waiting_requests")) == (0, 0)

    run(check())


def test_a_request_whose_turn_is_over_does_not_count_as_one_that_waits() -> None:
    metrics = Metrics.create("test")
    measured = partial(measured_queue, metrics)

    async def check() -> None:
        load_shedder = LoadShedder(1, 1, measured=QueueMetrics(metrics, "match"))
        first_work, next_work, sent = Work(), Work(), asyncio.Event()

        async def slow_to_send() -> None:
            async with load_shedder.entered():
                await load_shedder.run(first_work, Caller().receive)
                await sent.wait()

        first = asyncio.create_task(slow_to_send())
        await first_work.has_begun(1)
        second = asyncio.create_task(request(load_shedder, next_work))
        await asyncio.sleep(0)
        assert (measured("running_requests"), measured("waiting_requests")) == (1, 1)
        first_work.go_on.set()
        await next_work.has_begun(1)
        # Both have a place, and nobody waits for a turn.
        found = (measured("running_requests"), measured("waiting_requests"))
        next_work.go_on.set()
        sent.set()
        await asyncio.gather(first, second)
        assert found == (1, 0)

    run(check())


def test_a_request_that_only_waits_makes_room_for_another_sender() -> None:
    load_shedder = LoadShedder(0, 2)
    one, other = Sender("one", has_key=True), Sender("other", has_key=True)

    async def whole() -> None:
        async with load_shedder.parked(one) as first, load_shedder.parked(one) as second:
            async with load_shedder.parked(one) as third:
                # There is no place, and its own requests are not ended for it.
                assert third.done()
                assert not first.done()
                assert not second.done()
            async with load_shedder.parked(other) as fourth:
                assert [one.done() for one in (first, second, fourth)] == [False, True, False]
                assert isinstance(second.exception(), EvictedError)
        async with load_shedder.parked(one) as again:
            assert not again.done()

    run(whole())
