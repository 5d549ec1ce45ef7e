"""Small pictures of videos: one file per video, read by time, deleted with the video."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import StorageError
from common.thumbnails import Thumbnail
from searcher.storage.thumbnails import NEAR_SECONDS, ThumbnailStore

GONE, KEPT = "shows/gone.mp4", "kept.mp4"


def written(store: ThumbnailStore, video_id: str, *times: float) -> None:
    writer = store.begin(video_id)
    # Segments end in any order.
    for seconds in reversed(times):
        writer.add([Thumbnail(seconds, f"{video_id} at {seconds}".encode())])
    writer.finish()


@pytest.mark.parametrize(
    ("asked", "found"), [(0.0, 0.2), (0.2, 0.2), (0.69, 0.2), (0.7, 0.7), (1.5, 1.2), (1e6, 1.2)]
)
def test_the_last_picture_at_or_before_a_time_is_read(
    tmp_path: Path, asked: float, found: float
) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, KEPT, 0.2, 0.7, 1.2)
    assert store.read(KEPT, asked) == Thumbnail(found, f"{KEPT} at {found}".encode())
    assert store.read(GONE, asked) is None


def test_a_new_version_replaces_the_pictures_only_when_it_is_finished(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, KEPT, 0.0, 0.5)
    writer = store.begin(KEPT)
    writer.add([Thumbnail(3.0, b"new")])
    assert store.read(KEPT, 3.0) == Thumbnail(0.5, f"{KEPT} at 0.5".encode())
    # A picture at the same time as another replaces it: a batch that failed is embedded again.
    writer.add([Thumbnail(3.0, b"newer")])
    writer.finish()
    assert store.read(KEPT, 0.0) == Thumbnail(3.0, b"newer")


def test_deleting_and_sweeping_leave_no_byte(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, GONE, 0.0, 0.5)
    written(store, KEPT, 0.0)
    store.begin(GONE).add([Thumbnail(9.0, b"gone, unfinished")])
    assert (store.count(GONE), store.count(KEPT)) == (2, 1)
    store.delete([GONE, "never there"])
    ThumbnailStore(tmp_path).sweep()
    assert (store.count(GONE), store.count(KEPT)) == (0, 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert b"gone" not in files[0].read_bytes()


def test_the_picture_nearest_to_each_time_is_read(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, KEPT, 0.2, 0.7, 1.2)
    kept = store.of(KEPT)
    assert kept is not None
    found = kept.nearest([0.0, 0.44, 0.46, 0.8, 2.0])
    assert [one.seconds for one in found] == [0.2, 0.2, 0.7, 0.7, 1.2]
    assert found[1].webp == f"{KEPT} at 0.2".encode()
    assert store.of(GONE) is None


def test_a_picture_far_from_a_time_does_not_show_it(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, KEPT, 0.0, 9.0)
    kept = store.of(KEPT)
    assert kept is not None
    assert len(kept.nearest([NEAR_SECONDS, 9.0 - NEAR_SECONDS])) == 2
    with pytest.raises(StorageError, match="index the video again"):
        kept.nearest([0.0, 4.5])


def test_the_pictures_of_a_video_that_was_deleted_meanwhile_are_gone(tmp_path: Path) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, GONE, 0.0)
    gone = store.of(GONE)
    store.delete([GONE])
    assert gone is not None
    with pytest.raises(StorageError, match="No such file"):
        gone.nearest([0.0])


@pytest.mark.parametrize("content", [b"", b"SHTHUMB1", b"x" * 40, b"SHTHUMB1" + b"\xff" * 4])
def test_a_damaged_file_has_no_picture(tmp_path: Path, content: bytes) -> None:
    store = ThumbnailStore(tmp_path)
    written(store, KEPT, 0.0)
    (path,) = (tmp_path / "thumbnails").iterdir()
    path.write_bytes(content)
    assert store.read(KEPT, 0.0) is None
    kept = store.of(KEPT)
    assert kept is not None
    with pytest.raises(StorageError, match="index the video again"):
        kept.nearest([0.0])
