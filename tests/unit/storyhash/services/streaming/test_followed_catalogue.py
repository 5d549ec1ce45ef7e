"""Several generations in one searcher: only the one that answers may end it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.errors import (
    NotReadyError,
    SettingsError,
    StorageError,
    StoryHashError,
    TopicMissingError,
    UsageError,
)
from common.messaging.events import Event, LogModel
from common.messaging.topics import TopicNames
from common.messaging.wire import Envelope, to_message
from common.metrics import Metrics
from common.settings import SearcherSettings, SecondOpinionSettings, ServiceSettings, Settings
from searcher.generations import generation_folder, known_generations, make_folder
from searcher.storage.data_dir import FolderManifest, write_manifest
from storyhash.services.background import ThreadWatch, end_all
from storyhash.services.streaming.followed_catalogue import FollowedCatalogue
from storyhash.services.streaming.index_follower import IndexFollower, generation_settings
from storyhash.services.streaming.search_service import CatalogueHealth, run_searcher, until_stopped
from tests.faults.disks import Disk, can_mount
from tests.support.embeddings import MODEL_ID, video
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until
from tests.unit.searcher.log.test_consumer import end
from tests.unit.storyhash.services.streaming.test_index_follower import calibrated

__all__ = ["calibrated"]
OTHER_MODEL_ID = "other-0123456789ab"


class Searcher:
    """A searcher without HTTP: a log of one video in each generation, and followers of it."""

    def __init__(self, data: Path, rng: np.random.Generator) -> None:
        self.transport = MemoryTransport(partitions=1)
        self.settings = Settings(
            data_dir=data,
            searcher=SearcherSettings(mirror="local"),
            service=ServiceSettings(retry_seconds=0.01),
        )
        self.missing: set[str] = set()
        self.metrics = Metrics.create("search")
        for name, model_id in (("", MODEL_ID), ("clip", MODEL_ID), ("other", OTHER_MODEL_ID)):
            topic = TopicNames.of(generation_settings(self.settings, name).kafka).embeddings
            publisher = self.transport.publisher()
            parts = [replace(part, model_id=model_id) for part in video(rng, "a", 2)]
            events: list[Event] = [LogModel(model_id), *parts, end("a", 2)]
            for event in events:
                publisher.publish(to_message(topic, Envelope(event)))

    def start(self, second: str | None = None, waiting_for: str = "") -> Searcher:
        """waiting_for: a condition that is not met when it has started; empty if all are."""
        self.catalogue = FollowedCatalogue(
            self.settings.data_dir, self._make, second=second, check=self._check
        )
        self.health = CatalogueHealth(self.metrics, self.catalogue)
        self.catalogue.watched_by(ThreadWatch(self.metrics, self.health))
        for one in self.catalogue:
            one.start()

        def started() -> bool:
            reasons = self.health.reasons()
            return waiting_for in reasons if waiting_for else not reasons

        wait_until(started, "readiness", 300, 0.01)
        return self

    def stop(self) -> None:
        end_all(list(self.catalogue))

    def told(self, name: str) -> dict[str, Any]:
        return next(one for one in self.catalogue.generations() if one["generation"] == name)

    def goes_on(self, look_seconds: float = 1.5) -> bool:
        """Whether the process would, when it looks within this time."""
        stopping = threading.Event()
        waiting = threading.Thread(
            target=until_stopped,
            args=(self.settings, self.catalogue, SimpleNamespace(running=True), stopping),
        )
        waiting.start()
        waiting.join(look_seconds)
        goes_on = waiting.is_alive()
        stopping.set()
        waiting.join()
        return goes_on

    def up(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "storyhash_background_thread_up", {"thread": f"follow-{name}"}
        )

    def _make(self, name: str, answers: Callable[[], bool]) -> IndexFollower:
        return IndexFollower(
            *(name, self.settings, self.transport, self.metrics),
            match_new_videos=answers,
            check=lambda: self._check(name),
        )

    def _check(self, name: str) -> None:
        if name in self.missing:
            raise TopicMissingError(f"the topics of {name} are missing")


@pytest.fixture
def searcher(tmp_path: Path, rng: np.random.Generator) -> Iterator[Searcher]:
    made = Searcher(tmp_path / "data", rng)
    yield made
    made.stop()


def spoil(data: Path, name: str) -> Path:
    """Have a generation's database damaged; the file."""
    make_folder(data, name)
    folder = generation_folder(data, name)
    write_manifest(folder, FolderManifest("test", MODEL_ID, "local"))
    file = folder / "videos.sqlite"
    file.write_bytes(b"no database" * 1000)
    return file


