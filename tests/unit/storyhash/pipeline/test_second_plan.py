"""The second index follows the first one, whatever changed there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import VideoError
from searcher.local_index import LocalIndex
from searcher.storage.video import Video
from storyhash.pipeline.second_plan import bring_in_step, is_wanted, plan_second
from storyhash.second_index import behind, covered_by
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row

OTHER = replace(MANIFEST, profile="other")


@pytest.fixture
def first(tmp_path: Path) -> Iterator[LocalIndex]:
    with LocalIndex.open_writer(tmp_path / "first", MANIFEST, SETTINGS) as index:
        yield index


@pytest.fixture
def second(tmp_path: Path) -> Iterator[LocalIndex]:
    with LocalIndex.open_writer(tmp_path / "second", OTHER, SETTINGS) as index:
        yield index


def add(
    index: LocalIndex,
    name: str,
    version: int = 1,
    *,
    fingerprint: str = "1-10-7",
    bank: str = "default",
    **changes: str,
) -> Video:
    described = replace(row(name, version), fingerprint=fingerprint, bank=bank)
    if changes:
        described = replace(described, **changes)  # type: ignore[arg-type]
    points = video(np.random.default_rng(3), name, 2, version=version, bank=bank)
    index.replace_video(described, points)
    return described


def test_new_changed_and_unfinished_videos_are_indexed(
    first: LocalIndex, second: LocalIndex
) -> None:
    for name in ("new", "changed", "same", "unfinished"):
        add(first, name, fingerprint="1-10-8")
    add(second, "changed")
    add(second, "same", fingerprint="1-10-8;content=ab")
    second.videos.begin(row("unfinished", 0))
    plan = plan_second(first.videos, second.videos)
    assert {item.entry.video_id: item.version for item in plan.work} == {
        "new": 1,
        "changed": 2,
        "unfinished": 1,
    }
    assert all(item.fingerprint == "1-10-8" for item in plan.work)
    assert (plan.unchanged, plan.removed, plan.relabelled, plan.moved) == (1, [], [], [])
    assert "2 of 4" in behind(first, second)


def test_deleted_moved_and_relabelled_videos_need_no_model(
    first: LocalIndex, second: LocalIndex
) -> None:
    add(first, "moved", uri="/new/place")
    add(first, "relabelled", bank="news", title="A title")
    for name in ("moved", "relabelled", "gone"):
        add(second, name)
    plan = plan_second(first.videos, second.videos)
    assert plan.work == []
    bring_in_step(plan, second)
    assert plan.work == []
    assert second.videos.get("gone") is None
    assert second.vectors_of("gone").refs == []
    found = {video.video_id: video for video in second.videos.all()}
    assert found["moved"].uri == "/new/place"
    assert (found["relabelled"].bank, found["relabelled"].title) == ("news", "A title")
    assert {ref.bank for ref in second.vectors_of("relabelled").refs} == {"news"}
    again = plan_second(first.videos, second.videos)
    assert (again.unchanged, again.work, again.removed) == (2, [], [])


def test_a_video_that_failed_is_tried_again_only_if_the_error_may_be_gone(
    first: LocalIndex, second: LocalIndex
) -> None:
    for name in ("broken", "slow"):
        described = add(first, name)
        error = VideoError("it cannot be read")
        error.code = "unreadable" if name == "broken" else "timeout"
        second.mark_failed(replace(described, version=0), error)
    plan = plan_second(first.videos, second.videos)
    assert [item.entry.video_id for item in plan.work] == ["slow"]
    assert [video.video_id for video in plan.refused] == ["broken"]
    assert plan_second(first.videos, second.videos, retry_failed=False).work == []


def test_a_video_that_is_being_indexed_in_the_first_one_is_left_alone(
    first: LocalIndex, second: LocalIndex
) -> None:
    add(first, "film")
    add(second, "film")
    first.videos.begin(replace(row("film", 2), fingerprint="1-99-9"))
    plan = plan_second(first.videos, second.videos)
    assert (plan.work, plan.removed, plan.unchanged) == ([], [], 0)


def test_a_video_that_failed_in_the_first_one_is_not_in_the_second_one(
    first: LocalIndex, second: LocalIndex
) -> None:
    first.mark_failed(row("film", 0), VideoError("it cannot be read"))
    add(second, "film")
    assert plan_second(first.videos, second.videos).removed == ["film"]


def test_work_is_dropped_when_the_first_catalogue_changes(
    first: LocalIndex, second: LocalIndex
) -> None:
    add(first, "film")
    (item,) = plan_second(first.videos, second.videos).work
    assert is_wanted(item, first.videos, second.videos)
    add(first, "film", 2, bank="news")
    assert not is_wanted(item, first.videos, second.videos)
    first.delete_videos(["film"])
    assert not is_wanted(item, first.videos, second.videos)


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"fingerprint": "1-10-7;content=ab"}, True),
        ({"fingerprint": "1-10-8"}, False),
        ({"bank": "news"}, False),
    ],
)
def test_only_the_same_file_in_the_same_bank_is_answered_from(
    first: LocalIndex, second: LocalIndex, changes: dict[str, str], *, covered: bool
) -> None:
    add(first, "film")
    add(second, "film", 1, **changes)
    covers = covered_by(first.videos, second.videos)
    assert covers("film", "default") is covered
    assert not covers("missing", "default")
    first.delete_videos(["film"])
    assert not covers("film", "default")
