"""The one loop: nothing is lost, nothing is committed before it is done, poison stands alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import (
    BrokerError,
    CorruptIndexError,
    DataFolderError,
    DependencyError,
    StorageError,
    TopicMissingError,
)
from common.messaging.dead_letters import read_dead_letters
from common.messaging.handler import Item
from common.messaging.transport import Consumer, Message, ReceivedMessage
from common.messaging.wire import Envelope, to_message
from common.settings import ServiceSettings
from common.types import Segment, SegmentRef
from tests.support.memory_transport import MemoryTransport
from tests.support.streams import (
    BACKFILL,
    DEAD_LETTERS,
    GOOD,
    LIVE,
    LOG,
    POISON,
    SWELLING,
    UNFORESEEN,
    Bench,
    Journal,
    Killed,
    Stage,
    damaged,
    ended,
    failing,
    named,
    segment,
)

# Longer than any test runs: what waits so long only ends when it is told to.
_FOR_EVER = 3600.0


class Held:
    """Work on a batch that has `begun` and does not end before `go_on`."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _: Sequence[Item]) -> None:
        self.begun.set()
        self.go_on.wait(_FOR_EVER)


def test_a_batch_is_taken_from_all_partitions_together() -> None:
    stage = Stage(batch_messages=4)
    bench = Bench(stage)
    bench.send(
        *(
            segment(f"{partition}-{n}", partition=partition)
            for partition in range(3)
            for n in range(2)
        )
    )
    bench.work_it_off()
    assert [len(batch) for batch in stage.batches] == [4, 2]
    assert len({name[0] for name in stage.batches[0]}) > 1
    assert bench.done() == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert bench.committed() == {0: 2, 1: 2, 2: 2}


def test_what_came_of_a_batch_is_durable_before_the_batch_is_committed() -> None:
    bench = Bench(Stage())
    bench.send(segment("a"), segment("b"))
    bench.work_it_off()
    assert bench.journal.lines == ["poll 2", "flush 2", "commit 2", "poll 0"]


def test_a_tombstone_is_passed_over_and_committed() -> None:
    stage = Stage()
    bench = Bench(stage)
    bench.send(Message(LIVE, b"a", None, partition=0), segment("b"))
    bench.work_it_off()
    assert stage.batches == [["b"]]
    assert bench.committed() == {0: 2}


def test_a_batch_of_tombstones_alone_asks_nothing_of_the_stage() -> None:
    stage = Stage()
    bench = Bench(stage)
    bench.send(Message(LIVE, b"a", None, partition=0))
    bench.work_it_off()
    assert stage.batches == []
    assert bench.committed() == {0: 1}


def test_a_dependency_that_fails_is_tried_again_and_nothing_is_committed_meanwhile() -> None:
    seen: list[dict[int, int]] = []
    down = failing(3)

    def before(_: Sequence[Item]) -> None:
        seen.append(bench.committed())
        down()

    bench = Bench(Stage(before=before))
    bench.send(segment("a"))
    bench.work_it_off()
    assert seen == [{}] * 4
    assert bench.done() == ["a"]
    assert bench.committed() == {0: 1}
    assert bench.metric("retries_total", stage="embed", dependency="dependency") == 3


def test_pauses_grow_to_the_longest_one_and_begin_anew_with_the_next_batch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = failing(4)
    again = failing(1)
    bench = Bench(
        Stage(1, before=lambda items: down() if named(items) == ["a"] else again()),
        settings=ServiceSettings(retry_seconds=0.1, max_retry_seconds=0.3),
    )
    bench.send(segment("a"), segment("b"))
    bench.work_it_off()
    told = [record.getMessage() for record in caplog.records]
    pauses = [line.rpartition("retrying in ")[2] for line in told]
    assert pauses == ["0.1 s", "0.2 s", "0.3 s", "0.3 s", "0.1 s"]


def test_a_broker_that_refuses_what_came_of_a_batch_is_given_all_of_it_again() -> None:
    # Steps: poll, stage, two messages, flush.
    journal = Journal({5: BrokerError("no leader"), 6: BrokerError("no leader")})
    bench = Bench(Stage(before=lambda _: journal.step()), journal=journal)
    bench.send(segment("a"), segment("b"))
    bench.work_it_off()
    assert set(bench.done()) == {"a", "b"}
    assert journal.lines == ["poll 2", "flush 2", "commit 2", "poll 0"]
    assert bench.metric("retries_total", stage="embed", dependency="broker") == 2


