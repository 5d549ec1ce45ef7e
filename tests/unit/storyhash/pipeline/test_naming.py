"""The same name on two drives is two videos; a library that moved is the same videos elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import VideoError
from ingest.catalogue import list_catalog
from ingest.fingerprint import source_fingerprint
from searcher.storage.database import Database
from searcher.storage.video_store import VideoStore
from storyhash.pipeline.index_plan import IndexPlan, note_moves, plan_work


class Library:
    """A catalogue that indexes whatever a plan tells it to."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "catalogue.sqlite")
        self.videos = VideoStore(self.database)

    def index(self, *paths: Path) -> IndexPlan:
        plan = self.plan(*paths)
        note_moves(plan.moved, self.videos)
        for item in plan.work:
            self.videos.commit(replace(item.row(4.0), state="ready"))
        return plan

    def plan(self, *paths: Path) -> IndexPlan:
        return plan_work(list_catalog([str(path) for path in paths]), self.videos)

    def rows(self) -> dict[str, str]:
        return {video.video_id: video.uri for video in self.videos.all()}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path / "data")
    yield made
    made.database.close()


def film(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content * 1000)
    return path


def ids(plan: IndexPlan) -> list[str]:
    return [item.entry.video_id for item in plan.work]


def nothing_to_do(plan: IndexPlan) -> bool:
    return not (plan.work or plan.moved or plan.failed or plan.refused or plan.removed)


def test_the_same_name_on_two_drives_is_two_videos_in_every_order(
    library: Library, tmp_path: Path
) -> None:
    one = film(tmp_path / "disk1" / "a.mp4", "one")
    two = film(tmp_path / "disk2" / "a.mp4", "two")
    assert ids(library.index(tmp_path / "disk1")) == ["a.mp4"]
    second = library.index(tmp_path / "disk2")
    assert ids(second) == ["disk2/a.mp4"]
    (renamed,) = second.renamed
    assert (renamed.taken_id, renamed.taken_by) == ("a.mp4", str(one))
    assert library.rows() == {"a.mp4": str(one), "disk2/a.mp4": str(two)}
    for roots in (["disk1"], ["disk2"], ["disk1", "disk2"], ["disk2", "disk1"]):
        again = library.index(*(tmp_path / root for root in roots))
        assert nothing_to_do(again), roots
        assert again.unchanged == len(roots)


def test_a_video_whose_path_cannot_be_looked_at_keeps_its_id(
    library: Library, tmp_path: Path
) -> None:
    film(tmp_path / "disk1" / "a.mp4", "one")
    film(tmp_path / "disk2" / "a.mp4", "two")
    library.index(tmp_path / "disk1")
    (row,) = library.videos.all()
    # The system refuses such a name, as it refuses a path in a folder of somebody else.
    library.videos.commit(replace(row, uri=f"/{'x' * 300}/a.mp4"))
    assert ids(library.plan(tmp_path / "disk2")) == ["disk2/a.mp4"]


def test_a_drive_that_is_not_mounted_now_is_not_replaced(library: Library, tmp_path: Path) -> None:
    film(tmp_path / "disk1" / "a.mp4", "one")
    library.index(tmp_path / "disk1")
    (tmp_path / "disk1").rename(tmp_path / "unplugged")
    film(tmp_path / "disk2" / "a.mp4", "two")
    library.index(tmp_path / "disk2")
    (tmp_path / "unplugged").rename(tmp_path / "disk1")
    assert sorted(library.rows()) == ["a.mp4", "disk2/a.mp4"]
    assert nothing_to_do(library.index(tmp_path / "disk1"))


def test_two_drives_in_one_run_are_told_apart(library: Library, tmp_path: Path) -> None:
    film(tmp_path / "disk1" / "films" / "a.mp4", "one")
    film(tmp_path / "disk2" / "films" / "a.mp4", "two")
    film(tmp_path / "disk3" / "films" / "a.mp4", "three")
    roots = [tmp_path / disk / "films" for disk in ("disk1", "disk2", "disk3")]
    assert ids(library.index(*roots)) == ["a.mp4", "films/a.mp4", "disk3/films/a.mp4"]
    for order in (roots, roots[::-1]):
        assert nothing_to_do(library.index(*order))


