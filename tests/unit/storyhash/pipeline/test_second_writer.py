"""Both indexes get a video from one decode. Whatever ends the process in between, `plan_second` finds
what the second one lacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import StorageError, VideoError
from common.metrics import Metrics
from common.types import CatalogEntry, Segment
from common.work_in_progress import FOLDER, WorkInProgress
from searcher.local_index import LocalIndex
from storyhash.pipeline import segment_embedding
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.pipeline.paired_stage import EmbeddedSegment
from storyhash.pipeline.second_plan import bring_in_step, is_wanted, plan_second
from storyhash.pipeline.second_writer import SecondWriter
from tests.support.index_writer import MANIFEST, SETTINGS
from tests.support.made_up_indexing import SEGMENTS, MadeUpPool, MadeUpStage

OTHER = replace(MANIFEST, profile="other")


class Killed(BaseException):
    """Ends a run at once, as a kill does: nothing is written after it."""


class MadeUpPair:
    """In the place of PairedStage: made-up stages open no clips."""

    segments_at_once = 2

    def __init__(self, stage: MadeUpStage, second: MadeUpStage) -> None:
        self._stage, self._second = stage, second

    def process(self, segments: Sequence[Segment]) -> list[EmbeddedSegment]:
        others = [
            None if one.ref.video_id in self._second.refused else self._second.process([one])[0]
            for one in segments
        ]
        return list(map(EmbeddedSegment, self._stage.process(segments), others))


class Both:
    """Two indexes, and an indexer for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool, self.stage, self.second_stage = MadeUpPool(), MadeUpStage(), MadeUpStage()
        self.outcomes: list[VideoOutcome] = []
        self.again: list[str] = []
        self.open()

    def open(self) -> None:
        self.first = LocalIndex.open_writer(self.folder / "first", MANIFEST, SETTINGS)
        self.second = LocalIndex.open_writer(self.folder / "second", OTHER, SETTINGS)

    def reopen(self) -> None:
        """As after a kill: nothing but what is durable is left."""
        self.close()
        self.open()

    def close(self) -> None:
        self.first.close()
        self.second.close()

    def add(self, *names: str, bank: str = "default", file: str = "1-10-7") -> None:
        """Index these, as `storyhash index --second-opinion` does."""
        work = [
            WorkItem(
                CatalogEntry(name, f"/{name}", bank), self.first.videos.next_version(name), "", file
            )
            for name in names
        ]
        with closing(WorkInProgress.open(self.folder, "index")) as in_progress:
            writer = SecondWriter(self.first.videos, self.second, self.second_stage)  # type: ignore[arg-type]
            indexer = Indexer(
                *(self.first, self.stage, self.pool, Metrics.create("index"), in_progress),  # type: ignore[arg-type]
                second=writer,
            )
            indexer.run(work, self.outcomes.append)

    def follow(self) -> None:
        """What `index` and `serve` do afterwards: what the second index lacks is indexed alone."""
        plan = plan_second(self.first.videos, self.second.videos)
        bring_in_step(plan, self.second)
        self.again = [item.entry.video_id for item in plan.work]
        indexer = Indexer(self.second, self.second_stage, self.pool, Metrics.create("index"))  # type: ignore[arg-type]
        indexer.run(plan.work, lambda _: None)

    def assert_in_step(self) -> None:
        rows = {one.video_id: one for one in self.second.videos.all()}
        assert rows.keys() == {one.video_id for one in self.first.videos.all() if one.version}
        for video in self.first.videos.all():
            if video.state == "ready":
                other = rows[video.video_id]
                assert (other.state, other.description) == ("ready", video.description)
                assert (other.fingerprint, other.segments) == (video.fingerprint, SEGMENTS)
                refs = self.second.vectors_of(video.video_id).refs
                assert [(ref.bank, ref.version) for ref in refs] == [
                    (video.bank, other.version)
                ] * SEGMENTS


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setattr(segment_embedding, "PairedStage", MadeUpPair)
    made = Both(tmp_path)
    yield made
    made.close()


def test_new_and_changed_videos_are_in_both_after_one_decode(both: Both) -> None:
    both.add("a", "b")
    both.assert_in_step()
    both.add("a", file="1-11-8", bank="news")
    both.assert_in_step()
    assert both.second.videos.get("a").version == 2  # type: ignore[union-attr]
    assert [one.second is not None for one in both.outcomes] == [True] * 3
    both.follow()
    assert both.again == []