def test_a_commit_that_fails_is_tried_again() -> None:
    journal = Journal({5: BrokerError("no coordinator")})
    bench = Bench(Stage(before=lambda _: journal.step()), journal=journal)
    bench.send(segment("a"))
    bench.work_it_off()
    lines = [line for line in journal.lines if line != "keep alive"]
    assert lines == ["poll 1", "flush 1", "commit 1", "poll 0"]
    assert bench.committed() == {0: 1}


def test_a_poll_that_fails_is_tried_again() -> None:
    journal = Journal({1: TopicMissingError("topic segments does not exist")})
    bench = Bench(Stage(), journal=journal)
    bench.send(segment("a"))
    bench.work_it_off()
    assert bench.done() == ["a"]
    assert bench.metric("retries_total", stage="embed", dependency="topic") == 1


def test_a_lane_that_cannot_be_kept_alive_loses_no_batch_of_another() -> None:
    forbidden = failing(2, lambda: BrokerError("Kafka forbids it"))
    bench = Bench(Stage(1), topics=(LIVE, BACKFILL), on_keep_alive=forbidden)
    bench.send(segment("a"), segment("b"), segment("c"))
    bench.work_it_off()
    assert bench.done() == ["a", "b", "c"]
    assert bench.committed() == {0: 3}


def test_poison_is_found_by_halves_and_everything_else_is_done_once() -> None:
    stage = Stage()
    bench = Bench(stage)
    bench.send(*(segment(f"{n}", POISON if n == 5 else GOOD) for n in range(8)))
    bench.work_it_off()
    assert [len(batch) for batch in stage.batches] == [8, 4, 4, 2, 1, 1, 2]
    assert sorted(bench.told()) == [(f"{n}", b"refused" if n == 5 else b"done") for n in range(8)]
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert letter.source == (LIVE, 0, 5)
    assert bench.committed() == {0: 8}


def test_half_a_batch_that_is_done_is_not_done_again_because_the_other_half_waits() -> None:
    down = failing(3)
    stage = Stage(before=lambda items: down() if named(items)[0] == "2" else None)
    bench = Bench(stage)
    bench.send(segment("0"), segment("1", POISON), segment("2"), segment("3"))
    bench.work_it_off()
    assert stage.batches.count(["0"]) == 1
    assert stage.batches.count(["2", "3"]) == 4
    assert bench.done() == ["0", "2", "3"]


def test_a_dead_letter_says_what_it_was_and_why() -> None:
    bench = Bench(Stage())
    sent = segment("a", POISON, partition=2)
    bench.send(segment("other", partition=2), sent)
    bench.work_it_off()
    (received,) = bench.transport.scan(DEAD_LETTERS)
    assert received.value == sent.value
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert letter.letter_id == "segments/2/1"
    assert letter.source == (LIVE, 2, 1)
    assert (letter.stage, letter.reason) == ("embed", "unreadable")
    assert letter.explanation == "the clip does not decode"
    assert len(letter.traceback_hash) == 12
    assert (letter.key, letter.headers) == (sent.key, sent.headers)
    assert letter.value_bytes == len(sent.value or b"")
    assert letter.value_kept
    assert not letter.replayed
    assert bench.metric("dead_letters_total", stage="embed", reason="unreadable") == 1


def test_an_error_nobody_foresaw_is_one_messages_fault_and_its_traceback_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(Stage())
    bench.send(segment("a"), segment("b", UNFORESEEN))
    bench.work_it_off()
    assert bench.done() == ["a"]
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert letter.reason == "internal"
    assert letter.explanation == "ZeroDivisionError: nobody thought of it"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert letter.traceback_hash in record.getMessage()


def test_what_is_none_of_ours_goes_to_the_dead_letters_and_no_stage_sees_it() -> None:
    stage = Stage()
    bench = Bench(stage)
    bench.send(damaged("x"), segment("a"))
    bench.work_it_off()
    assert stage.batches == [["a"]]
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert (letter.reason, letter.key, letter.headers) == ("wire", b"x", (("from", b"elsewhere"),))
    assert bench.committed() == {0: 2}


