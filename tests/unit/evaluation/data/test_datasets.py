"""What is evaluated on: folders and DAVIS, families, and how they are divided."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import cv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from evaluation.data.datasets import (
    DatasetVideo,
    folds,
    halves,
    read_dataset,
    read_davis,
    read_lookalikes,
)
from tests.conftest import quadrants


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files that are named as videos; none is opened."""
    for name in ("clips/a.mp4", "clips/b.mp4", "clips/c.mp4", "long/d.webm", "odd/e.mp4"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "films"


def manifest(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ROWS = (
    "name,file,kind,posgroup,hardneg",
    "a,clips/a.mp4,clip,dog,pets",
    "b,clips/b.mp4,clip,dog,",
    "c,clips/c.mp4,clip,,pets",
    "e,odd/e.mp4,odd,,",
)


def test_without_a_manifest_every_video_is_its_own_family(folder: Path) -> None:
    videos = read_dataset(folder)
    names = ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4", "long/d.webm", "odd/e.mp4"]
    assert [video.video_id for video in videos] == [video.family for video in videos] == names
    assert videos[0].uri == str(folder / "clips" / "a.mp4")
    assert {video.lookalike_group for video in videos} == {""}


def test_a_manifest_says_who_is_a_copy_who_looks_alike_and_what_is_left_out(folder: Path) -> None:
    videos = read_dataset(folder, manifest(folder / "manifest.csv", *ROWS))
    assert [(video.video_id, video.family, video.lookalike_group) for video in videos] == [
        ("clips/a.mp4", "dog", "pets"),
        ("clips/b.mp4", "dog", ""),
        ("clips/c.mp4", "clips/c.mp4", "pets"),
        ("long/d.webm", "long/d.webm", ""),
    ]


def test_files_are_relative_to_the_manifest_or_to_the_folder(folder: Path, tmp_path: Path) -> None:
    beside = manifest(folder / "manifest.csv", *ROWS)
    elsewhere = manifest(tmp_path / "families.csv", *ROWS)
    part = read_dataset(folder / "clips", beside)
    assert [(video.video_id, video.family) for video in part] == [
        ("a.mp4", "dog"), ("b.mp4", "dog"), ("c.mp4", "c.mp4")
    ]  # fmt: skip
    assert read_dataset(folder, elsewhere) == read_dataset(folder, beside)


def test_kind_and_hardneg_may_be_missing(folder: Path) -> None:
    videos = read_dataset(folder, manifest(folder / "m.csv", "file,posgroup", "clips/a.mp4,x"))
    assert (videos[0].family, videos[0].lookalike_group) == ("x", "")
    assert len(videos) == 5


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("name,file", "a,clips/a.mp4"), "lacks posgroup"),
        (("",), "lacks file, posgroup"),
        (("file,posgroup",), "no rows"),
        (("file,posgroup", "a.avi,x"), "names no video of"),
        (("file,posgroup", "clips/a.mp4,x", "clips/a.mp4,y"), "line 3: lists clips/a.mp4 twice"),
        (("file,posgroup", ",x"), "line 2: names no file"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    folder: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_dataset(folder, manifest(folder / "m.csv", *lines))


def test_each_of_a_folder_of_look_alikes_is_a_family_and_looks_like_the_others(
    folder: Path, tmp_path: Path
) -> None:
    videos = read_lookalikes(folder / "clips")
    assert [video.video_id for video in videos] == [f"lookalikes/{one}.mp4" for one in "abc"]
    assert len({video.family for video in videos}) == 3
    assert len({video.lookalike_group for video in videos}) == 1
    with pytest.raises(UsageError, match="at least two"):
        read_lookalikes(folder / "long")


def test_other_mistakes_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_dataset(folder, tmp_path / "gone.csv")
    (tmp_path / "latin.csv").write_bytes(b"file,posgroup\nclips/a.mp4,\xe9\n")
    with pytest.raises(UsageError, match="not a readable CSV"):
        read_dataset(folder, tmp_path / "latin.csv")
    with pytest.raises(UsageError, match="expected a folder"):
        read_dataset(folder / "clips" / "a.mp4")
    with pytest.raises(UsageError, match="odd"):
        read_dataset(folder / "odd", manifest(folder / "manifest.csv", *ROWS))


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    home = tmp_path / "DAVIS"
    for name in ("bear", "camel", "libby"):
        sequence = home / "JPEGImages" / "480p" / name
        sequence.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(sequence / f"{number:05}.jpg"), quadrants())
    (home / "ImageSets" / "2017").mkdir(parents=True)
    (home / "ImageSets" / "2017" / "val.txt").write_text("libby\nbear\n")
    (home / "ImageSets" / "2017" / "train.txt").write_text("camel\nswan\n")
    return home


def test_davis_is_read_as_it_is_published(davis: Path) -> None:
    videos = read_davis(davis)
    assert [video.video_id for video in videos] == ["bear", "camel", "libby"]
    assert videos[0].uri == str(davis / "JPEGImages" / "480p" / "bear")
    assert read_davis(davis.parent) == videos
    assert [video.video_id for video in read_davis(davis, "val")] == ["libby", "bear"]
    (davis / "JPEGImages" / "480p").rename(davis / "JPEGImages" / "Full-Resolution")
    assert [video.video_id for video in read_davis(davis)] == ["bear", "camel", "libby"]


def test_what_is_no_davis_is_refused(davis: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JPEGImages/480p"):
        read_davis(davis / "JPEGImages")
    with pytest.raises(UsageError, match="there are: train, val"):
        read_davis(davis, "test-dev")
    with pytest.raises(UsageError, match="swan"):
        read_davis(davis, "train")


def videos_of(sizes: list[int]) -> list[DatasetVideo]:
    return [
        DatasetVideo(f"{family}-{number}", "file", f"family {family}")
        for family, size in enumerate(sizes)
        for number in range(size)
    ]


SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=40)


@settings(deadline=None)
@given(sizes=SIZES, count=st.integers(1, 6), shuffled=st.randoms())
def test_families_stay_whole_and_parts_are_of_a_size(
    sizes: list[int], count: int, shuffled: random.Random
) -> None:
    videos = videos_of(sizes)
    for part, parts in ((folds(videos, count), count), (halves(videos), 2)):
        assert set(part) == {video.video_id for video in videos}
        assert set(part.values()) <= set(range(parts))
        placed = {(video.family, part[video.video_id]) for video in videos}
        assert len(placed) == len(sizes), "a family is torn apart"
        filled = Counter(part.values())
        assert max(filled.values()) - min(filled[index] for index in range(parts)) <= max(sizes)
    again = list(videos)
    shuffled.shuffle(again)
    assert folds(again, count) == folds(videos, count)
    assert halves(again) == halves(videos)


def test_a_division_is_the_same_in_every_run_and_not_in_the_order_of_names() -> None:
    part = folds(videos_of([1] * 10))
    assert [part[f"{family}-0"] for family in range(10)] != [family % 5 for family in range(10)]
    assert Counter(part.values()) == dict.fromkeys(range(5), 2)
    with pytest.raises(UsageError, match="at least one"):
        folds(videos_of([1]), 0)


def test_halves_are_drawn_apart_from_folds() -> None:
    videos = videos_of([1] * 100)
    fold, half = folds(videos), halves(videos)
    pairs = Counter((fold[name], half[name]) for name in fold)
    assert len(pairs) == 10


def test_a_video_needs_a_name() -> None:
    with pytest.raises(ValueError, match="family"):
        DatasetVideo("a", "file", "")