def test_a_damaged_generation_beside_the_one_that_answers_ends_nothing(searcher: Searcher) -> None:
    damaged = spoil(searcher.settings.data_dir, "clip")
    searcher.start()
    wait_until(lambda: searcher.up("clip") == 0, "the death", 300, 0.01)
    assert searcher.goes_on()
    # It is told with the reason wherever one would look.
    assert "videos.sqlite" in searcher.told("clip")["error"]
    assert searcher.told("")["error"] is None
    assert "videos.sqlite" in searcher.health.warnings()["generation clip: thread"]
    assert searcher.health.reasons() == {}
    with pytest.raises(UsageError, match=r"is not ready: .*videos\.sqlite"):
        searcher.catalogue.activate("clip")
    assert searcher.catalogue.current().generation == ""
    # Once it is mended it is followed again.
    damaged.unlink()
    searcher.catalogue.follow("clip")
    wait_until(lambda: searcher.told("clip")["videos"] == 1, "the generation", 300, 0.01)
    assert searcher.up("clip") == 1
    wait_until(lambda: searcher.health.warnings() == {}, "all to be well", 300, 0.01)


def test_a_damaged_generation_can_be_dropped(searcher: Searcher) -> None:
    spoil(searcher.settings.data_dir, "clip")
    searcher.start()
    wait_until(lambda: searcher.up("clip") == 0, "the death", 300, 0.01)
    searcher.catalogue.drop("clip")
    assert known_generations(searcher.settings.data_dir) == [""]
    assert searcher.up("clip") is None
    assert searcher.health.warnings() == {}