def test_a_version_from_the_future_goes_to_the_dead_letters_and_no_stage_sees_it() -> None:
    stage = Stage()
    bench = Bench(stage, transport=MemoryTransport(3, clock=lambda: 1_795_000_000_000))
    future = Envelope(Segment(SegmentRef("x", 0.0, 4.0, 4_102_444_800_000), GOOD))
    bench.send(replace(to_message(LIVE, future), partition=0), segment("a"))
    bench.work_it_off()
    assert stage.batches == [["a"]]
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert (letter.source, letter.reason) == ((LIVE, 0, 0), "version_from_future")
    assert "correct the clock" in letter.explanation
    assert bench.committed() == {0: 2}


def test_a_letter_that_would_be_too_large_loses_its_value_alone() -> None:
    sent = segment("a", POISON + b"x" * 4650)
    # What it may be itself, its letter may not, for that says besides what was wrong.
    bench = Bench(Stage(), transport=MemoryTransport(3, max_bytes=5000))
    bench.send(sent, segment("b"))
    bench.work_it_off()
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert (letter.letter_id, letter.reason, letter.key) == ("segments/0/0", "unreadable", b"a")
    assert letter.headers == sent.headers
    assert not letter.value_kept
    assert bench.done() == ["b"]
    assert bench.committed() == {0: 2}


def test_a_letter_too_large_without_its_value_tells_where_the_message_lay_and_why() -> None:
    bench = Bench(Stage(), transport=MemoryTransport(3, max_bytes=5000))
    bench.send(replace(damaged("x"), headers=(("note", b"x" * 4900),)), segment("b"))
    bench.work_it_off()
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert (letter.letter_id, letter.reason, letter.headers) == ("segments/0/0", "wire", ())
    assert not letter.value_kept
    assert bench.done() == ["b"]
    assert bench.committed() == {0: 2}


def test_what_leads_to_a_message_too_large_is_one_messages_fault() -> None:
    bench = Bench(Stage(), transport=MemoryTransport(3, max_bytes=5000))
    bench.send(segment("a"), segment("b", SWELLING), segment("c"))
    bench.work_it_off()
    assert sorted(bench.told()) == [("a", b"done"), ("b", b"refused"), ("c", b"done")]
    (letter,) = read_dead_letters(bench.transport, DEAD_LETTERS)
    assert (letter.source, letter.reason) == ((LIVE, 0, 1), "message_too_large")
    assert bench.committed() == {0: 3}


@pytest.mark.parametrize(
    "error",
    [CorruptIndexError("the catalogue is damaged; restore it"), DataFolderError("not ours")],
    ids=["index", "folder"],
)
def test_what_no_retry_mends_stops_the_worker_with_nothing_committed(error: Exception) -> None:
    bench = Bench(Stage(before=failing(1, lambda: error)))
    bench.send(segment("a"))
    with pytest.raises(type(error), match=str(error)):
        bench.work_it_off()
    assert bench.told() == bench.told(DEAD_LETTERS) == []
    assert bench.committed() == {}


def test_a_batch_in_work_is_finished_and_committed_after_the_word_to_stop() -> None:
    held = Held()
    bench = Bench(Stage(1, before=held))
    bench.send(segment("a"), segment("b"))
    running = bench.begin()
    held.begun.wait(300)
    bench.worker.stop()
    held.go_on.set()
    assert ended(running)
    assert bench.done() == ["a"]
    assert bench.committed() == {0: 1}


def test_a_batch_that_is_not_done_in_time_is_given_back_and_leaves_nothing_behind() -> None:
    held = Held()
    bench = Bench(Stage(before=held), settings=ServiceSettings(stop_seconds=0.05))
    bench.send(segment("a"), segment("b"))
    running = bench.begin()
    held.begun.wait(300)
    bench.worker.stop()
    assert ended(running)
    (work,) = [one for one in threading.enumerate() if one.name == "embed-work"]
    held.go_on.set()
    assert ended(work)
    assert bench.told() == []
    assert bench.committed() == {}


