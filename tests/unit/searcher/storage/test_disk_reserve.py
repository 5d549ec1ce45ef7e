"""Space that is kept for deletions, also on a full disk."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from common.errors import StorageError
from common.work_in_progress import WorkInProgress
from searcher.deletion.notes import DeletionNotes
from searcher.index_transaction import Change
from searcher.local_index import LocalIndex
from searcher.storage.disk_reserve import DiskReserve
from searcher.storage.video import Video
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row

Usage = namedtuple("Usage", "total used free")
MIB = 1 << 20


class Disk:
    """A disk whose free space the test chooses; what the reserve takes is not free."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1000 * MIB
        self._reserve = folder / "reserve"
        monkeypatch.setattr(shutil, "disk_usage", self._usage)

    def _usage(self, _: Path) -> Usage:
        taken = self._reserve.stat().st_size if self._reserve.exists() else 0
        return Usage(0, 0, self.free - taken)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def test_it_takes_blocks_of_the_disk_and_not_only_a_size(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, 2 * MIB)
    stat = (tmp_path / "reserve").stat()
    assert reserve.bytes == stat.st_size == 2 * MIB
    assert 512 * stat.st_blocks >= 2 * MIB
    assert stat.st_mode & 0o777 == 0o600


def test_it_is_given_up_only_where_the_disk_has_less(tmp_path: Path, disk: Disk) -> None:
    reserve = DiskReserve(tmp_path, 4 * MIB)
    with reserve.given_up():
        assert reserve.bytes == 4 * MIB
    disk.free = 6 * MIB
    with reserve.given_up(), reserve.given_up():
        assert reserve.bytes == 0
    # It is taken again, and the log of the deletion still has room.
    assert reserve.bytes == 4 * MIB
    disk.free = 3 * MIB
    with reserve.given_up():
        pass
    assert reserve.bytes == 2 * MIB


def test_a_disk_that_was_full_from_the_start_has_none_until_there_is_room(
    tmp_path: Path, disk: Disk
) -> None:
    disk.free = 0
    reserve = DiskReserve(tmp_path, 4 * MIB)
    assert reserve.bytes == 0
    disk.free = 100 * MIB
    with reserve.given_up():
        pass
    assert reserve.bytes == 4 * MIB


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    assert DiskReserve(tmp_path / "nowhere").bytes == 0


def test_a_video_is_deleted_on_a_disk_that_only_the_reserve_keeps_from_being_full(
    tmp_path: Path, disk: Disk, rng: np.random.Generator
) -> None:
    deletions = DeletionNotes()
    with LocalIndex.open_writer(tmp_path, MANIFEST, SETTINGS) as index:
        for name in ("gone", "kept"):
            index.replace_video(row(name, 1), video(rng, name, 3))
        deletions.open(WorkInProgress(), DiskReserve(tmp_path))
        disk.free = 16 * MIB

        def delete(video_id: str) -> None:
            with deletions.begun(video_id, Video(video_id, "")):
                index.apply(Change(deleted=[(video_id, 0)]))

        with pytest.raises(StorageError, match="0 MiB are free on the disk and 64 are needed"):
            index.replace_video(row("new", 1), video(rng, "new", 3))
        with pytest.raises(StorageError, match="0 MiB are free on the disk and 4 are needed"):
            index.apply(Change(deleted=[("gone", 0)]))
        delete("gone")
        assert index.videos.get("gone") is None
        assert index.mirror.count() == 3
        # Once others have used the reserve, the error says what to do.
        disk.free = 3 * MIB
        with pytest.raises(StorageError, match="free some disk space"):
            delete("kept")
        assert index.videos.get("kept") is not None
