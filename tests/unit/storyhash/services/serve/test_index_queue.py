"""The queue of `serve`: what was asked for is done, once, whatever is deleted or asked for meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from common.errors import FetchError, StateError, StorageError, UsageError, VideoError
from common.http.health import Health
from common.metrics import Metrics
from common.settings import IngestSettings, SearcherSettings, ServiceSettings, Settings
from common.types import CatalogEntry
from common.work_in_progress import FOLDER, WorkInProgress
from ingest.folder_watch import FolderWatch
from searcher.local_index import LocalIndex
from searcher.metrics import watch_pending, watch_vectors
from searcher.serving import ServingIndex
from searcher.storage.data_dir import FolderManifest
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import WorkItem, as_edited, is_described
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.services.serve.folder_watcher import Watcher
from storyhash.services.serve.index_queue import IndexQueue
from storyhash.services.serve.index_worker import IndexWorker
from storyhash.services.serve.local_catalogue import OpenedWithQueue, ServedCatalogue
from tests.support.embeddings import MODEL_ID
from tests.support.made_up_indexing import SEGMENTS, MadeUpPool, MadeUpStage
from tests.support.services import wait_until

SETTINGS = Settings(searcher=SearcherSettings(delta_rows=64))


class Bench:
    """An index, its queue and an indexer that has made-up videos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool, self.stage = MadeUpPool(), MadeUpStage()
        self.metrics = Metrics.create("serve")
        self.outcomes: list[VideoOutcome] = []
        self.index = LocalIndex.open_writer(folder, FolderManifest("test", MODEL_ID), SETTINGS)
        self.queue = IndexQueue(self.index)

    def reopen(self) -> None:
        """As after a crash: nothing but what is durable is left."""
        self.index.close()
        self.__init__(self.folder)  # type: ignore[misc]

    def indexer(self, in_progress: WorkInProgress | None = None) -> Indexer:
        return Indexer(self.index, self.stage, self.pool, self.metrics, in_progress)  # type: ignore[arg-type]

    def add(self, *video_ids: str, title: str = "") -> None:
        self.queue.add(
            WorkItem(CatalogEntry(name, f"/{name}", title=title), 0, "", "f") for name in video_ids
        )

    def work(self, in_progress: WorkInProgress | None = None) -> None:
        """Index until there is nothing left to do."""

        def ended(outcome: VideoOutcome) -> None:
            self.outcomes.append(outcome)
            self.queue.ended(outcome.item)

        def until_idle() -> Iterator[WorkItem | None]:
            for item in self.queue.draw():
                if item is None and self.queue.idle:
                    return
                yield item

        self.indexer(in_progress).run(until_idle(), ended, wanted=self.queue.wanted)

    def half_way_once(self, call: Callable[[str], object]) -> None:
        """Call it with the id of the first video that is half done."""
        calls = iter([call])
        self.pool.half_way = lambda name: [one(name) for one in calls]

    def states(self) -> dict[str, tuple[str, int]]:
        """(state, version) of every row."""
        return {one.video_id: (one.state, one.version) for one in self.index.videos.all()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    made.index.close()


def test_what_was_taken_on_outlives_a_crash_and_is_indexed_in_its_order(bench: Bench) -> None:
    bench.add("b", "a", "c", title="kept")
    assert bench.states() == dict.fromkeys("abc", ("pending", 0))
    bench.reopen()
    bench.work()
    assert bench.states() == dict.fromkeys("abc", ("ready", 1))
    assert [one.item.entry.video_id for one in bench.outcomes] == ["b", "a", "c"]
    assert {one.item.entry.title for one in bench.outcomes} == {"kept"}
    assert bench.index.shard_versions() == dict.fromkeys("abc", 1)


def test_what_waits_is_measured_by_age(bench: Bench) -> None:
    watch_pending(bench.metrics, bench.queue.waiting_seconds)

    def pending(age: str) -> float | None:
        return bench.metrics.registry.get_sample_value("storyhash_pending_videos", {"age": age})

    bench.add("a", "b")
    assert (pending("under_10m"), pending("over_1d")) == (2, 0)
    bench.work()
    assert pending("under_10m") == 0
    watch_pending(bench.metrics, lambda: [0.0, 599.0, 600.0, 4000.0, 90_000.0, 1e9])
    ages = ("under_10m", "under_1h", "under_1d", "over_1d")
    assert [pending(age) for age in ages] == [2, 1, 1, 2]


def test_a_video_deleted_while_it_is_indexed_never_comes_back(bench: Bench) -> None:
    bench.add("gone", "stays")
    bench.pool.half_way = lambda name: name == "gone" and bench.queue.delete("gone")
    bench.work()
    assert bench.states() == {"stays": ("ready", 1)}
    assert [one.dropped for one in bench.outcomes] == [True, False]
    assert bench.index.shard_versions() == {"stays": 1}
    bench.reopen()
    assert bench.states() == {"stays": ("ready", 1)}
    assert bench.index.shard_versions() == {"stays": 1}


def test_a_video_deleted_before_its_turn_is_never_read(bench: Bench) -> None:
    bench.add("a", "b")
    assert bench.queue.delete("b")
    assert not bench.queue.delete("b")
    bench.work()
    assert bench.states() == {"a": ("ready", 1)}
    assert [one.item.entry.video_id for one in bench.outcomes] == ["a"]


def test_a_video_asked_for_anew_while_it_is_indexed_is_done_as_last_asked(bench: Bench) -> None:
    bench.add("a", title="old")
    bench.half_way_once(lambda name: bench.add(name, title="new"))
    bench.work()
    assert [(one.dropped, one.item.entry.title) for one in bench.outcomes] == [
        (True, "old"),
        (False, "new"),
    ]
    row = bench.index.videos.get("a")
    assert row is not None
    assert (row.title, row.version, row.segments) == ("new", 1, SEGMENTS)


def test_a_video_that_was_not_wanted_for_one_segment_is_dropped(bench: Bench) -> None:
    bench.add("a")
    item = next(bench.queue.draw())
    wanted = iter([True, False, True])
    bench.indexer().run([item], bench.outcomes.append, wanted=lambda _: next(wanted, True))
    assert [one.dropped for one in bench.outcomes] == [True]
    assert bench.states() == {"a": ("pending", 0)}


def test_one_deleted_and_posted_again_waits_until_its_first_try_has_ended(bench: Bench) -> None:
    bench.add("a", title="first")

    def posted_again(name: str) -> None:
        bench.queue.delete(name)
        bench.add(name, title="second")
        assert next(bench.queue.draw()) is None

    bench.half_way_once(posted_again)
    bench.work()
    assert [one.dropped for one in bench.outcomes] == [True, False]
    assert bench.states() == {"a": ("ready", 1)}
    refs, _, _ = bench.index.vectors_of("a")
    assert len(refs) == SEGMENTS


def test_what_is_asked_for_again_unchanged_while_it_is_indexed_goes_on(bench: Bench) -> None:
    bench.add("a", title="same")
    bench.half_way_once(lambda name: bench.add(name, title="same"))
    bench.work()
    assert [one.dropped for one in bench.outcomes] == [False]
    assert bench.states() == {"a": ("ready", 1)}


def test_a_video_that_is_dropped_keeps_the_crashes_that_count_against_it(bench: Bench) -> None:
    note = bench.folder / FOLDER / "index-0.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"in_hand": ["a f"], "crashes": {}, "set_aside": []}))
    in_progress = WorkInProgress.open(bench.folder, "index")
    suspect = []
    titles = iter(["new"])

    def half_way(name: str) -> None:
        suspect.append(in_progress.is_suspect("a f"))
        for title in titles:
            bench.add(name, title=title)

    bench.pool.half_way = half_way
    bench.add("a", title="old")
    bench.work(in_progress)
    assert [one.dropped for one in bench.outcomes] == [True, False]
    assert suspect == [True, True]
    assert not in_progress.is_suspect("a f")
    in_progress.close()


def test_videos_that_were_set_aside_fail_once_a_full_disk_has_room_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = bench.folder / FOLDER / "index-0.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"in_hand": [], "crashes": {}, "set_aside": ["a f", "b f"]}))
    with closing(WorkInProgress.open(bench.folder, "index")) as in_progress:
        indexer = bench.indexer(in_progress)
        monkeypatch.setattr(bench, "indexer", lambda _: indexer)
        bench.add("a", "b")
        with monkeypatch.context() as patch:
            patch.setattr(bench.index, "mark_failed", Mock(side_effect=StorageError("it is full")))
            with pytest.raises(StorageError):
                bench.work(in_progress)
        bench.queue.give_back()
        bench.work(in_progress)
    assert bench.states() == dict.fromkeys("ab", ("failed", 0))


def test_the_old_version_answers_until_the_new_one_is_whole(bench: Bench) -> None:
    bench.add("a")
    bench.work()
    seen = []
    bench.pool.half_way = lambda name: seen.append((bench.states(), bench.index.shard_versions()))
    bench.add("a")
    bench.work()
    assert seen == [({"a": ("pending", 1)}, {"a": 1})]
    assert bench.states() == {"a": ("ready", 2)}
    assert bench.index.shard_versions() == {"a": 2}


def test_an_unreadable_video_fails_with_its_reason_and_an_older_version_stays(bench: Bench) -> None:
    bench.add("a", "b")
    bench.work()
    bench.pool.unreadable = {"a"}
    bench.add("a", "c")
    bench.work()
    assert bench.states() == {"a": ("failed", 1), "b": ("ready", 1), "c": ("ready", 1)}
    row = bench.index.videos.get("a")
    assert row is not None
    assert row.error_message == "not a film"
    assert bench.index.shard_versions() == dict.fromkeys("abc", 1)


def test_what_nobody_foresaw_costs_one_video(bench: Bench) -> None:
    bench.stage.refused = {"odd": ZeroDivisionError("of\nall")}
    bench.add("a", "odd", "b")
    bench.work()
    row = bench.index.videos.get("odd")
    assert row is not None
    assert (row.state, row.error_code) == ("failed", "internal")
    assert row.error_message == "internal error (ZeroDivisionError: of all)"
    assert {name for name, (state, _) in bench.states().items() if state == "ready"} == {"a", "b"}


def test_metrics_tell_what_became_of_segments_and_videos(bench: Bench) -> None:
    bench.pool.unreadable = {"noise"}
    bench.stage.refused = {"broken": VideoError("a clip does not decode")}
    watch_vectors(bench.metrics, lambda: bench.index)
    bench.add("a", "noise", "broken")
    bench.work()

    def value(name: str, **labels: str) -> float:
        return bench.metrics.registry.get_sample_value(f"storyhash_{name}", labels) or 0.0

    assert value("segments_total", stage="ingest", outcome="done") == 2 * SEGMENTS
    assert value("segments_total", stage="embed", outcome="done") == SEGMENTS
    assert value("segments_total", stage="embed", outcome="failed") >= 1
    assert value("segments_total", stage="search", outcome="done") == SEGMENTS
    assert value("videos_total", stage="ingest", outcome="failed") == 1
    assert value("videos_total", stage="search", outcome="done") == 1
    assert value("videos_total", stage="search", outcome="failed") == 2
    assert value("freshness_seconds_count") == SEGMENTS
    assert value("index_vectors", state="live") == SEGMENTS
    assert value("stage_duration_seconds_count", stage="search") == 1
    assert value("stage_duration_seconds_count", stage="embed") >= 2


def test_a_full_disk_is_waited_for_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    full.set()
    store = bench.index.replace_video

    def replace_video(*arguments: object) -> None:
        if full.is_set():
            raise StorageError("the disk is full")
        store(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.index, "replace_video", replace_video)
    health = Health(bench.metrics, (), 60.0)
    worker = IndexWorker(
        bench.indexer(),
        bench.queue,
        bench.outcomes.append,
        health=health,
        metrics=bench.metrics,
        settings=ServiceSettings(retry_seconds=0.01, max_retry_seconds=0.02),
    )
    bench.add("a", "b")
    worker.start()
    try:
        wait_until(lambda: health.reasons() == {"indexing": "the disk is full"}, "the reason")
        assert bench.states() == dict.fromkeys("ab", ("pending", 0))
        full.clear()
        wait_until(lambda: bench.queue.idle, "the queue to be empty")
        wait_until(lambda: not health.reasons(), "readiness")
    finally:
        worker.stop()
        worker.join()
    assert worker.error is None
    assert bench.states() == dict.fromkeys("ab", ("ready", 1))
    assert sorted(one.item.entry.video_id for one in bench.outcomes) == ["a", "b"]


def test_what_follows_an_indexed_video_waits_for_the_state_database(bench: Bench) -> None:
    down = threading.Event()
    down.set()
    told: list[str] = []

    def on_indexed(outcome: VideoOutcome) -> None:
        if down.is_set():
            raise StateError("the database is down")
        told.append(outcome.item.entry.video_id)

    health = Health(bench.metrics, (), 60.0)
    worker = IndexWorker(
        bench.indexer(),
        bench.queue,
        on_indexed,
        health=health,
        metrics=bench.metrics,
        settings=ServiceSettings(retry_seconds=0.01, max_retry_seconds=0.02),
    )
    bench.add("a")
    worker.start()
    try:
        wait_until(lambda: health.reasons() == {"indexing": "the database is down"}, "the reason")
        down.clear()
        wait_until(lambda: told == ["a"], "the video to be told")
        wait_until(lambda: not health.reasons(), "readiness")
    finally:
        worker.stop()
        worker.join()
    assert worker.error is None


def test_what_follows_a_video_is_left_to_the_next_process_if_it_waits_at_the_stop(
    bench: Bench, tmp_path: Path
) -> None:
    record = WorkInProgress.open(tmp_path, "index")
    health = Health(bench.metrics, (), 60.0)
    worker = IndexWorker(
        bench.indexer(record),
        bench.queue,
        Mock(side_effect=StateError("the database is down")),
        health=health,
        metrics=bench.metrics,
        settings=ServiceSettings(retry_seconds=60.0, max_retry_seconds=60.0),
    )
    bench.add("a")
    worker.start()
    wait_until(lambda: health.reasons() == {"indexing": "the database is down"}, "the reason")
    worker.stop()
    worker.join()
    assert worker.error is None
    record.close()
    assert bench.states() == {"a": ("ready", 1)}
    with closing(WorkInProgress.open(tmp_path, "index")) as next_record:
        assert next_record.left() == ["a f"]


@pytest.fixture
def served(bench: Bench) -> ServedCatalogue:
    """The catalogue over the bench; 127.0.0.1 may be asked."""
    catalogue = ServedCatalogue(bench.metrics, IngestSettings(allowed_hosts=("127.0.0.1",)))
    answering = ServingIndex("", bench.index, None)  # type: ignore[arg-type]
    catalogue.open(OpenedWithQueue(answering, None, bench.queue))  # type: ignore[arg-type]
    return catalogue


FILM = "http://127.0.0.1/a.mp4"


def test_a_posted_video_is_done_once_however_often_it_is_posted(
    bench: Bench, served: ServedCatalogue
) -> None:
    entry = CatalogEntry("a", FILM)
    assert served.add_video(entry).state == "pending"
    assert served.add_video(entry).state == "pending"
    bench.work()
    assert served.add_video(entry).state == "ready"
    assert bench.queue.idle
    described = served.add_video(CatalogEntry("a", FILM, title="A film"))
    # Its description alone has changed: nothing is embedded again.
    assert (described.state, described.title, described.version) == ("ready", "A film", 2)
    assert bench.queue.idle
    assert bench.states() == {"a": ("ready", 2)}


def test_a_posted_video_that_failed_is_tried_again(bench: Bench, served: ServedCatalogue) -> None:
    entry = CatalogEntry("a", FILM)
    bench.pool.unreadable = {"a"}
    served.add_video(entry)
    bench.work()
    bench.pool.unreadable = set()
    again = served.add_video(entry)
    assert (again.state, again.error_message) == ("pending", "")
    bench.work()
    assert bench.states() == {"a": ("ready", 1)}


@pytest.mark.parametrize(
    ("entry", "error", "said"),
    [
        (CatalogEntry("a", "/etc/passwd"), UsageError, "expected an address"),
        (CatalogEntry("a", "x://../a.mp4"), UsageError, "expected an address"),
        (CatalogEntry("a", "file:///etc/passwd"), FetchError, "scheme"),
        (CatalogEntry("a", "http://169.254.169.254/a"), FetchError, "ALLOWED_HOSTS"),
        (CatalogEntry("a", f"http://{'a' * 70}.org/a"), FetchError, "ALLOWED_HOSTS"),
        (CatalogEntry("a\udcff", FILM), UsageError, "UTF-8"),
        (CatalogEntry("a", FILM, metadata={"n": float("nan")}), UsageError, "not finite"),
        (CatalogEntry("a", FILM, metadata={"n": 10**30}), UsageError, "metadata is not JSON"),
    ],
)
def test_what_may_not_be_read_or_kept_is_refused_before_it_is_noted(
    bench: Bench, served: ServedCatalogue, entry: CatalogEntry, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        served.add_video(entry)
    assert bench.states() == {}


def watch(bench: Bench, folder: Path, until: Callable[[], bool]) -> Health:
    """Watch a folder until so, with readiness as it was then."""
    health = Health(None, (), 60.0)
    watcher = Watcher(FolderWatch(folder, 0.0), bench.index.videos, bench.queue, health, 0.01)
    watcher.start()
    try:
        wait_until(until, "what is to be seen of the folder")
    finally:
        watcher.stop()
        watcher.join()
    assert watcher.error is None
    return health


def test_a_watched_video_that_was_deleted_comes_back_only_when_its_file_changes(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"a film")
    watch(bench, folder, lambda: "a.mp4" in bench.states())
    bench.work()
    assert bench.queue.delete("a.mp4")
    bench.reopen()
    (folder / "b.mp4").write_bytes(b"another film")
    # A look gives all there is, so one that gave b.mp4 gave a.mp4 with it.
    watch(bench, folder, lambda: "b.mp4" in bench.states())
    assert bench.states() == {"b.mp4": ("pending", 0)}
    (folder / "a.mp4").write_bytes(b"a new film of the same name")
    watch(bench, folder, lambda: "a.mp4" in bench.states())
    bench.work()
    assert bench.states() == {"a.mp4": ("ready", 2), "b.mp4": ("ready", 1)}


def test_what_is_indexed_already_is_not_queued_when_watching_begins(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"a film")
    watch(bench, folder, lambda: "a.mp4" in bench.states())
    bench.work()
    (folder / "b.mp4").write_bytes(b"another film")
    watch(bench, folder, lambda: "b.mp4" in bench.states())
    assert bench.states() == {"a.mp4": ("ready", 1), "b.mp4": ("pending", 0)}


def test_a_watched_video_of_another_bank_keeps_its_vectors(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(name.encode())
    watch(bench, folder, lambda: len(bench.states()) == 2)
    bench.work()
    before = bench.index.vectors_of("a.mp4").vectors
    row = bench.index.videos.get("b.mp4")
    assert row is not None
    # The vectors of one of them are lost.
    bench.index.replace_video(replace(row, version=2), [])
    with bench.index.changing:
        bench.index.videos.commit(replace(row, version=2))

    def banks() -> list[str]:
        rows = (bench.index.videos.get(name) for name in ("a.mp4", "b.mp4"))
        return [f"{one.bank} {one.state} {one.version}" for one in rows if one is not None]

    health = Health(None, (), 60.0)
    other = FolderWatch(folder, 0.0, "other")
    watcher = Watcher(other, bench.index.videos, bench.queue, health, 0.01)
    watcher.start()
    try:
        wait_until(lambda: banks() == ["other ready 2", "other pending 2"], "the other bank")
    finally:
        watcher.stop()
        watcher.join()
    assert np.array_equal(bench.index.vectors_of("a.mp4").vectors, before)
    bench.work()
    assert banks() == ["other ready 2", "other ready 3"]


def test_a_name_that_is_taken_is_passed_over_and_the_rest_goes_on(
    bench: Bench, tmp_path: Path
) -> None:
    folder, other = tmp_path / "films", tmp_path / "a.mp4"
    folder.mkdir()
    other.write_bytes(b"the first of that name")
    bench.queue.add([WorkItem(CatalogEntry("a.mp4", str(other)), 0, "", "f")])
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(b"another")
    watch(bench, folder, lambda: "b.mp4" in bench.states())
    row = bench.index.videos.get("a.mp4")
    assert row is not None
    assert row.uri == str(other)


def test_a_folder_that_is_gone_is_told_and_waited_for(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    health = Health(None, (), 60.0)
    watcher = Watcher(FolderWatch(folder, 0.0), bench.index.videos, bench.queue, health, 0.01)
    watcher.start()
    try:
        wait_until(lambda: "No such file" in health.reasons().get("watch", ""), "the reason")
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"a film")
        wait_until(lambda: "a.mp4" in bench.states() and not health.reasons(), "the film")
    finally:
        watcher.stop()
        watcher.join()


def test_one_thing_that_cannot_be_read_keeps_a_watched_folder_from_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "gone.mp4").symlink_to("nowhere")
    (folder / "caf\udce9.mp4").write_bytes(b"a film")
    (folder / "a.mp4").write_bytes(b"a film")
    health = watch(bench, folder, lambda: "a.mp4" in bench.states())
    assert health.reasons() == {}
    assert list(bench.states()) == ["a.mp4"]


def test_a_watched_library_that_moved_is_not_indexed_again(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.mp4").write_bytes(b"a film")
    watch(bench, tmp_path / "old", lambda: "a.mp4" in bench.states())
    bench.work()
    before = bench.index.videos.get("a.mp4")
    assert before is not None
    assert before.state == "ready"
    (tmp_path / "old").rename(tmp_path / "new")

    def uri() -> str:
        return bench.index.videos.uri_of("a.mp4")

    watch(bench, tmp_path / "new", lambda: uri() == str(tmp_path / "new" / "a.mp4"))
    after = bench.index.videos.get("a.mp4")
    assert after is not None
    assert (after.version, after.state) == (before.version, "ready")
    assert len(bench.queue) == 0


def test_an_edited_description_keeps_the_vectors_and_outlives_the_next_scan(
    bench: Bench, served: ServedCatalogue
) -> None:
    bench.add("a", title="of the file")
    bench.work()
    before = bench.index.vectors_of("a").vectors
    changes = {"bank": "shows", "metadata": {"year": 1}}
    edited = served.describe_video("a", changes)
    assert edited is not None
    assert (edited.state, edited.bank, edited.title) == ("ready", "shows", "of the file")
    after = bench.index.vectors_of("a")
    assert {ref.bank for ref in after.refs} == {"shows"}
    assert np.array_equal(before, after.vectors)
    assert served.describe_video("a", changes) == edited
    again = served.describe_video("a", {"title": "mine"})
    assert again is not None
    assert (again.bank, again.title, again.metadata) == ("shows", "mine", {"year": 1})

    def scanned(title: str) -> CatalogEntry:
        """The entry after a scan that finds this title beside the file."""
        return as_edited(CatalogEntry("a", "/a", title=title), again, bench.index.videos)

    assert is_described(again, scanned("of the file"))
    # A description that the source did not have before is news.
    assert not is_described(again, scanned("another"))
    served.delete_video("a")
    assert bench.index.videos.replaced_description("a") is None
    assert served.describe_video("a", {"title": "x"}) is None


def test_a_video_posted_while_it_is_described_has_the_posted_title(
    bench: Bench, served: ServedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.add_video(CatalogEntry("a", FILM))
    bench.work()
    next_version = bench.index.videos.next_version

    def describe() -> None:
        if bench.index.changing.acquire(blocking=False):
            served.describe_video("a", {"metadata": {"year": 1}})
            bench.index.changing.release()

    def half_way(video_id: str) -> int:
        monkeypatch.undo()
        other = threading.Thread(target=describe)
        other.start()
        other.join()
        return next_version(video_id)

    monkeypatch.setattr(bench.index.videos, "next_version", half_way)
    assert served.add_video(CatalogEntry("a", FILM, title="posted")).title == "posted"


def test_a_video_that_waits_or_failed_is_described_too(
    bench: Bench, served: ServedCatalogue
) -> None:
    bench.pool.unreadable.add("b")
    bench.add("b")
    bench.work()
    bench.add("a")
    for video_id, state in (("a", "pending"), ("b", "failed")):
        edited = served.describe_video(video_id, {"title": "mine"})
        assert edited is not None
        assert (edited.state, edited.title) == (state, "mine")
    with pytest.raises(UsageError, match="not finite"):
        served.describe_video("a", {"metadata": {"n": float("inf")}})
    bench.work()
    row = bench.index.videos.get("a")
    assert row is not None
    assert (row.state, row.title) == ("ready", "mine")


def test_a_new_description_from_the_source_ends_an_edit(
    bench: Bench, served: ServedCatalogue
) -> None:
    bench.add("a", title="first")
    bench.work()
    served.describe_video("a", {"title": "mine"})
    assert bench.index.videos.replaced_description("a") is not None
    bench.add("a", title="second")
    bench.work()
    row = bench.index.videos.get("a")
    assert row is not None
    assert row.title == "second"
    assert bench.index.videos.replaced_description("a") is None