def test_a_batch_given_back_is_nobodys_dead_letter(caplog: pytest.LogCaptureFixture) -> None:
    """What it works with is closed under it when the process ends."""
    held = Held()

    def before(items: Sequence[Item]) -> None:
        held(items)
        raise ValueError("I/O operation on closed file")

    bench = Bench(Stage(before=before), settings=ServiceSettings(stop_seconds=0.05))
    bench.send(segment("a"))
    running = bench.begin()
    held.begun.wait(300)
    bench.worker.stop()
    assert ended(running)
    (work,) = [one for one in threading.enumerate() if one.name == "embed-work"]
    held.go_on.set()
    assert ended(work)
    assert bench.told(DEAD_LETTERS) == []
    assert bench.metric("dead_letters_total", stage="embed", reason="internal") == 0
    ours = [one.getMessage() for one in caplog.records if one.name == "storyhash.worker"]
    assert ours == ["returning a batch that cannot be finished before shutdown"]


@pytest.mark.parametrize("times", [1, 1000], ids=["first", "later"])
def test_a_batch_that_waits_for_a_dependency_is_given_back_at_once(times: int) -> None:
    waits = threading.Event()
    pause = _FOR_EVER if times == 1 else 0.001
    down = failing(times)

    def before(_: Sequence[Item]) -> None:
        waits.set()
        down()

    bench = Bench(
        Stage(before=before),
        settings=ServiceSettings(
            retry_seconds=pause, max_retry_seconds=_FOR_EVER, stop_seconds=_FOR_EVER
        ),
    )
    bench.send(segment("a"))
    running = bench.begin()
    waits.wait(300)
    bench.worker.stop()
    assert ended(running)
    assert bench.told() == []
    assert bench.committed() == {}


def test_a_commit_that_cannot_be_had_does_not_hold_up_the_end() -> None:
    asked = threading.Event()

    def on_commit(_: Sequence[ReceivedMessage]) -> None:
        asked.set()
        raise BrokerError("no coordinator")

    bench = Bench(Stage(), settings=ServiceSettings(retry_seconds=_FOR_EVER), on_commit=on_commit)
    bench.send(segment("a"))
    running = bench.begin()
    asked.wait(300)
    bench.worker.stop()
    assert ended(running)
    assert bench.done() == ["a"]
    assert bench.committed() == {}


def test_a_worker_told_to_stop_before_it_began_does_nothing() -> None:
    bench = Bench(Stage())
    bench.send(segment("a"))
    bench.worker.stop()
    bench.worker.run()
    assert bench.journal.lines == []


def test_a_slow_batch_holds_back_consumption_and_not_the_group() -> None:
    kept = threading.Semaphore(0)

    def before(items: Sequence[Item]) -> None:
        for _ in range(2):
            assert kept.acquire(timeout=300)

    bench = Bench(Stage(1, before=before), on_keep_alive=kept.release)
    bench.send(segment("a"), segment("b"))
    bench.work_it_off()
    lines = bench.journal.lines
    assert lines[:3] == ["poll 1", "keep alive", "keep alive"]
    assert lines[lines.index("commit 1") - 1] == "flush 1"
    assert lines.count("poll 1") == 2
    # Nothing is taken between a poll and the commit of what it gave.
    steps = [line for line in lines if line.startswith(("poll 1", "commit"))]
    assert steps == ["poll 1", "commit 1", "poll 1", "commit 1"]


def test_a_lane_that_nobody_shares_gives_the_next_batch_while_one_is_in_work() -> None:
    bench = Bench(Stage(2), ahead=True)
    bench.send(*(segment(f"{n}") for n in range(5)))
    bench.work_it_off()
    steps = [line for line in bench.journal.lines if line.startswith(("poll", "commit"))]
    # The last batch is not full, so it is not taken ahead of its turn.
    assert steps == ["poll 2", "poll 2", "commit 2", "commit 2", "poll 1", "commit 1", "poll 0"]
    assert bench.done() == ["0", "1", "2", "3", "4"]
    assert bench.committed() == {0: 5}


def test_a_batch_taken_ahead_is_not_committed_by_a_worker_that_stops() -> None:
    taken = threading.Event()

    def before(_: Sequence[Item]) -> None:
        assert taken.wait(300)

    bench = Bench(Stage(2, before=before), ahead=True)
    bench.send(*(segment(f"{n}") for n in range(4)))
    working = bench.begin()
    while bench.journal.lines.count("poll 2") < 2:
        time.sleep(0.001)
    bench.worker.stop()
    taken.set()
    assert ended(working)
    assert bench.done() == ["0", "1"]
    assert bench.committed() == {0: 2}


