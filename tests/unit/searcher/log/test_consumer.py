"""The log into the index: in whatever order and however often events come, each video is searchable
whole, once, in its newest version, and never after its deletion."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import ModelMismatchError, StorageError, WireError
from common.messaging.events import Deletion, Event, MatchEvent, SegmentFailed, VideoEnd
from common.messaging.handler import Item
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.wire import Envelope, log_key, segment_key, video_key
from common.metrics import Metrics
from common.settings import SearcherSettings, Settings
from common.types import CatalogEntry, Embedding
from searcher.local_index import LocalIndex
from searcher.log.consumer import IndexHandler
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video

MANIFEST = FolderManifest("test", MODEL_ID)
SETTINGS = Settings(searcher=SearcherSettings(delta_rows=64))


def open_index(folder: Path) -> LocalIndex:
    return LocalIndex.open_writer(folder, MANIFEST, SETTINGS)


def handler_of(index: VideoIndex) -> IndexHandler:
    return IndexHandler(
        index,
        "log",
        batch_messages=100,
        match_new_videos=lambda: True,
        metrics=Metrics.create("search"),
    )


def item(event: Event) -> Item:
    return Item(Envelope(event), ReceivedMessage("log", 0, 0, b"", b""))


def end(video_id: str, segments: int, version: int = 1) -> VideoEnd:
    entry = CatalogEntry(video_id, f"/films/{video_id}", title=video_id.upper())
    return VideoEnd(entry, version, "complete", 4.0 * segments, segments)


def failed(video_id: str, version: int = 1) -> VideoEnd:
    return VideoEnd(
        CatalogEntry(video_id, "/x"), version, "failed", error_code="no_frames", error_message="no"
    )


def searchable(index: VideoIndex) -> dict[str, tuple[int, int]]:
    """(version, segments) of every video that a search can find."""
    found = {}
    for video_id, version in index.shard_versions().items():
        refs, _, _ = index.vectors_of(video_id)
        assert {ref.version for ref in refs} == {version}, "never half of two versions"
        assert len({ref.segment_id for ref in refs}) == len(refs), "never a segment twice"
        found[video_id] = (version, len(refs))
    return found


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LocalIndex]:
    with open_index(tmp_path / "data") as opened:
        yield opened


def feed(index: VideoIndex, *events: Event) -> list[Message]:
    return handler_of(index).process([item(event) for event in events])


def test_a_video_becomes_visible_at_once_when_its_last_segment_is_in(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4)
    feed(index, *parts[:2])
    feed(index, end("a", 4))
    assert searchable(index) == {}
    feed(index, parts[2])
    assert searchable(index) == {}
    feed(index, parts[3])
    assert searchable(index) == {"a": (1, 4)}
    row = index.videos.get("a")
    assert row is not None
    assert (row.state, row.segments, row.title) == ("ready", 4, "A")
    assert index.staging.waiting_videos() == 0
    assert [one[:2] for one in index.staging.unmatched()] == [("a", 1)]


def test_what_is_staged_survives_the_process(tmp_path: Path, rng: np.random.Generator) -> None:
    parts = video(rng, "a", 4)
    with open_index(tmp_path / "data") as first:
        feed(first, *parts[:3])
    with open_index(tmp_path / "data") as second:
        feed(second, parts[3], end("a", 4))
        assert searchable(second) == {"a": (1, 4)}


def test_a_newer_version_takes_the_place_of_the_older_and_the_log_forgets_it(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    old, new = video(rng, "a", 4, version=10), video(rng, "a", 3, version=20)
    feed(index, *old, end("a", 4, 10))
    gone = feed(index, *new, end("a", 3, 20))
    assert searchable(index) == {"a": (20, 3)}
    assert {message.key for message in gone} == {
        *(segment_key(one.ref) for one in old),
        video_key("a", 10),
    }
    assert all(message.value is None for message in gone)


def test_a_late_message_of_an_older_version_changes_nothing_and_is_forgotten(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *video(rng, "a", 2, version=20), end("a", 2, 20))
    late = video(rng, "a", 5, version=10)
    gone = feed(index, *late, end("a", 5, 10))
    assert searchable(index) == {"a": (20, 2)}
    assert len(gone) == 6


def test_a_deleted_video_never_returns_from_what_was_under_way(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4, version=10)
    feed(index, *parts[:2])
    feed(index, Deletion("a", 15))
    feed(index, *parts[2:], end("a", 4, 10))
    feed(index, *parts, end("a", 4, 10))
    assert searchable(index) == {}
    assert index.videos.get("a") is None
    # What is ingested after the deletion is another matter.
    feed(index, *video(rng, "a", 4, version=16), end("a", 4, 16))
    assert searchable(index) == {"a": (16, 4)}
    # And the old deletion, read again, does not touch it.
    feed(index, Deletion("a", 15))
    assert searchable(index) == {"a": (16, 4)}


def test_a_failed_segment_lets_its_video_be_whole_and_joins_when_replayed(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4)
    feed(index, *parts[:3], SegmentFailed(parts[3].ref, "unreadable"), end("a", 4))
    assert searchable(index) == {"a": (1, 3)}
    row = index.videos.get("a")
    assert row is not None
    assert row.to_json()["error"]["code"] == "segments_missing"
    feed(index, parts[3], parts[3], parts[0])
    assert searchable(index) == {"a": (1, 4)}
    row = index.videos.get("a")
    assert row is not None
    assert (row.segments, row.error_code) == (4, "")
    # It is there after a restart from the mirror, too.
    index.rebuild()
    assert searchable(index) == {"a": (1, 4)}


def test_a_video_that_failed_at_the_producer_is_told_and_its_older_version_stays(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *video(rng, "a", 2, version=1), end("a", 2, 1))
    newer = video(rng, "a", 4, version=2)
    feed(index, newer[0], failed("a", 2), failed("b", 2))
    feed(index, newer[1])
    assert searchable(index) == {"a": (1, 2)}
    rows = {row.video_id: (row.state, row.error_code) for row in index.videos.all()}
    assert rows == {"a": ("failed", "no_frames"), "b": ("failed", "no_frames")}


def test_another_models_vectors_and_events_out_of_place_are_refused(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    with pytest.raises(ModelMismatchError, match="another-0000"):
        feed(index, embedding("a", 0, unit_rows(rng, 1)[0], model_id="another-0000"))
    with pytest.raises(WireError, match="does not belong in the log"):
        feed(index, MatchEvent("a", 1, {}))


def test_uninformative_segments_count_but_are_never_found(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *video(rng, "a", 2), embedding("a", 2, None), end("a", 3))
    row = index.videos.get("a")
    assert row is not None
    assert (row.segments, row.uninformative_segments) == (3, 1)
    assert searchable(index) == {"a": (1, 2)}


def test_the_catalogue_is_made_anew_from_the_mirror_alone(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with open_index(tmp_path / "data") as index:
        for name in "abc":
            feed(index, *video(rng, name, 3), end(name, 3))
        feed(index, *video(rng, "b", 2, version=2), end("b", 2, 2))
        feed(index, Deletion("c", 5))
        before = [row.to_json() for row in index.videos.all()]
        queries = unit_rows(rng, 5)
        answers = index.search(queries, 5)
        index.save_snapshot()
    for name in ("videos.sqlite", "videos.sqlite-wal", "videos.sqlite-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    with open_index(tmp_path / "data") as index:
        assert any("rebuilt from the mirror: 2" in said for said in index.notices)
        assert [row.to_json() for row in index.videos.all()] == before
        assert index.search(queries, 5) == answers


def test_what_the_log_is_to_forget_is_told_it_also_by_the_process_after_the_one_that_died(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    old, new = video(rng, "a", 4, version=10), video(rng, "a", 3, version=20)
    keys = {*(segment_key(one.ref) for one in old), video_key("a", 10)}
    with open_index(tmp_path / "data") as index:
        feed(index, *old, end("a", 4, 10))
        # It died before these were published, so it reads the same again.
        assert keys_of(feed(index, *new, end("a", 3, 20))) == keys
    with open_index(tmp_path / "data") as index:
        assert keys_of(feed(index, *new, end("a", 3, 20))) == keys
        index.staging.told_to_forget()
        assert feed(index, *new, end("a", 3, 20)) == []
        assert keys_of(feed(index, Deletion("a", 25))) == {
            *(segment_key(one.ref) for one in new),
            video_key("a", 20),
        }


def test_the_log_forgets_all_of_a_version_though_its_replacement_was_cut_short(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = video(rng, "a", 4, version=10), video(rng, "a", 3, version=20)
    with open_index(tmp_path / "data") as index:
        feed(index, *old, end("a", 4, 10))
        monkeypatch.setattr(VideoStore, "commit", dies)
        with pytest.raises(Killed):
            feed(index, *new, end("a", 3, 20))
        monkeypatch.undo()
    with open_index(tmp_path / "data") as index:
        gone = feed(index, *new, end("a", 3, 20))
        assert searchable(index) == {"a": (20, 3)}
        assert keys_of(gone) == {*(segment_key(one.ref) for one in old), video_key("a", 10)}


@pytest.mark.parametrize("settled_by", ["a deletion", "a newer version"])
def test_the_log_forgets_what_came_of_a_version_that_never_became_whole(
    index: LocalIndex, rng: np.random.Generator, settled_by: str
) -> None:
    parts = video(rng, "a", 3, version=10)
    lacking = SegmentFailed(parts[2].ref, "unreadable")
    feed(index, *parts[:1], lacking)
    feed(index, end("a", 3, 10))
    newer = [*video(rng, "a", 2, version=20), end("a", 2, 20)]
    gone = feed(index, *(newer if settled_by == "a newer version" else [Deletion("a", 15)]))
    assert keys_of(gone) == {log_key(event) for event in (parts[0], lacking, end("a", 3, 10))}


def keys_of(tombstones: list[Message]) -> set[bytes]:
    assert all(one.value is None for one in tombstones)
    return {one.key for one in tombstones}


@pytest.mark.parametrize("late", range(3))
def test_a_segment_that_came_late_is_in_the_catalogue_made_from_the_mirror(
    tmp_path: Path, rng: np.random.Generator, late: int
) -> None:
    parts = video(rng, "a", 3)
    rest = [one for one in parts if one is not parts[late]]
    with open_index(tmp_path / "data") as index:
        feed(index, *rest, SegmentFailed(parts[late].ref, "unreadable"), end("a", 3))
        feed(index, parts[late])
    lose_catalogue(tmp_path / "data")
    with open_index(tmp_path / "data") as index:
        assert searchable(index) == {"a": (1, 3)}


def test_a_missing_segment_joins_though_the_catalogue_was_lost_meanwhile(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4)
    log: list[Event] = [
        *parts[:2],
        *(SegmentFailed(one.ref, "unreadable") for one in parts[2:]),
        end("a", 4),
    ]
    with open_index(tmp_path / "data") as index:
        feed(index, *log)
    lose_catalogue(tmp_path / "data")
    with open_index(tmp_path / "data") as index:
        feed(index, *log)
        assert searchable(index) == {"a": (1, 2)}
        feed(index, parts[2])
        row = index.videos.get("a")
        assert row is not None
        assert row.error_message.startswith("1 of 4 segments")
        feed(index, parts[3], parts[3])
        assert searchable(index) == {"a": (1, 4)}
        row = index.videos.get("a")
        assert row is not None
        assert (row.segments, row.error_code) == (4, "")


def test_missing_segments_join_though_the_log_tells_no_more_that_they_are_missing(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4)
    with open_index(tmp_path / "data") as index:
        lacking = (SegmentFailed(one.ref, "unreadable") for one in parts[2:])
        feed(index, *parts[:2], *lacking, end("a", 4))
    lose_catalogue(tmp_path / "data")
    with open_index(tmp_path / "data") as index:
        feed(index, parts[2])
        feed(index, parts[3], parts[0])
        assert searchable(index) == {"a": (1, 4)}


def test_a_video_whose_first_batch_was_cut_short_is_announced_when_it_is_done_again(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = [*video(rng, "a", 3), end("a", 3)]
    with open_index(tmp_path / "data") as index:
        monkeypatch.setattr(VideoStore, "commit", dies)
        with pytest.raises(Killed):
            feed(index, *events)
        monkeypatch.undo()
    with open_index(tmp_path / "data") as index:
        assert searchable(index) == {}
        feed(index, *events)
        assert searchable(index) == {"a": (1, 3)}
        assert [one[:2] for one in index.staging.unmatched()] == [("a", 1)]


def test_a_catalogue_half_made_from_the_mirror_is_made_anew_again(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_index(tmp_path / "data") as index:
        for name in "abc":
            feed(index, *video(rng, name, 2), end(name, 2))
    lose_catalogue(tmp_path / "data")
    real, left = VideoStore.commit, [2]

    def dies_at_the_second(store: VideoStore, row: Video) -> None:
        left[0] -= 1
        real(store, row) if left[0] else dies()

    monkeypatch.setattr(VideoStore, "commit", dies_at_the_second)
    with pytest.raises(Killed):
        open_index(tmp_path / "data")
    monkeypatch.undo()
    with open_index(tmp_path / "data") as index:
        assert searchable(index) == dict.fromkeys("abc", (1, 2))


def test_an_index_that_could_not_be_opened_can_be_opened_again(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_index(tmp_path / "data") as index:
        feed(index, *video(rng, "a", 2), end("a", 2), Deletion("a", 5))
        assert index.videos.unpurged()

    def refuses(*_: object, **__: object) -> None:
        raise StorageError("no room")

    monkeypatch.setattr("searcher.storage.saved_shard.save_snapshot", refuses)
    with pytest.raises(StorageError, match="no room") as first:
        open_index(tmp_path / "data")
    # Whoever waits for the disk may still have the reason why in hand.
    assert first.value is not None
    monkeypatch.undo()
    with open_index(tmp_path / "data") as index:
        assert not index.videos.unpurged()


class Killed(BaseException):
    """The process ends here."""


def dies(*_: object) -> None:
    raise Killed


def lose_catalogue(data: Path) -> None:
    """Leave the mirror alone."""
    for name in ("videos.sqlite", "videos.sqlite-wal", "videos.sqlite-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.rmtree(data / "snapshots", ignore_errors=True)


class History:
    """Batches of events of some videos in any order, some twice; and what must be searchable."""

    def __init__(self, batches: list[list[Event]], expected: dict[str, tuple[int, int]]) -> None:
        self.batches = batches
        self.expected = expected

    def __repr__(self) -> str:
        told = [[_told(event) for event in batch] for batch in self.batches]
        return f"{told} must give {self.expected}"


def _told(event: Event) -> str:
    if isinstance(event, Embedding):
        return f"{event.ref.segment_id}#{event.ref.version}"
    return f"{getattr(event, 'outcome', 'deleted')} {event}"[:60]


@st.composite
def histories(draw: st.DrawFn) -> History:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    events: list[Event] = []
    expected = {}
    for video_id in ("a", "b", "c"):
        deleted = draw(st.integers(0, 4))
        if deleted:
            events.append(Deletion(video_id, deleted))
        best = None
        for version in sorted(draw(st.sets(st.integers(1, 5), max_size=3))):
            count = draw(st.integers(1, 3))
            parts: list[Embedding] = video(rng, video_id, count, version=version)
            state = draw(st.sampled_from(["whole", "whole", "part", "unended", "failed"]))
            events += parts[: count - 1] if state == "part" else parts
            if state == "failed":
                events.append(failed(video_id, version))
            elif state != "unended":
                events.append(end(video_id, count, version))
            if state == "whole" and version > deleted:
                best = (version, count)
        if best is not None:
            expected[video_id] = best
    doubled = [one for one in events if draw(st.booleans())]
    shuffled = list(events) + doubled
    random.Random(draw(st.integers(0, 1000))).shuffle(shuffled)
    size = draw(st.integers(1, 6))
    batches = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    return History(batches, expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_order_and_repetition_decide_nothing(history: History) -> None:
    with tempfile.TemporaryDirectory() as scratch, open_index(Path(scratch) / "data") as index:
        gone = {key for batch in history.batches for key in keys_of(feed(index, *batch))}
        events = {log_key(event): event for batch in history.batches for event in batch}
        for key in gone:
            event = events[key]
            part_of = event.ref if isinstance(event, Embedding) else event
            named = (part_of.video_id, part_of.version)  # type: ignore[union-attr]
            assert history.expected.get(named[0], (0, 0))[0] != named[1], (
                "the log keeps what is live"
            )
        assert searchable(index) == history.expected
        ready = {row.video_id: row.version for row in index.videos.all() if row.segments}
        assert ready == {video_id: version for video_id, (version, _) in history.expected.items()}
        index.rebuild()
        assert searchable(index) == history.expected
