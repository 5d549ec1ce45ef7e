"""What was in hand at three crashes is set aside; processes are really crashed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from common.errors import StorageError
from common.work_in_progress import FOLDER, WorkInProgress, alone
from tests.support import preloaded


def crashed(folder: Path, *names: str) -> None:
    """A process had these in hand, and is gone without a word."""
    child = os.fork()
    if not child:
        WorkInProgress.open(folder, "test").take(*names)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def run(folder: Path, kind: str) -> subprocess.CompletedProcess[str]:
    command = ["tests.support.crashing", str(folder), kind]
    return preloaded.run(command, env=os.environ, cwd=preloaded.ROOT)


@pytest.mark.parametrize("kind", ["fault", "abort"])
def test_a_message_that_crashes_the_worker_goes_to_the_dead_letters_after_three_crashes(
    tmp_path: Path, kind: str
) -> None:
    exits = [run(tmp_path, kind).returncode for _ in range(3)]
    assert all(code < 0 for code in exits), exits
    last = run(tmp_path, kind)
    assert last.returncode == 0, last.stderr
    told: dict[str, Any] = json.loads(last.stdout)
    ((reason, explanation),) = told["letters"]
    assert reason == "crashed"
    assert "crashed three times" in explanation
    assert sorted(told["log"]) == sorted(
        [[name, "done"] for name in "abcde"] + [["fatal", "refused"]]
    )
    assert told["committed"] == 6
    assert not any("fatal" in batch for batch in told["batches"])


def test_what_was_in_hand_with_it_is_done_alone_and_not_set_aside(tmp_path: Path) -> None:
    crashed(tmp_path, "a", "b", "c")
    crashed(tmp_path, "a", "b")
    crashed(tmp_path, "a", "b")
    after = WorkInProgress.open(tmp_path, "test")
    assert [after.is_suspect(name) for name in "abcd"] == [True, True, True, False]
    assert not any(after.is_set_aside(name) for name in "abc")
    after.close()


def test_only_what_was_alone_at_its_third_crash_is_set_aside(tmp_path: Path) -> None:
    crashed(tmp_path, "a", "b")
    crashed(tmp_path, "b")
    crashed(tmp_path, "b")
    after = WorkInProgress.open(tmp_path, "test")
    assert after.is_set_aside("b")
    assert not after.is_set_aside("a")
    after.close()


def test_two_kills_during_one_video_do_not_set_it_aside(tmp_path: Path) -> None:
    crashed(tmp_path, "a")
    crashed(tmp_path, "a")
    after = WorkInProgress.open(tmp_path, "test")
    assert after.is_suspect("a")
    assert not after.is_set_aside("a")
    after.close()


def test_what_was_done_begins_anew(tmp_path: Path) -> None:
    crashed(tmp_path, "a")
    process = WorkInProgress.open(tmp_path, "test")
    process.take("a")
    process.done("a")
    process.close()
    crashed(tmp_path, "a")
    crashed(tmp_path, "a")
    after = WorkInProgress.open(tmp_path, "test")
    assert not after.is_set_aside("a")
    after.close()


def test_an_orderly_end_is_no_crash(tmp_path: Path) -> None:
    process = WorkInProgress.open(tmp_path, "test")
    process.take("a")
    process.close()
    process.take("b")
    after = WorkInProgress.open(tmp_path, "test")
    assert not after.is_suspect("a")
    assert not after.is_suspect("b")
    after.close()


def test_processes_that_share_a_folder_have_notes_of_their_own(tmp_path: Path) -> None:
    first, second = WorkInProgress.open(tmp_path, "test"), WorkInProgress.open(tmp_path, "test")
    first.take("a")
    second.take("b")
    notes = sorted((tmp_path / FOLDER).glob("test-*.json"))
    assert [json.loads(note.read_text())["in_hand"] for note in notes] == [["a"], ["b"]]
    first.close()
    second.close()


def test_a_note_that_cannot_be_read_is_told_and_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "test-0.json").write_text('{"in_hand": 5')
    process = WorkInProgress.open(tmp_path, "test")
    assert "cannot be read" in caplog.text
    process.take("a")
    process.close()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="STORYHASH_DATA_DIR"):
        WorkInProgress.open(tmp_path / "file", "test")


def test_each_suspect_thing_is_a_run_of_its_own() -> None:
    assert list(alone("abcde", [False, True, False, False, True])) == [
        ["a"], ["b"], ["c", "d"], ["e"],
    ]  # fmt: skip
    assert list(alone("ab", [False, False])) == [["a", "b"]]
    assert list(alone("", [])) == []