def test_a_batch_that_cannot_be_taken_ahead_is_taken_in_its_turn() -> None:
    # Steps: poll, then the poll ahead.
    journal = Journal({2: TopicMissingError("topic segments does not exist")})
    bench = Bench(Stage(1), journal=journal, ahead=True)
    bench.send(segment("a"), segment("b"))
    bench.work_it_off()
    assert bench.done() == ["a", "b"]
    assert bench.committed() == {0: 2}


def test_a_lane_that_cannot_be_kept_alive_for_a_moment_does_not_disturb_the_batch() -> None:
    kept = threading.Semaphore(0)
    forbidden = failing(1, lambda: BrokerError("the coordinator moves"))

    def keep() -> None:
        kept.release()
        forbidden()

    def before(items: Sequence[Item]) -> None:
        for _ in range(2):
            assert kept.acquire(timeout=300)

    bench = Bench(Stage(before=before), on_keep_alive=keep)
    bench.send(segment("a"))
    bench.work_it_off()
    assert bench.done() == ["a"]
    assert bench.health.reasons() == {}


def test_waiting_for_a_dependency_keeps_the_lanes_alive() -> None:
    kept = threading.Semaphore(0)
    down = failing(1)
    journal = Journal({1: TopicMissingError("topic segments does not exist")})
    bench = Bench(
        Stage(before=lambda _: down()),
        journal=journal,
        settings=ServiceSettings(retry_seconds=0.3),
        on_keep_alive=kept.release,
    )
    bench.send(segment("a"))
    bench.work_it_off()
    first = journal.lines.index("poll 1")
    # Once while the topic was missing, once while the stage's dependency was down.
    assert "keep alive" in journal.lines[:first]
    assert "keep alive" in journal.lines[first:]


def test_the_live_lane_comes_first() -> None:
    stage = Stage(2)
    bench = Bench(stage, topics=(LIVE, BACKFILL))
    bench.send(*(segment(f"old-{n}", topic=BACKFILL) for n in range(4)))
    bench.send(*(segment(f"new-{n}") for n in range(4)))
    bench.work_it_off()
    assert stage.batches == [
        ["new-0", "new-1"],
        ["new-2", "new-3"],
        ["old-0", "old-1"],
        ["old-2", "old-3"],
    ]
    assert bench.committed(LIVE) == bench.committed(BACKFILL) == {0: 4}


def test_a_backfill_delays_live_ingestion_by_one_batch_at_most() -> None:
    waiting: list[int] = []

    def before(items: Sequence[Item]) -> None:
        """While the backfill is worked on, something new arrives."""
        (name,) = named(items)
        if name.startswith("old") and len(waiting) < 3:
            waiting.append(1)
            bench.send(segment(f"new-{len(waiting)}"))

    stage = Stage(1, before=before)
    bench = Bench(stage, topics=(LIVE, BACKFILL))
    bench.send(*(segment(f"old-{n}", topic=BACKFILL) for n in range(5)))
    bench.work_it_off()
    assert [batch[0] for batch in stage.batches] == [
        *("old-0", "new-1", "old-1", "new-2", "old-2", "new-3", "old-3", "old-4")
    ]


class FarAway:
    """A consumer of a log to which asking and answering takes longer than a worker waits between two
    batches: what it gets is what lay there when it asked, and it asks again once it has been answered."""

    def __init__(self, consumer: Consumer, answered: threading.Event) -> None:
        """answered: set when messages were given."""
        self._consumer = consumer
        self._answered = answered
        self._answer: list[ReceivedMessage] | None = None
        self._there_at = 0.0

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        until = time.monotonic() + timeout_seconds
        while True:
            if self._answer is None:
                self._answer = self._consumer.poll(max_messages, 0.0)
                self._there_at = time.monotonic() + 0.08
            if self._there_at > until:
                time.sleep(max(0.0, until - time.monotonic()))
                return []
            time.sleep(max(0.0, self._there_at - time.monotonic()))
            answer, self._answer = self._answer, None
            if answer:
                self._answered.set()
                return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def test_a_backfill_delays_live_ingestion_by_one_batch_at_most_though_the_log_is_far_away() -> None:
    def before(items: Sequence[Item]) -> None:
        (name,) = named(items)
        if name == "old-1":
            bench.send(segment("new"))
            # It is asked for and given while this batch is in work.
            assert answered.wait(300)

    answered = threading.Event()
    stage = Stage(1, before=before)
    bench = Bench(
        stage, topics=(LIVE, BACKFILL), around={LIVE: lambda consumer: FarAway(consumer, answered)}
    )
    bench.send(*(segment(f"old-{n}", topic=BACKFILL) for n in range(4)))
    bench.work_it_off()
    assert [batch[0] for batch in stage.batches] == ["old-0", "old-1", "new", "old-2", "old-3"]
    assert bench.committed(LIVE) == {0: 1}
    assert bench.committed(BACKFILL) == {0: 4}