def test_the_death_of_the_one_that_answers_ends_the_searcher(
    searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StoryHashError("its index is damaged")

    searcher.start()
    assert searcher.goes_on()
    monkeypatch.setattr("searcher.log.offset_consumer.OffsetConsumer.poll", fails)
    wait_until(lambda: searcher.up("first") == 0, "the death", 300, 0.01)
    assert not searcher.goes_on(300)
    assert "its index is damaged" in searcher.health.reasons()["thread"]


def test_a_generation_whose_topics_are_gone_is_waited_for_and_keeps_nobody_from_starting(
    searcher: Searcher,
) -> None:
    make_folder(searcher.settings.data_dir, "clip")
    searcher.missing = {"clip"}
    searcher.start()
    wait_until(lambda: "missing" in searcher.told("clip")["waiting_for"]["index"], "it", 300, 0.01)
    assert searcher.told("clip")["error"] is None
    searcher.missing = set()
    wait_until(lambda: searcher.told("clip")["videos"] == 1, "the generation", 300, 0.01)


def test_a_generation_that_cannot_be_followed_leaves_everything_as_it_was(
    searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher.start()
    searcher.missing = {"clip"}
    with pytest.raises(TopicMissingError):
        searcher.catalogue.follow("clip")
    searcher.missing = set()
    (searcher.settings.data_dir / "generations").touch()
    with pytest.raises(StorageError):
        searcher.catalogue.follow("clip")
    (searcher.settings.data_dir / "generations").unlink()
    assert [one["generation"] for one in searcher.catalogue.generations()] == [""]
    assert searcher.goes_on()
    searcher.catalogue.follow("clip")
    # A caller that lost the answer asks again.
    assert searcher.catalogue.follow("clip")["generation"] == "clip"
    wait_until(lambda: searcher.told("clip")["videos"] == 1, "the generation", 300, 0.01)
    assert [one["generation"] for one in searcher.catalogue.generations()] == ["", "clip"]


def test_a_generation_followed_on_a_full_disk_waits_and_the_other_answers(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("disks are mounted by root alone")
    with Disk(tmp_path / "disk", 64) as disk:
        searcher = Searcher(disk.folder, rng).start()
        try:
            disk.fill()
            # A folder may still find room; what is written into it does not.
            try:
                searcher.catalogue.follow("clip")
            except StorageError:
                assert [one["generation"] for one in searcher.catalogue.generations()] == [""]
            assert searcher.goes_on()
            answering = searcher.catalogue.current()
            assert {*answering.index.shard_versions()} == {"a"}
            disk.empty()
            if len(searcher.catalogue.generations()) == 1:
                searcher.catalogue.follow("clip")
            wait_until(lambda: searcher.told("clip")["videos"] == 1, "the generation", 300, 0.01)
            assert searcher.told("clip")["error"] is None
        finally:
            searcher.stop()


def test_a_further_generation_gives_the_second_opinion(searcher: Searcher) -> None:
    searcher.start("other")
    answering = searcher.catalogue.current()
    assert answering.second is not None
    assert (answering.model_id, answering.second.model_id) == (MODEL_ID, OTHER_MODEL_ID)
    assert answering.second.covers("a", "default")
    for change in (searcher.catalogue.activate, searcher.catalogue.drop):
        with pytest.raises(UsageError, match="gives the second opinion"):
            change("other")
    # A deletion holds in both.
    assert searcher.catalogue.delete_video("a")
    assert not answering.second.covers("a", "default")
    assert answering.second.index.vectors_of("a").refs == []


def test_without_its_second_opinion_a_searcher_is_not_ready(searcher: Searcher) -> None:
    spoil(searcher.settings.data_dir, "other")
    searcher.start("other", "second opinion: thread")
    with pytest.raises(NotReadyError, match=r"second opinion: thread: .*videos\.sqlite"):
        searcher.catalogue.current()


def test_nothing_is_changed_that_the_second_opinion_cannot_change_too(searcher: Searcher) -> None:
    spoil(searcher.settings.data_dir, "other")
    searcher.start("other", "second opinion: thread")
    wait_until(lambda: searcher.told("")["videos"] == 1, "the generation", 300, 0.01)
    with pytest.raises(NotReadyError, match=r"videos\.sqlite"):
        searcher.catalogue.delete_video("a")
    with pytest.raises(NotReadyError, match=r"videos\.sqlite"):
        searcher.catalogue.describe_video("a", {"title": "Tea"})
    assert searcher.told("")["videos"] == 1


def test_a_second_opinion_of_the_same_model_is_none(searcher: Searcher) -> None:
    searcher.start("clip", "second opinion")
    wait_until(
        lambda: "same model" in searcher.health.reasons()["second opinion"], "the reason", 300, 0.01
    )


def test_the_generation_that_answers_gives_no_second_opinion(searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="answers already"):
        searcher.start("")
    searcher.start()


@pytest.mark.parametrize("profile", ["offline", None])
def test_a_searcher_over_kafka_refuses_a_second_index(tmp_path: Path, profile: str | None) -> None:
    if profile is None:
        (tmp_path / "second-opinion").mkdir()
        write_manifest(tmp_path / "second-opinion", FolderManifest("test", MODEL_ID, "local"))
    settings = Settings(data_dir=tmp_path, second_opinion=SecondOpinionSettings(profile=profile))
    with pytest.raises(SettingsError, match="STORYHASH_SECOND_OPINION__GENERATION instead"):
        run_searcher(settings, threading.Event())


def test_a_video_that_waits_is_dropped_in_the_log_too(
    searcher: Searcher, rng: np.random.Generator
) -> None:
    searcher.start()
    topic = TopicNames.of(searcher.settings.kafka).embeddings
    publisher = searcher.transport.publisher()
    parts = video(rng, "b", 3)
    events: list[Event] = [*parts[:2], end("b", 3)]
    for event in events:
        publisher.publish(to_message(topic, Envelope(event)))
    catalogue = searcher.catalogue
    wait_until(lambda: catalogue.staged("", 10)[0] != [], "the video to be staged", 300, 0.01)
    wait_until(lambda: catalogue.staged("", 10)[0][0].segments == 2, "its segments", 300, 0.01)
    assert catalogue.drop_staged("b", 2) == []
    assert catalogue.drop_staged("b", None) == [1]
    assert catalogue.staged("", 10) == ([], None)
    publisher.publish(to_message(topic, Envelope(parts[2])))
    publisher.publish(to_message(topic, Envelope(LogModel(MODEL_ID))))
    answering = catalogue.current()

    def level() -> bool:
        offsets = answering.index.staging.offsets()
        return offsets.get(0, 0) == len(_log(searcher, topic))

    wait_until(level, "the log to be taken in", 300, 0.01)
    last = dict(_log(searcher, topic))
    # Compacted, the log holds of the video that it was dropped, and nothing else.
    assert [key for key, value in last.items() if key.startswith(b"b@") and value] == [b"b@v1"]
    assert catalogue.staged("", 10) == ([], None)
    assert {*answering.index.shard_versions()} == {"a"}


def _log(searcher: Searcher, topic: str) -> list[tuple[bytes, bytes | None]]:
    return [(one.key, one.value) for one in searcher.transport.scan(topic)]
