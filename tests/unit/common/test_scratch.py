"""A folder of scratch files is trusted only where nobody else could have made it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import StorageError
from common.scratch import (
    ScratchFolder,
    default_scratch,
    delete_dead_files,
    empty_scratch,
    locked_file,
)


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
    with pytest.raises(StorageError, match="no other user may write to"):
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


def test_an_upload_of_a_killed_process_is_deleted_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, signal, tempfile, sys\n"
        "from common.scratch import locked_file\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "os.write(locked_file('upload-')[0], b'half a film')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=paths, check=False)
    (left,) = tmp_path.iterdir()
    descriptor, living = locked_file("upload-")
    (tmp_path / "other-file").touch()
    an_hour_ago = time.time() - 3600
    for path in tmp_path.iterdir():
        os.utime(path, (an_hour_ago, an_hour_ago))
    delete_dead_files("upload-")
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([living, tmp_path / "other-file"])
    os.close(descriptor)
