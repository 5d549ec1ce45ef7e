"""A catalogue onto a topic: noted is what is acknowledged, and one video's fault is one video's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from common.errors import BrokerError, DecoderCrashedError, MessageTooLargeError, VideoError
from common.http.health import Health
from common.messaging.events import VideoEnd, segments_digest
from common.messaging.wire import decode_event
from common.metrics import Metrics
from common.types import CatalogEntry, Segment, SegmentRef
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from ingest.ledger import ProducerLedger
from ingest.sending_plan import SendTask
from storyhash.services.streaming.segment_publisher import SegmentPublisher, SendReport
from tests.support.memory_transport import FailingPublisher, MemoryTransport

LANE, OTHER = "segments", "segments.backfill"
DAMAGED = "3 frames could not be decoded"


class FakePool:
    """Gives, video after video, what a script says; `before` is called with each event about to come."""

    def __init__(self, script: Callable[[CatalogEntry, int], Iterable[VideoEvent]]) -> None:
        self.closed = False
        self.before: Callable[[VideoEvent], None] = lambda _: None
        self._script = script

    def run(
        self, work: Sequence[tuple[CatalogEntry, int]], stopping: threading.Event
    ) -> Generator[VideoEvent, None, None]:
        try:
            for entry, version in work:
                for event in self._script(entry, version):
                    self.before(event)
                    yield event
        finally:
            self.closed = True


def ready(entry: CatalogEntry, version: int, number: int, clip: bytes = b"clip") -> SegmentReady:
    ref = SegmentRef(entry.video_id, 4.0 * number, 4.0 * number + 4, version, entry.bank)
    return SegmentReady(entry, Segment(ref, clip))


def script(entry: CatalogEntry, version: int) -> Iterator[VideoEvent]:
    """Two segments and an end; what a video is called says what else."""
    yield ready(entry, version, 0)
    if entry.video_id.startswith("broken"):
        yield VideoFailed(entry, VideoError("cannot be decoded further"))
        return
    yield ready(entry, version, 1)
    damaged = DAMAGED if entry.video_id.startswith("damaged") else None
    yield VideoDone(entry, 8.0, 2, damaged, {"decode": 0.5})


class Bench:
    """A sender over a ledger and a topic, with everything to look at."""

    def __init__(self, folder: Path, transport: MemoryTransport | None = None) -> None:
        self.transport = transport or MemoryTransport(partitions=2)
        self.publisher = FailingPublisher(self.transport)
        self.ledger = ProducerLedger(folder, lambda: time.time_ns() // 1_000_000)
        self.pool = FakePool(script)
        self.metrics = Metrics.create("ingest")
        self.health = Health(None, (), 60.0)
        self.stopping = threading.Event()
        self.told: list[tuple[str, str]] = []

    def send(self, *entries: CatalogEntry, lane: str = LANE) -> SendReport:
        work = self.ledger.plan(lane, entries).work
        pool = cast(DecoderPool, self.pool)
        sender = SegmentPublisher(
            pool, self.publisher, self.ledger, lane, self.metrics, self.health
        )
        return sender.run(work, self._tell, self.stopping)

    def _tell(self, one: SendTask, error: VideoError | None) -> None:
        self.told.append((one.entry.video_id, error.code if error else "done"))

    def events(self, lane: str = LANE) -> list[Any]:
        """What lies in the topic, by video and in order within each."""
        found = [decode_event(one.value or b"") for one in self.transport.scan(lane)]
        return sorted(found, key=name_of)

    def ends(self, lane: str = LANE) -> dict[str, VideoEnd]:
        return {one.video_id: one for one in self.events(lane) if isinstance(one, VideoEnd)}

    def segments(self, lane: str = LANE) -> list[str]:
        return [one.ref.segment_id for one in self.events(lane) if isinstance(one, Segment)]

    def state(self, entry: CatalogEntry, lane: str = LANE) -> str:
        """What the next run would make of a video."""
        plan = self.ledger.plan(lane, [entry])
        if plan.refused:
            return f"failed: {plan.refused[0][1]}"
        return "done" if plan.unchanged else f"again as {plan.work[0].version}"

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"storyhash_{name}", labels) or 0.0


def name_of(event: Any) -> str:
    return str(event.ref.video_id if isinstance(event, Segment) else event.video_id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1000 * 1_000_000)


def film(name: str, **told: Any) -> CatalogEntry:
    return CatalogEntry(name, f"/films/{name}", **told)


def test_segments_and_the_end_of_a_video_go_out_in_order_and_are_noted(bench: Bench) -> None:
    a = film("a", bank="shows", title="A", metadata={"n": 1})
    report = bench.send(a)
    first, second, end = bench.events()
    assert [one.ref.segment_id for one in (first, second)] == ["a@0-4000", "a@4000-8000"]
    digest = segments_digest(["a@4000-8000", "a@0-4000"])
    assert end == VideoEnd(
        a, 1000, "complete", 8.0, 2, segments_digest=digest, origin=bench.ledger.origin
    )
    assert (first.ref.version, first.ref.bank) == (1000, "shows")
    assert bench.told == [("a", "done")]
    assert bench.state(a) == "done"
    assert (report.done, report.segments, report.clip_bytes, report.video_seconds) == (1, 2, 8, 8.0)
    assert not report.stopped
    assert bench.pool.closed


def test_one_trace_runs_through_a_video_and_another_through_the_next(bench: Bench) -> None:
    bench.send(film("a"), film("b"))
    traces: dict[str, set[bytes | None]] = {}
    for received in bench.transport.scan(LANE):
        name = name_of(decode_event(received.value or b""))
        traces.setdefault(name, set()).add(received.header("trace-id"))
    assert [len(ids) for ids in traces.values()] == [1, 1]
    assert traces["a"] != traces["b"]


def test_a_video_lies_in_one_partition(bench: Bench) -> None:
    bench.send(*(film(f"{n}") for n in range(8)))
    places = {
        (name_of(decode_event(one.value or b"")), one.partition)
        for one in bench.transport.scan(LANE)
    }
    assert len(places) == 8
    assert {partition for _, partition in places} == {0, 1}


def test_one_that_fails_is_told_noted_and_the_others_go_on(bench: Bench) -> None:
    broken, a = film("broken"), film("a")
    report = bench.send(broken, a)
    end = bench.ends()["broken"]
    assert (end.outcome, end.error_code, end.error_message) == (
        *("failed", "unreadable", "cannot be decoded further"),
    )
    assert bench.told == [("broken", "unreadable"), ("a", "done")]
    assert [entry for entry, _ in report.failed] == [broken]
    assert (bench.state(broken), bench.state(a)) == ("failed: unreadable", "done")
    assert bench.metric("videos_total", stage="ingest", outcome="failed") == 1
    assert bench.metric("videos_total", stage="ingest", outcome="done") == 1


def test_one_that_is_damaged_is_whole_and_says_what_is_missing(bench: Bench) -> None:
    report = bench.send(film("damaged"))
    end = bench.ends()["damaged"]
    assert (end.outcome, end.error_code, end.error_message) == ("complete", "damaged", DAMAGED)
    assert [(entry.video_id, what) for entry, what in report.damaged] == [("damaged", DAMAGED)]


def test_nothing_is_noted_that_was_not_acknowledged(bench: Bench) -> None:
    bench.publisher = FailingPublisher(bench.transport, flushes=0)
    # The error is kept, and with it all that its traceback holds on to: the pool ends all the same.
    with pytest.raises(BrokerError, match="does not answer") as kept:
        bench.send(film("a"))
    assert bench.pool.closed
    assert kept.value.__traceback__ is not None
    assert bench.told == []
    assert bench.state(film("a")) == "again as 1000"


def test_a_failure_that_nobody_heard_of_is_not_noted_either(bench: Bench) -> None:
    bench.publisher = FailingPublisher(bench.transport, flushes=0)
    with pytest.raises(BrokerError):
        bench.send(film("broken"))
    assert bench.told == []
    assert bench.state(film("broken")) == "again as 1000"


def test_what_was_acknowledged_before_the_broker_went_stays_noted(bench: Bench) -> None:
    films = [film(f"{n:02}") for n in range(40)]
    # 32 ends are acknowledged together, the other eight at the end of the run.
    bench.publisher = FailingPublisher(bench.transport, flushes=1)
    with pytest.raises(BrokerError):
        bench.send(*films)
    assert [name for name, _ in bench.told] == [one.video_id for one in films[:32]]
    assert [bench.state(one) for one in (films[31], films[32])] == ["done", "again as 1000"]
    bench.publisher = FailingPublisher(bench.transport)
    bench.send(*films)
    assert set(bench.ends()) == {one.video_id for one in films}
    assert {one.version for one in bench.ends().values()} == {1000}


def test_told_to_stop_it_notes_what_is_out_and_the_next_run_goes_on_as_the_same_version(
    bench: Bench,
) -> None:
    def before(event: VideoEvent) -> None:
        if event.entry.video_id == "b" and isinstance(event, VideoDone):
            bench.stopping.set()

    bench.pool.before = before
    report = bench.send(film("a"), film("b"), film("c"))
    assert report.stopped
    assert bench.told == [("a", "done")]
    assert bench.pool.closed
    assert [bench.state(film(name)) for name in "abc"] == [
        *("done", "again as 1000", "again as 1000")
    ]
    bench.pool, bench.stopping = FakePool(script), threading.Event()
    bench.send(film("a"), film("b"), film("c"))
    assert set(bench.ends()) == {"a", "b", "c"}
    assert {one.version for one in bench.ends().values()} == {1000}


def test_a_decoder_that_dies_because_all_are_told_to_stop_makes_no_video_fail(bench: Bench) -> None:
    def dying(entry: CatalogEntry, version: int) -> Iterator[VideoEvent]:
        yield ready(entry, version, 0)
        bench.stopping.set()
        yield VideoFailed(entry, DecoderCrashedError("the decoder crashed on this video (SIGTERM)"))

    bench.pool = FakePool(dying)
    report = bench.send(film("a"))
    assert (report.stopped, report.failed, bench.ends()) == (True, [], {})
    assert bench.state(film("a")) == "again as 1000"


SMALL = 1500


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    """A topic that takes no message above 1500 bytes."""
    made = Bench(tmp_path, MemoryTransport(partitions=2, max_bytes=SMALL))
    yield made
    made.ledger.close()


@pytest.mark.parametrize("name", ["long", "broken"])
def test_a_title_too_long_for_a_message_is_one_videos_fault(small: Bench, name: str) -> None:
    long = film(name, title="x" * SMALL, metadata={"n": 1})
    report = small.send(long, film("a"))
    end = small.ends()[name]
    assert (end.outcome, end.error_code) == ("failed", "message_too_large")
    assert (end.entry.title, end.entry.metadata, end.entry.uri) == ("", {}, f"/films/{name}")
    assert [entry.title for entry, _ in report.failed] == ["x" * SMALL]
    assert small.state(long) == "failed: message_too_large"
    assert small.state(film("a")) == "done"


def test_a_segment_too_large_for_a_message_is_one_videos_fault(small: Bench) -> None:
    def large(entry: CatalogEntry, version: int) -> Iterator[VideoEvent]:
        if entry.video_id != "large":
            yield from script(entry, version)
            return
        yield ready(entry, version, 0)
        yield ready(entry, version, 1, b"x" * SMALL)
        yield ready(entry, version, 2)
        yield VideoDone(entry, 12.0, 3, None, {"decode": 0.5})

    small.pool = FakePool(large)
    report = small.send(film("large"), film("a"))
    assert small.segments() == ["a@0-4000", "a@4000-8000", "large@0-4000"]
    end = small.ends()["large"]
    assert (end.outcome, end.error_code) == ("failed", "message_too_large")
    assert (report.done, report.segments) == (1, 3)
    assert small.told == [("large", "message_too_large"), ("a", "done")]
    assert small.state(film("large")) == "failed: message_too_large"


def test_an_end_that_cannot_be_told_at_all_is_an_error(small: Bench) -> None:
    with pytest.raises(MessageTooLargeError):
        small.send(CatalogEntry("a", "/films/" + "x" * SMALL))


def test_failing_to_send_what_is_out_whole_takes_nothing_back(bench: Bench) -> None:
    """The two ends would have one key, and the log would keep the later one."""
    a, b = film("a"), film("b")
    bench.send(a)

    def failing(entry: CatalogEntry, version: int) -> Iterator[VideoEvent]:
        yield VideoFailed(entry, DecoderCrashedError("out of memory"))

    bench.pool = FakePool(failing)
    report = bench.send(a, b, lane=OTHER)
    assert set(bench.ends(OTHER)) == {"b"}
    assert [entry for entry, _ in report.failed] == [a, b]
    assert bench.state(a, LANE) == "done"
    assert bench.state(a, OTHER) == "again as 1001"


def test_the_loop_proves_that_it_lives_with_every_event(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[int] = []
    monkeypatch.setattr(bench.health, "beat", lambda: beats.append(1))
    bench.send(film("a"), film("b"))
    assert len(beats) == 6


def test_segments_and_decoding_are_counted(bench: Bench) -> None:
    bench.send(film("a"), film("b"))
    assert bench.metric("segments_total", stage="ingest", outcome="done") == 4
    assert bench.metric("stage_duration_seconds_sum", stage="ingest") == 1.0


def test_a_run_with_nothing_to_do_does_nothing(bench: Bench) -> None:
    report = bench.send()
    assert (report.done, report.failed, report.stopped) == (0, [], False)
    assert bench.events() == []
