"""A background thread that dies is seen: by /readyz with the reason, and by metrics; what can be begun
again is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.http.health import Health
from common.metrics import Metrics
from common.settings import SearcherSettings
from ingest.folder_watch import FolderWatch
from searcher.index.shard import Shard
from storyhash.services import background
from storyhash.services.background import Background, ThreadWatch, end_all
from storyhash.services.index_auditor import IndexAuditor
from storyhash.services.serve.folder_watcher import Watcher
from storyhash.services.streaming.match_publisher import MatchPublisher
from tests.support.embeddings import video
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until
from tests.unit.searcher.log.test_consumer import open_index


class Watched:
    """A service's health and metrics, and what they say of a thread."""

    def __init__(self) -> None:
        self.metrics = Metrics.create("test")
        self.health = Health(self.metrics, (), 60.0)
        self.watch = ThreadWatch(self.metrics, self.health)

    def up(self, name: str) -> float | None:
        return self._value("storyhash_background_thread_up", name)

    def deaths(self, name: str) -> float | None:
        return self._value("storyhash_background_thread_deaths_total", name)

    def _value(self, metric: str, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(metric, {"thread": name})


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What died is begun again at once."""
    monkeypatch.setattr(background, "_FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What died is not begun again while a test runs."""
    monkeypatch.setattr(background, "_FIRST_PAUSE_SECONDS", 3600.0)


class Work(Background):
    """Fails so many times, then works on."""

    def __init__(
        self, failures: int, error: BaseException | None = None, *, restarts: bool
    ) -> None:
        super().__init__("work", logging.getLogger("test"), restarts=restarts)
        self.left = failures
        self.failure = error or ZeroDivisionError("nobody thought of it")

    def work(self) -> None:
        if self.left:
            self.left -= 1
            raise self.failure
        self._stopping.wait(300)


def test_a_thread_that_dies_for_good_is_seen_with_the_reason(watched: Watched) -> None:
    work = Work(1, restarts=False)
    watched.watch.add(work)
    assert (watched.up("work"), watched.deaths("work")) == (1, 0)
    assert watched.health.reasons() == {}
    work.start()
    work.join()
    assert (watched.up("work"), watched.deaths("work")) == (0, 1)
    reason = watched.health.reasons()["thread work"]
    assert "ZeroDivisionError: nobody thought of it" in reason
    assert work.error is work.failure


@pytest.mark.usefixtures("quick")
def test_a_thread_that_restarts_counts_every_death_and_is_well_again(watched: Watched) -> None:
    work = Work(3, restarts=True)
    watched.watch.add(work)
    work.start()
    try:
        wait_until(lambda: watched.deaths("work") == 3, "three deaths", 300, 0.001)
        wait_until(lambda: watched.up("work") == 1, "the work", 300, 0.001)
        assert watched.deaths("work") == 3
        assert watched.health.reasons() == {}
        assert work.error is None
    finally:
        end_all([work])


@pytest.mark.usefixtures("quick")
def test_what_ends_the_process_is_not_begun_again(watched: Watched) -> None:
    work = Work(1, KeyboardInterrupt(), restarts=True)
    watched.watch.add(work)
    work.start()
    work.join()
    assert isinstance(work.error, KeyboardInterrupt)
    assert watched.up("work") == 0


@pytest.mark.usefixtures("slow")
def test_one_that_waits_to_be_begun_again_stops_at_once_and_ends_nobody(watched: Watched) -> None:
    work = Work(1, restarts=True)
    watched.watch.add(work)
    work.start()
    wait_until(lambda: watched.up("work") == 0, "the death", 300, 0.001)
    assert "it restarts automatically" in watched.health.reasons()["thread work"]
    end_all([work])
    assert work.error is None


def test_one_that_returns_though_nobody_stopped_it_is_seen(watched: Watched) -> None:
    work = Work(0, restarts=False)
    watched.watch.add(work)
    work.work = lambda: None  # type: ignore[method-assign]
    work.start()
    work.join()
    assert watched.up("work") == 0
    assert "it stopped unexpectedly" in watched.health.reasons()["thread work"]


def test_one_that_was_stopped_or_never_started_is_no_death(watched: Watched) -> None:
    work, idle = Work(0, restarts=False), Work(0, restarts=False)
    for one in (work, idle):
        watched.watch.add(one)
    work.start()
    end_all([work, idle])
    assert watched.health.reasons() == {}


def test_one_that_starts_is_no_death(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    work, reasons = Work(0, restarts=False), []
    watched.watch.add(work)
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        reasons.append(watched.health.reasons())
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    work.start()
    end_all([work])
    assert reasons == [{}]


def fails(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("nobody thought of it")


def announcer(folder: Path) -> Iterator[Background]:
    catalogue = SimpleNamespace(answering=fails)
    metrics = Metrics.create("test")
    yield MatchPublisher(catalogue, MemoryTransport(), "matches", metrics, fails)  # type: ignore[arg-type]


def auditor(folder: Path) -> Iterator[Background]:
    yield IndexAuditor(fails, Metrics.create("test"), 0.001)


def watcher(folder: Path) -> Iterator[Background]:
    watch = FolderWatch(folder, 0.0)
    watch.look = fails  # type: ignore[method-assign]
    queue: Any = None
    with open_index(folder / "data") as index:
        yield Watcher(watch, index.videos, queue, Health(None, (), 60.0), 0.001)


@pytest.mark.parametrize("make", [announcer, auditor, watcher])
@pytest.mark.usefixtures("slow")
def test_every_background_thread_of_a_service_is_seen_when_it_dies_and_begins_again(
    make: Callable[[Path], Iterator[Background]],
    watched: Watched,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for work in make(tmp_path):
        watched.watch.add(work)
        work.start()
        try:
            wait_until(lambda work=work: watched.deaths(work.name) == 1, "the death", 300, 0.001)  # type: ignore[misc]
            assert watched.up(work.name) == 0
            assert "nobody thought of it" in watched.health.reasons()[f"thread {work.name}"]
            # It is still there, to be begun again.
            assert work.running
            assert work.error is None
        finally:
            end_all([work])


def test_a_merge_that_failed_is_seen_until_one_succeeds(
    rng: np.random.Generator, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, shard = Shard(SearcherSettings(delta_rows=4)), Shard(SearcherSettings(delta_rows=4))
    watched.watch.tell_merges(lambda: [first, shard])
    with monkeypatch.context() as patch:
        patch.setattr("searcher.index.merging.build", fails)
        shard.add(video(rng, "a", 8))
        shard.wait_for_build()
    assert watched.up("merge") == 0
    assert "ZeroDivisionError" in watched.health.reasons()["thread merge"]
    assert shard.waiting == 8
    shard.add(video(rng, "b", 8))
    shard.wait_for_build()
    assert watched.up("merge") == 1
    assert watched.health.reasons() == {}
    assert shard.waiting == 0
    first.close()
    shard.close()


def test_what_is_watched_no_more_has_no_metrics(watched: Watched) -> None:
    work = Work(0, restarts=False)
    watched.watch.measure(work)
    assert watched.up("work") == 1
    watched.watch.forget("work")
    assert (watched.up("work"), watched.deaths("work")) == (None, None)
