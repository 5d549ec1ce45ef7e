"""A follower answers from an index that is whole: one that is read from the log anew answers once all is
in that lay there, however often it is interrupted and however much still comes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from common.errors import UsageError
from common.http.health import Health
from common.messaging.events import Deletion, Event, LogModel, MatchEvent
from common.messaging.handler import Item
from common.messaging.topics import TopicNames
from common.messaging.transport import ReceivedMessage
from common.messaging.wire import Envelope, to_message
from common.metrics import Metrics
from common.settings import SearcherSettings, ServiceSettings, Settings
from searcher.log.consumer import IndexHandler
from searcher.log.offset_consumer import OffsetConsumer
from searcher.matching.scoring.calibration import load_calibration
from searcher.storage.database import Database
from searcher.storage.staging import Staging
from storyhash.services.streaming.index_follower import IndexFollower
from tests.support.embeddings import MODEL_ID, video
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until
from tests.unit.searcher.log.test_consumer import end


class Log:
    """A log in memory, and the followers that read it one event at a time."""

    def __init__(self, data: Path) -> None:
        self.transport = MemoryTransport(partitions=1)
        self.settings = Settings(
            data_dir=data,
            searcher=SearcherSettings(mirror="local"),
            service=ServiceSettings(batch_messages=1, retry_seconds=0.01),
        )
        self.publish(LogModel(MODEL_ID))

    def publish(self, *events: Event) -> None:
        publisher = self.transport.publisher()
        topic = TopicNames.of(self.settings.kafka).embeddings
        for event in events:
            publisher.publish(to_message(topic, Envelope(event)))

    def follower(self) -> IndexFollower:
        metrics = Metrics.create("search")
        return IndexFollower(
            "", self.settings, self.transport, metrics, match_new_videos=lambda: True
        )


@pytest.fixture(autouse=True)
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up model has no calibration of its own."""
    offline = load_calibration("offline")
    monkeypatch.setattr("storyhash.query.matchers.load_calibration", lambda *_: offline)


@pytest.fixture
def log(tmp_path: Path, rng: np.random.Generator) -> Log:
    """Of `a`, which was deleted, and `b`."""
    made = Log(tmp_path / "data")
    made.publish(
        *video(rng, "a", 2), end("a", 2), Deletion("a", 5), *video(rng, "b", 2), end("b", 2)
    )
    return made


