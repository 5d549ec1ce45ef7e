"""A folder of scratch files is trusted only where nobody else could have made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import StorageError
from common.scratch import ScratchFolder, default_scratch, empty_scratch


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    folder = ScratchFolder(tmp_path / "scratch")
    path = folder.new_file()
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    folder.close()
    assert not folder.path.exists()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(StorageError, match="nobody else may write"):
        ScratchFolder(shared)


def test_a_link_that_somebody_put_there_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for use in (ScratchFolder, empty_scratch):
        with pytest.raises(StorageError, match="choose another"):
            use(tmp_path / "link")


def test_only_folders_of_the_dead_are_deleted(tmp_path: Path) -> None:
    living = ScratchFolder(tmp_path)
    (tmp_path / "process-dead").mkdir()
    (tmp_path / "process-dead" / "film").write_bytes(b"x" * 100)
    (tmp_path / "somebody-elses").mkdir()
    empty_scratch(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {living.path.name, "somebody-elses"}
    living.close()


def test_the_default_is_one_folder_for_each_user_and_use() -> None:
    assert default_scratch("a") != default_scratch("b")
    assert default_scratch("a").parent == default_scratch("b").parent