def test_a_library_that_moved_is_noted_and_nothing_is_embedded_again(
    library: Library, tmp_path: Path
) -> None:
    film(tmp_path / "old" / "a.mp4", "one")
    film(tmp_path / "old" / "b" / "c.mp4", "two")
    library.index(tmp_path / "old")
    # As `cp` does it, with new times.
    shutil.copytree(tmp_path / "old", tmp_path / "new", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "old")
    plan = library.index(tmp_path / "new")
    assert (plan.work, plan.failed) == ([], [])
    assert [one.video_id for one in plan.moved] == ["a.mp4", "b/c.mp4"]
    assert library.rows()["b/c.mp4"] == str(tmp_path / "new" / "b" / "c.mp4")
    assert nothing_to_do(library.index(tmp_path / "new"))


def test_rows_of_an_older_version_are_known_by_size_and_time(
    library: Library, tmp_path: Path
) -> None:
    old = film(tmp_path / "old" / "a.mp4", "one")
    library.index(tmp_path / "old")
    library.videos.move("a.mp4", str(old), str(old.parent), source_fingerprint(str(old)))
    assert library.index(tmp_path / "old").unchanged == 1
    (tmp_path / "old").rename(tmp_path / "new")
    plan = library.index(tmp_path / "new")
    assert ([one.video_id for one in plan.moved], plan.work) == (["a.mp4"], [])


def test_a_copy_beside_the_original_is_the_same_video(library: Library, tmp_path: Path) -> None:
    one = film(tmp_path / "disk1" / "a.mp4", "one")
    film(tmp_path / "disk2" / "a.mp4", "one")
    both = list_catalog([str(tmp_path / "disk1"), str(tmp_path / "disk2")])
    assert ids(plan_work(both, library.videos)) == ["a.mp4"]
    assert both.passed_over.counts.total() == 1
    library.index(tmp_path / "disk1")
    plan = library.index(tmp_path / "disk2")
    assert (plan.unchanged, plan.work, plan.moved) == (1, [], [])
    assert library.rows() == {"a.mp4": str(one)}


def test_single_files_of_one_name_are_two_videos_too(library: Library, tmp_path: Path) -> None:
    one = film(tmp_path / "x" / "a.mp4", "one")
    two = film(tmp_path / "y" / "a.mp4", "two")
    assert ids(library.index(one, two)) == ["a.mp4", "y/a.mp4"]
    assert nothing_to_do(library.index(two))


def test_an_id_that_was_chosen_stays_with_its_video_or_is_refused(
    library: Library, tmp_path: Path
) -> None:
    film(tmp_path / "a.mp4", "one")
    film(tmp_path / "b.mp4", "two")
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("video_id,uri\nmine,a.mp4\nother,b.mp4\n")
    second.write_text("video_id,uri\nmine,b.mp4\nnew,b.mp4\n")
    library.index(first)
    plan = library.index(second)
    assert ids(plan) == ["new"]
    assert [(one.video_id, one.code) for one in plan.failed] == [("mine", "name_taken")]
    # The same manifest may say that it is another file from now on.
    first.write_text("video_id,uri\nmine,b.mp4\n")
    plan = library.index(first)
    assert (ids(plan), plan.removed) == (["mine"], ["other"])


def test_a_film_that_changed_is_indexed_again_and_one_that_failed_is_not(
    library: Library, tmp_path: Path
) -> None:
    path = film(tmp_path / "films" / "a.mp4", "one")
    library.index(tmp_path / "films")
    film(path, "changed")
    assert ids(library.index(tmp_path / "films")) == ["a.mp4"]
    film(path, "broken")
    (item,) = library.plan(tmp_path / "films").work
    library.videos.fail(item.row(), VideoError.code, "no frame of it")
    plan = library.plan(tmp_path / "films")
    assert ([video.video_id for video in plan.refused], plan.work) == (["a.mp4"], [])


def test_what_lies_in_a_folder_that_cannot_be_read_is_not_removed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "films" / "x" / "a.mp4", "one")
    film(tmp_path / "films" / "y" / "b.mp4", "two")
    gone = film(tmp_path / "films" / "c.mp4", "three")
    library.index(tmp_path / "films")
    gone.unlink()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/x"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = library.plan(tmp_path / "films")
    assert plan.removed == ["c.mp4"]
    assert [one.video_id for one in plan.failed] == ["x"]


def test_a_plan_reads_no_content_where_no_name_is_taken(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        film(tmp_path / "films" / f"{number}.mp4", str(number))
    monkeypatch.setattr("ingest.fingerprint._add_pieces", lambda *_: pytest.fail("it was read"))
    assert len(library.plan(tmp_path / "films").work) == 50