class Seen:
    """What could be found, if anything answered, after each event that was taken in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_after: int = 10**6) -> None:
        self.follower: IndexFollower | None = None
        self.found: list[set[str] | None] = []
        real = IndexHandler.take

        def take(handler: IndexHandler, items: Sequence[Item]) -> None:
            real(handler, items)
            assert self.follower is not None
            answering = self.follower.answering
            self.found.append(None if answering is None else {*answering.index.shard_versions()})
            if len(self.found) == dies_after:
                raise KeyboardInterrupt

        monkeypatch.setattr(IndexHandler, "take", take)

    def follow(self, follower: IndexFollower) -> set[str] | None:
        """Run it until it answers or ends; what is found then."""
        self.follower = follower
        follower.start()
        wait_until(lambda: follower.answering is not None or not follower.running, "answers", 300)
        answering = follower.answering
        found = None if answering is None else {*answering.index.shard_versions()}
        follower.stop()
        follower.join()
        return found


def test_an_index_made_from_the_log_answers_once_it_is_level_and_never_with_what_was_deleted(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    assert seen.follow(log.follower()) == {"b"}
    assert len(seen.found) == 8
    assert set(map(bool, seen.found)) == {False}


def test_one_that_was_interrupted_before_it_was_level_does_not_answer_before_it_is(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        assert Seen(patch, dies_after=4).follow(log.follower()) is None
    seen = Seen(monkeypatch)
    assert seen.follow(log.follower()) == {"b"}
    assert seen.found
    assert set(map(bool, seen.found)) == {False}


def test_one_that_was_level_answers_at_once_whatever_has_come_since(
    log: Log, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    with monkeypatch.context() as patch:
        assert Seen(patch).follow(log.follower()) == {"b"}
    log.publish(*video(rng, "c", 3), end("c", 3))
    seen = Seen(monkeypatch)
    seen.follow(log.follower())
    assert all(found is not None and "b" in found for found in seen.found)


@pytest.mark.parametrize("staged", [True, False])
def test_a_deletion_is_of_all_that_is_known_though_the_producers_clock_is_ahead(
    log: Log, rng: np.random.Generator, staged: bool
) -> None:
    later = time.time_ns() // 1_000_000 + 300_000
    parts: list[Event] = [*video(rng, "c", 2, version=later), end("c", 2, later)]
    log.publish(*(parts[:2] if staged else parts))
    follower = log.follower()
    follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    assert follower.delete_video("c")
    log.publish(*parts, *video(rng, "d", 1), end("d", 1))
    answering = follower.answering
    assert answering is not None
    wait_until(lambda: "d" in answering.index.shard_versions(), "what came after", 300)
    assert {*answering.index.shard_versions()} == {"b", "d"}
    follower.stop()
    follower.join()


@pytest.mark.parametrize("running", [False, True])
def test_a_log_made_anew_and_longer_than_before_is_read_from_its_beginning(
    log: Log, rng: np.random.Generator, running: bool
) -> None:
    follower = log.follower()
    follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    if not running:
        follower.stop()
        follower.join()
    log.transport.recreate(TopicNames.of(log.settings.kafka).embeddings)
    log.publish(LogModel(MODEL_ID))
    for number in range(6):
        log.publish(*video(rng, f"new-{number}", 2), end(f"new-{number}", 2))
    if not running:
        follower = log.follower()
        follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    answering = follower.answering
    assert answering is not None
    # What the index holds of the log before stays.
    wanted = {"b", *(f"new-{number}" for number in range(6))}
    wait_until(lambda: {*answering.index.shard_versions()} == wanted, "what the new log holds", 300)
    wait_until(lambda: not follower.health.reasons(), "readiness", 300)
    follower.stop()
    follower.join()
    # The next start goes on where this one ended.
    database = Database(log.settings.data_dir / "videos.sqlite")
    assert Staging(database).offsets() == {0: 1 + 6 * 3}
    database.close()


class Stream:
    """A log consumer to which more always comes; two batches of it lay there when reading began."""

    log_id = "made-up"

    def __init__(self) -> None:
        self.polled = 0

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        self.polled += 1
        return [ReceivedMessage("log", 0, self.polled, b"", b"")]

    def caught_up(self) -> bool:
        return self.polled >= 2

    def lag(self) -> int:
        return 1

    def expired(self) -> int:
        return 0

    def keep_alive(self) -> None: ...

    def commit(self, messages: Iterable[ReceivedMessage]) -> None: ...

    def close(self) -> None: ...


def test_a_log_is_level_when_what_lay_there_is_done_though_more_always_comes(
    tmp_path: Path,
) -> None:
    health = Health(None, ("log",), 60.0)
    levelled: list[tuple[int, bool]] = []
    stream = Stream()
    position = OffsetConsumer(
        stream,
        Staging(Database(tmp_path / "videos.sqlite")),
        health,
        lambda: levelled.append((stream.polled, bool(health.reasons()))),
    )
    told = []
    for _ in range(4):
        batch = position.poll(1, 0.0)
        told.append(bool(health.reasons()))
        position.commit(batch)
    # At the third poll the second batch has been worked on.
    assert told == [True, True, False, False]
    # Who sees that the condition is met may ask at once: it was told before.
    assert levelled == [(2, True)]


def test_a_log_is_level_though_a_batch_is_always_taken_ahead(tmp_path: Path) -> None:
    health = Health(None, ("log",), 60.0)
    staging = Staging(Database(tmp_path / "videos.sqlite"))
    position = OffsetConsumer(Stream(), staging, health)
    told = []
    ahead = position.poll(1, 0.0)
    for _ in range(4):
        batch, ahead = ahead, position.poll(1, 0.0)
        told.append(bool(health.reasons()))
        position.commit(batch)
    # At the fourth poll the second batch, the last of those that lay there, has been worked on.
    assert told == [True, True, False, False]


def test_a_calibration_that_was_not_measured_is_told_with_every_answer(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = load_calibration("clip")
    assert not clip.measured
    monkeypatch.setattr("storyhash.query.matchers.load_calibration", lambda *_: clip)
    follower = log.follower()
    follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    answering = follower.answering
    notices = [] if answering is None else list(answering.index.notices)
    follower.stop()
    follower.join()
    assert [notice for notice in notices if "was not measured" in notice]


def unmatched(follower: IndexFollower, holding: str = "b") -> set[str]:
    """Run a follower until it is level and holds a video; the videos it is to tell of."""
    follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    opened = follower.opened
    assert opened is not None
    wait_until(lambda: holding in opened.index.shard_versions(), holding, 300)
    due = opened.index.staging.unmatched(1000)
    told = {video_id for video_id, _, _ in due if opened.index.videos.get(video_id)}
    follower.stop()
    follower.join()
    return told


@pytest.mark.parametrize("lost", ["nothing", "folder", "folder and offsets"])
def test_a_log_that_is_read_again_tells_of_no_video_again_but_of_those_that_came_since(
    log: Log, rng: np.random.Generator, lost: str
) -> None:
    names = {f"v{n}" for n in range(50)}
    for name in names:
        log.publish(*video(rng, name, 1), end(name, 1))
    assert unmatched(log.follower()) == {*names, "b"}
    topics = TopicNames.of(log.settings.kafka)
    publisher = log.transport.publisher()
    publisher.publish(to_message(topics.matches, Envelope(MatchEvent("b", 1, {}))))
    if lost == "nothing":
        database = Database(log.settings.data_dir / "videos.sqlite")
        for video_id, version, _ in Staging(database).unmatched(1000):
            Staging(database).matched(video_id, version)
        database.close()
    else:
        shutil.rmtree(log.settings.data_dir)
    if lost == "folder and offsets":
        log.transport.forget_group(topics.searchers)
        assert unmatched(log.follower()) == set()
    log.publish(*video(rng, "c", 2), end("c", 2))
    assert unmatched(log.follower(), "c") == {"c"}


def test_the_first_searcher_of_a_log_tells_of_all_that_lies_there(log: Log) -> None:
    assert unmatched(log.follower()) == {"b"}


def test_an_id_that_a_version_from_the_future_blocks_is_free_once_it_is_deleted(
    log: Log, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = 4_102_444_800_000
    parts: list[Event] = [*video(rng, "c", 2, version=later), end("c", 2, later)]
    with monkeypatch.context() as patch:
        # As it was before such versions were refused.
        patch.setattr("common.messaging.wire.VERSION_AHEAD_MS", 10**15)
        log.publish(*parts)
        follower = log.follower()
        follower.start()
        wait_until(lambda: follower.answering is not None, "answers", 300)
        answering = follower.answering
        assert answering is not None
        assert "c" in answering.index.shard_versions()
    assert follower.delete_video("c")
    now = log.transport.clock()
    log.publish(*video(rng, "c", 1, version=now + 1), end("c", 1, now + 1))
    wait_until(lambda: answering.index.shard_versions().get("c") == now + 1, "it is back", 300)
    follower.stop()
    follower.join()
    # The same comes of the log alone, in which the version from the future still lies.
    shutil.rmtree(log.settings.data_dir)
    again = log.follower()
    again.start()
    wait_until(lambda: again.answering is not None, "answers", 300)
    found = again.answering
    assert found is not None
    assert found.index.shard_versions()["c"] == now + 1
    again.stop()
    again.join()


def followed(log: Log) -> IndexFollower:
    """A follower that answers."""
    follower = log.follower()
    follower.start()
    wait_until(lambda: follower.answering is not None, "answers", 300)
    return follower


def test_a_new_description_is_in_the_log_and_keeps_the_vectors(log: Log) -> None:
    follower = followed(log)
    answering = follower.answering
    assert answering is not None
    index = answering.index
    before, vectors = index.videos.get("b"), index.vectors_of("b").vectors.copy()
    assert before is not None
    changes = {"bank": "news", "title": "B", "metadata": {"year": 1971}}
    row = follower.describe_video("b", changes)
    assert row is not None
    assert (row.bank, row.title, row.metadata) == ("news", "B", {"year": 1971})
    assert row.version > before.version
    assert follower.describe_video("b", {"title": "B"}) == row
    assert follower.describe_video("a", {"title": "A"}) is None
    found = index.vectors_of("b")
    assert {ref.bank for ref in found.refs} == {"news"}
    np.testing.assert_array_equal(found.vectors, vectors)
    # What is on its way would be lost below a newer version.
    newer = row.version + 1
    log.publish(end("b", 2, version=newer))
    wait_until(lambda: index.staging.newest("b") == newer, "staged", 300)
    with pytest.raises(UsageError, match="a newer version is being indexed"):
        follower.describe_video("b", {"title": "C"})
    follower.stop()
    follower.join()
    shutil.rmtree(log.settings.data_dir)
    rebuilt = followed(log)
    again = rebuilt.answering
    assert again is not None
    told = again.index.videos.get("b")
    assert told is not None
    assert (told.description, told.version) == (row.description, row.version)
    np.testing.assert_array_equal(again.index.vectors_of("b").vectors, vectors)
    rebuilt.stop()
    rebuilt.join()