def test_the_backfill_stays_a_member_while_live_batches_keep_coming() -> None:
    bench = Bench(Stage(1), topics=(LIVE, BACKFILL))
    bench.send(*(segment(f"{n}") for n in range(3)))
    bench.work_it_off()
    polls = [line for line in bench.journal.lines if line.startswith(("poll", "keep"))]
    assert polls[:6] == ["poll 1 segments", "keep alive segments.backfill"] * 3


def test_lag_is_told_for_each_lane() -> None:
    lags: list[tuple[float, float]] = []

    def before(_: Sequence[Item]) -> None:
        lags.append(
            (
                bench.metric("consumer_lag_messages", stage="embed", topic=LIVE),
                bench.metric("consumer_lag_messages", stage="embed", topic=BACKFILL),
            )
        )

    bench = Bench(Stage(2, before=before), topics=(LIVE, BACKFILL))
    bench.send(*(segment(f"{n}") for n in range(3)))
    bench.send(*(segment(f"old-{n}", topic=BACKFILL) for n in range(3)))
    bench.work_it_off()
    assert lags == [(1, 3), (0, 3), (0, 1), (0, 0)]


def test_readiness_says_which_dependency_is_missing_and_recovers() -> None:
    told: list[dict[str, str]] = []
    down = failing(1)

    def before(_: Sequence[Item]) -> None:
        told.append(bench.health.reasons())
        down()

    bench = Bench(Stage(before=before))
    assert bench.health.reasons() == {"broker": "not started yet"}
    bench.send(segment("a"))
    bench.work_it_off()
    assert told == [{}, {"stage": "the model's server is down"}]
    assert bench.health.reasons() == {}
    assert bench.metric("ready") == 1


def test_readiness_says_that_the_broker_is_gone_though_nothing_is_raised() -> None:
    bench = Bench(Stage(), topics=(LIVE, BACKFILL))
    told = ["Kafka at 127.0.0.1:9092 does not answer"]
    bench.health.watch("broker", lambda: told[0])
    bench.work_it_off()
    assert bench.health.reasons() == {"broker": "Kafka at 127.0.0.1:9092 does not answer"}
    assert bench.metric("ready") == 0
    told[0] = ""
    assert bench.health.reasons() == {}


def test_a_batch_that_hangs_makes_the_service_stuck_though_its_lanes_are_kept_alive() -> None:
    found = threading.Event()

    def before(_: Sequence[Item]) -> None:
        while not bench.health.stuck():
            time.sleep(0.01)
        found.set()

    bench = Bench(Stage(before=before), stuck_seconds=0.6)
    bench.send(segment("a"))
    running = bench.begin()
    assert found.wait(300)
    bench.worker.stop()
    assert ended(running)


def test_each_try_of_a_stage_is_timed() -> None:
    bench = Bench(Stage(before=failing(2)))
    bench.send(segment("a"))
    bench.work_it_off()
    assert bench.metric("stage_duration_seconds_count", stage="embed") == 3


def test_close_leaves_every_group() -> None:
    bench = Bench(Stage(), topics=(LIVE, BACKFILL))
    bench.worker.close()
    other = Bench(Stage(), transport=bench.transport, topics=(LIVE, BACKFILL))
    bench.send(*(segment(f"{partition}", partition=partition) for partition in range(3)))
    other.work_it_off()
    assert other.done() == ["0", "1", "2"]


# What becomes of a message, by the letter its test is drawn with.
KINDS: dict[str, Callable[[str, int], Message]] = {
    "g": lambda name, partition: segment(name, GOOD, partition=partition),
    "p": lambda name, partition: segment(name, POISON, partition=partition),
    "u": lambda name, partition: segment(name, UNFORESEEN, partition=partition),
    "d": lambda name, partition: damaged(name, partition=partition),
    "t": lambda name, partition: Message(LIVE, name.encode(), None, partition=partition),
}
ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: DependencyError("down"),
    lambda: BrokerError("no leader"),
    lambda: StorageError("the disk is full"),
    Killed,
)