def test_a_video_that_fails_is_in_neither_and_its_older_version_stays_in_both(both: Both) -> None:
    both.add("old")
    both.pool.unreadable = {"old", "new"}
    both.add("old", "new", file="1-11-8")
    assert [one.second for one in both.outcomes[1:]] == [None, None]
    both.follow()
    assert both.again == []
    assert both.second.videos.get("new") is None
    assert len(both.second.vectors_of("old").refs) == SEGMENTS


def test_what_the_second_profile_alone_cannot_embed_fails_there_alone(both: Both) -> None:
    both.second_stage.refused = {"odd": VideoError("it is odd")}
    both.add("a", "odd")
    assert {one.video_id for one in both.second.videos.all()} == {"a"}
    both.follow()
    assert both.again == ["odd"]
    row = both.second.videos.get("odd")
    assert row is not None
    assert (row.state, row.error_message) == ("failed", "it is odd")
    assert both.first.videos.get("odd").state == "ready"  # type: ignore[union-attr]


def test_a_full_disk_of_the_second_index_is_no_error_of_the_first(
    both: Both, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(both.second, "replace_video", full)
        both.add("a")
    assert both.first.videos.get("a").state == "ready"  # type: ignore[union-attr]
    assert "the disk is full" in caplog.text
    both.follow()
    assert both.again == ["a"]
    both.assert_in_step()


def test_a_video_deleted_before_the_second_index_has_it_does_not_come_there(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = SecondWriter.write

    def deleted_before(writer: SecondWriter, video_id: str, *more: Any) -> VideoOutcome | None:
        both.first.delete_videos([video_id])
        return write(writer, video_id, *more)

    monkeypatch.setattr(SecondWriter, "write", deleted_before)
    both.add("a")
    assert both.outcomes[0].second is None
    assert both.second.videos.get("a") is None


def test_the_follower_leaves_out_what_has_been_written_meanwhile(both: Both) -> None:
    both.add("a")
    (row,) = both.first.videos.all()
    item = WorkItem(CatalogEntry("a", "/a"), 1, "", row.fingerprint)
    assert not is_wanted(item, both.first.videos, both.second.videos)
    both.second.delete_videos(["a"])
    assert is_wanted(item, both.first.videos, both.second.videos)


def test_a_video_that_crashed_the_process_is_indexed_for_the_first_profile_alone(
    both: Both,
) -> None:
    note = both.folder / FOLDER / "index-0.json"
    note.parent.mkdir()
    left = {"in_hand": ["a 1-10-7", "b 1-10-7"], "crashes": {}, "set_aside": []}
    note.write_text(json.dumps(left))
    both.add("a", "b", "c")
    assert {one.item.entry.video_id: one.second is not None for one in both.outcomes} == {
        "a": False,
        "b": False,
        "c": True,
    }
    both.follow()
    assert both.again == ["a", "b"]
    both.assert_in_step()


STEPS: dict[str, Callable[[LocalIndex], tuple[object, str]]] = {
    "pending": lambda index: (index.videos, "begin"),
    "rows": lambda index: (index.videos, "commit"),
    "shard": lambda index: (index.shard, "replace_videos"),
}


@pytest.mark.parametrize("where", ["first", "second"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("video", ["new", "old"])
def test_a_kill_at_any_step_of_either_index_is_made_up_for(
    both: Both, monkeypatch: pytest.MonkeyPatch, where: str, step: str, video: str, *, after: bool
) -> None:
    both.add("old", "other")
    target, name = STEPS[step](getattr(both, where))
    call = getattr(target, name)

    def killed(*arguments: Any) -> None:
        if after:
            call(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, name, killed)
        with pytest.raises(Killed):
            both.add(video, file="1-11-8", bank="news")
    both.reopen()
    both.pool.decoded.clear()
    row = both.first.videos.get(video)
    if row is None or row.state != "ready" or row.fingerprint != "1-11-8":
        both.add(video, file="1-11-8", bank="news")
        assert both.pool.decoded == [video]
    both.follow()
    both.assert_in_step()
    both.follow()
    assert both.again == []
