"""Webhooks and their outbox over both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from common.errors import UsageError
from common.settings import JobSettings, StateSettings, WebhookSettings
from common.state import deliveries, outbox
from common.state.database import StateDatabase
from common.state.deliveries import Attempt, DeliveryStore
from common.state.events import Event
from common.state.job_rows import CANCELLED, DONE, NewJob, new_job_id
from common.state.jobs import JobStore
from common.state.matches import FoundMatch, MatchStore
from common.state.outbox import enqueue
from common.state.verdicts import NewVerdict, VerdictStore
from common.state.webhooks import MAX_WEBHOOKS, NewWebhook, WebhookStore
from tests.support.clock import Clock

URL = "https://example.org/hook"
LEASE = 40.0
SETTINGS = WebhookSettings(first_retry_seconds=10, max_attempts=3, max_age_hours=1, keep_days=1)


class Stores:
    def __init__(self, database: StateDatabase) -> None:
        self.database = database
        self.clock = Clock(1_000_000.0)
        self.webhooks = WebhookStore(database, self.clock)
        self.deliveries = DeliveryStore(database, SETTINGS, self.clock)
        self.matches = MatchStore(database, StateSettings(), self.clock)
        self.verdicts = VerdictStore(database, self.clock)
        self.jobs = JobStore(database, JobSettings(), self.clock)

    def hook(self, **given: Any) -> str:
        return self.webhooks.create(NewWebhook(URL, **given))[0].id

    def tell(self, *names: str, bank: str = "b") -> None:
        self.webhooks.enqueue(
            *(Event("video.deleted", frozenset({bank}), {"video_id": name}) for name in names)
        )

    def take(self, busy: Sequence[str] = (), limit: int = 9) -> list[Attempt]:
        return self.deliveries.take(busy, limit, LEASE)

    def events(self, webhook_id: str) -> list[tuple[str, Any]]:
        rows, _, _ = self.deliveries.page(webhook_id, None, None, 100)
        return [(row.type, json.loads(row.body)["data"]) for row in rows[::-1]]

    def states(self, webhook_id: str) -> list[str]:
        return [row.state for row in self.deliveries.page(webhook_id, None, None, 100)[0]][::-1]


@pytest.fixture
def stores(database: StateDatabase) -> Stores:
    return Stores(database)


def told(attempts: Sequence[Attempt]) -> list[str]:
    return [json.loads(one.body)["data"]["video_id"] for one in attempts]


def test_a_webhook_is_listed_without_its_secret(stores: Stores) -> None:
    webhook, secret = stores.webhooks.create(NewWebhook(URL, ["job.finished"], ["b"], "mine", "k"))
    assert secret.startswith("whsec_")
    (listed,), following, total = stores.webhooks.page()
    assert (listed, following, total) == (webhook, None, 1)
    assert stores.webhooks.get(webhook.id) == webhook
    assert secret not in json.dumps(webhook.to_json())
    assert (stores.webhooks.delete(webhook.id), stores.webhooks.delete(webhook.id)) == (True, False)
    assert stores.webhooks.get("\0") is None


def test_webhooks_are_bounded_and_named_as_they_can_be(stores: Stores) -> None:
    refused: tuple[dict[str, Any], ...] = (
        {"events": ["match.lost"]}, {"events": []}, {"banks": []}, {"banks": [""]},
    )  # fmt: skip
    for wrong in refused:
        with pytest.raises(UsageError):
            NewWebhook(URL, **wrong)
    for _ in range(MAX_WEBHOOKS):
        stores.hook()
    with pytest.raises(UsageError, match="50 webhooks, which is the maximum"):
        stores.hook()


def test_a_webhook_gets_the_events_of_its_types_and_banks(stores: Stores) -> None:
    every, jobs = stores.hook(), stores.hook(events=["job.finished"])
    own, two = stores.hook(banks=["b"]), stores.hook(banks=["b", "c"])
    stores.tell("of b")
    stores.tell("of c", bank="c")
    stores.webhooks.enqueue(
        Event("job.finished", None, {"job": "of a key of all banks"}),
        Event("match.found", frozenset({"b", "c"}), {"match": "of two banks"}),
    )
    names = {
        hook: [next(iter(data.values())) for _, data in stores.events(hook)]
        for hook in (every, jobs, own, two)
    }
    assert names == {
        every: ["of b", "of c", "of a key of all banks", "of two banks"],
        jobs: ["of a key of all banks"],
        own: ["of b"],
        two: ["of b", "of c", "of two banks"],
    }


def test_an_event_is_kept_with_what_it_tells_or_neither_is(stores: Stores) -> None:
    hook = stores.hook()

    def crash() -> None:
        with stores.database.change() as connection:
            enqueue(connection, [Event("video.deleted", None, {"video_id": "a"})], 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert stores.states(hook) == []


def test_a_match_is_told_when_it_is_new_or_is_decided_otherwise(stores: Stores) -> None:
    hook = stores.hook()
    detail = {"query": {"fingerprint": "video:q"}, "ref_video_id": "r", "ranges": ["large"]}

    def found(decision: str) -> None:
        stores.matches.record([FoundMatch("video:q", "r", "b", None, decision, 0.9, detail)])

    for decision in ("no_match", "review", "review", "copy", "copy", "no_match"):
        found(decision)
    events = stores.events(hook)
    assert [kind for kind, _ in events] == ["match.found"] * 2
    assert [data["decision"] for _, data in events] == ["review", "copy"]
    assert (events[0][1]["ref_video_id"], events[0][1]["query"]) == ("r", detail["query"])
    assert "ranges" not in events[0][1]


def test_verdicts_and_ends_of_jobs_are_told(stores: Stores) -> None:
    hook, other = stores.hook(), stores.hook(banks=["other"])
    found = FoundMatch("video:q", "r", "b", "c", "no_match", 0.1, {"ref_video_id": "r"})
    (match_id,) = stores.matches.record([found])
    stores.verdicts.add(match_id, NewVerdict("copy", "", "", "Ann", "k"), None)
    request = {"caller_banks": ["other"], "query": {"uri": "x"}, "uri": "secret"}
    ids = [new_job_id() for _ in range(4)]
    for job_id in ids:
        stores.jobs.add(NewJob(job_id, "here", "k", 0, request))
    stores.jobs.cancel(ids[3], None)
    for state in (DONE, CANCELLED):
        job = stores.jobs.take("here")
        assert job is not None
        stores.jobs.finish(job, state, result={"decision": "copy"} if state == DONE else None)
    # One that crashes the service three times.
    for _ in range(3):
        stores.jobs.take("here")
        stores.jobs.recover("here")
    (verdict, data), *jobs = stores.events(hook)
    assert (verdict, data["verdict"]["author"], data["ref_video_id"]) == (
        "verdict.given",
        "Ann",
        "r",
    )
    ends = [(data["job_id"], data["state"], data["decision"]) for _, data in jobs]
    assert ends == [
        (ids[3], "cancelled", None),
        (ids[0], "done", "copy"),
        (ids[1], "cancelled", None),
        (ids[2], "failed", None),
    ]
    assert jobs[-1][1]["error"]["code"] == "crashed"
    assert "secret" not in str(jobs)
    assert stores.events(other) == jobs


def test_the_oldest_due_event_of_each_webhook_is_taken_once(stores: Stores) -> None:
    first, second = stores.hook(), stores.hook()
    stores.tell("a", "b")
    taken = stores.take()
    assert told(taken) == ["a", "a"]
    assert {one.webhook_id for one in taken} == {first, second}
    assert taken[0].event_id == taken[1].event_id
    assert all(one.secret.startswith("whsec_") and one.url == URL for one in taken)
    assert told(stores.take(busy=[first])) == ["b"]
    assert told(stores.take()) == ["b"]
    assert stores.take() == []


def test_events_do_not_wait_for_a_clock_that_was_set_back(stores: Stores) -> None:
    stores.hook()
    stores.tell("a", "b")
    (taken,) = stores.take()
    assert stores.deliveries.failed(taken, 500, "no")
    stores.clock.now -= 100_000
    assert told(stores.take()) == ["a"]
    assert told(stores.take()) == ["b"]
    assert stores.take() == []


def test_what_a_crashed_process_had_taken_is_due_again(stores: Stores) -> None:
    hook = stores.hook()
    stores.tell("a")
    (taken,) = stores.take()
    stores.clock.now += LEASE - 1
    assert stores.take() == []
    stores.clock.now += 1
    (again,) = stores.take()
    assert (again.event_id, again.number) == (taken.event_id, 2)
    # What the first process still tells is not of this attempt.
    stores.deliveries.failed(taken, 500, "late")
    stores.deliveries.give_back(again)
    assert stores.take()[0].number == 2
    assert stores.states(hook) == ["pending"]


def test_pauses_double_and_the_last_failure_makes_a_dead_letter(stores: Stores) -> None:
    hook = stores.hook()
    stores.tell("a")
    for number, pause in ((1, 10), (2, 20)):
        (attempt,) = stores.take()
        assert attempt.number == number
        assert stores.deliveries.failed(attempt, 500, "no\0")
        stores.clock.now += 0.8 * pause - 0.1
        assert stores.take() == []
        stores.clock.now += 0.4 * pause + 0.2
    (attempt,) = stores.take()
    assert not stores.deliveries.failed(attempt, None, "no answer")
    ((dead,), _, total) = stores.deliveries.page(hook, "dead", None, 9)
    assert (dead.state, dead.attempts, dead.status, dead.error) == ("dead", 3, None, "no answer")
    assert total == 1
    assert stores.take() == []


def test_a_dead_letter_is_delivered_again_with_its_id(stores: Stores) -> None:
    hook = stores.hook()
    stores.tell("a")
    for _ in range(3):
        stores.clock.now += 100
        (attempt,) = stores.take()
        stores.deliveries.failed(attempt, 500, "no")
    ((dead,), _, _) = stores.deliveries.page(hook, None, None, 9)
    assert stores.deliveries.redeliver("another", dead.id) is None
    assert stores.deliveries.redeliver(hook, dead.id + 1) is None
    again = stores.deliveries.redeliver(hook, dead.id)
    assert again is not None
    assert (again.state, again.attempts, again.ended_at) == ("pending", 0, None)
    (attempt,) = stores.take()
    assert (attempt.event_id, attempt.number) == (dead.event_id, 1)
    stores.deliveries.delivered(attempt, 204)
    arrived = stores.deliveries.get(hook, dead.id)
    assert arrived is not None
    assert (arrived.state, arrived.status, arrived.error) == ("delivered", 204, "")


def test_what_is_too_old_or_too_much_goes(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_PENDING", 3)
    monkeypatch.setattr(deliveries, "MAX_ENDED", 2)
    hook = stores.hook()
    stores.tell("a", "b", "c", "no room")
    assert stores.states(hook) == ["pending", "pending", "pending", "dead"]
    (attempt,) = stores.take()
    stores.deliveries.delivered(attempt, 200)
    assert stores.deliveries.pending_by_age([60.0]) == [2, 0]
    stores.clock.now += 3601
    assert stores.deliveries.pending_by_age([60.0]) == [0, 2]
    # Those that expired, and the one that had no room.
    assert [stores.deliveries.trim() for _ in range(2)] == [3, 0]
    # Dead letters are kept longer than what arrived; of those the newest.
    assert stores.states(hook) == ["dead", "dead"]
    assert [row.error for row in stores.deliveries.page(hook, None, None, 9)[0]] == [
        f"{10_000} events of this webhook were undelivered; redeliver it when there are fewer",
        "not delivered within 1 hours",
    ]
    stores.clock.now += 86_401
    stores.deliveries.trim()
    assert stores.states(hook) == []


def test_a_webhook_takes_its_deliveries_along(stores: Stores) -> None:
    hook, kept = stores.hook(), stores.hook()
    stores.tell("a")
    assert stores.webhooks.delete(hook)
    assert stores.states(hook) == []
    assert stores.states(kept) == ["pending"]
    with stores.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM webhooks")).scalar_one() == 1