class Law:
    """Messages of every kind over three partitions, and a worker that is begun again when it dies."""

    def __init__(
        self, kinds: str, failures: dict[int, BaseException], batch_messages: int, *, ahead: bool
    ) -> None:
        self._batch_messages = batch_messages
        self._ahead = ahead
        self._kinds = kinds
        self._transport = MemoryTransport(partitions=3)
        self._journal = Journal(failures)
        publisher = self._transport.publisher()
        for number, kind in enumerate(kinds):
            publisher.publish(KINDS[kind](f"{number}", number % 3))

    def run(self) -> None:
        while True:
            bench = Bench(
                Stage(self._batch_messages, before=lambda _: self._journal.step()),
                transport=self._transport,
                journal=self._journal,
                topics=(LIVE, BACKFILL),
                ahead=self._ahead,
                on_commit=self._nothing_unfinished,
            )
            try:
                bench.work_it_off()
                break
            except Killed:
                continue
            finally:
                bench.worker.close()

    def _nothing_unfinished(self, committing: Sequence[ReceivedMessage]) -> None:
        """All that is to be committed, and all before it, has led to what it leads to."""
        done, letters = self.done, self.letters
        for last in committing:
            for offset in range(last.offset + 1):
                name, kind = (
                    str(3 * offset + last.partition),
                    self._kinds[3 * offset + last.partition],
                )
                assert (name in done) == (kind == "g")
                assert (f"{LIVE}/{last.partition}/{offset}" in letters) == (kind in "pud")

    @property
    def done(self) -> Counter[str]:
        return Counter(
            one.key.decode() for one in self._transport.scan(LOG) if one.value == b"done"
        )

    @property
    def refused(self) -> Counter[str]:
        return Counter(
            one.key.decode() for one in self._transport.scan(LOG) if one.value == b"refused"
        )

    @property
    def letters(self) -> Counter[str]:
        return Counter(one.key.decode() for one in self._transport.scan(DEAD_LETTERS))

    def check(self, *, once: bool) -> None:
        """Everything has led to exactly what it should; to nothing twice where nothing failed."""
        numbers = range(len(self._kinds))
        good = {f"{n}" for n in numbers if self._kinds[n] == "g"}
        refused = {f"{n}" for n in numbers if self._kinds[n] in "pu"}
        bad = {f"{LIVE}/{n % 3}/{n // 3}" for n in numbers if self._kinds[n] in "pud"}
        assert (set(self.done), set(self.refused), set(self.letters)) == (good, refused, bad)
        told = read_dead_letters(self._transport, DEAD_LETTERS)
        assert sorted(letter.letter_id for letter in told) == sorted(bad)
        committed = self._transport.committed(LIVE, "embedders")
        assert committed == {
            partition: len(numbers[partition::3]) for partition in range(3) if numbers[partition::3]
        }
        if once:
            counts = self.done + self.refused + self.letters
            assert set(counts.values()) <= {1}


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Poison is logged with its traceback; a thousand of them are not worth keeping."""
    with caplog.at_level("CRITICAL", "storyhash.worker"):
        yield


@pytest.mark.usefixtures("_quiet")
@settings(max_examples=100, deadline=None)
@given(st.text("ggpudt", max_size=24), st.integers(1, 9), st.booleans())
def test_every_good_message_is_done_once_and_every_other_has_one_letter(
    kinds: str, batch_messages: int, ahead: bool
) -> None:
    law = Law(kinds, {}, batch_messages, ahead=ahead)
    law.run()
    law.check(once=True)


@pytest.mark.usefixtures("_quiet")
@settings(max_examples=200, deadline=None)
@given(
    st.text("ggpudt", min_size=1, max_size=16),
    st.integers(1, 7),
    st.dictionaries(st.integers(1, 60), st.sampled_from(ERRORS), max_size=10),
    st.booleans(),
)
def test_whatever_fails_or_dies_at_any_step_nothing_is_lost_and_no_commit_passes_unfinished_work(
    kinds: str, batch_messages: int, failures: dict[int, Callable[[], BaseException]], ahead: bool
) -> None:
    planned = {step: error() for step, error in failures.items()}
    law = Law(kinds, planned, batch_messages, ahead=ahead)
    law.run()
    law.check(once=False)
