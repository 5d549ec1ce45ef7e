"""The root command: its version, its lazy imports, and what it offers to a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from storyhash.cli import app
from storyhash.cli.lazy_commands import COMMANDS
from tests.support import preloaded

ROOT = Path(__file__).parents[4]


def environment(**variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STORYHASH_")}
    return kept | {"PYTHONPATH": str(ROOT)} | variables


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def completed(*words: str, **variables: str) -> list[str]:
    """What bash is offered for the last of some words."""
    asked = environment(
        _STORYHASH_COMPLETE="complete_bash",
        COMP_WORDS=" ".join(("storyhash", *words)),
        COMP_CWORD=str(len(words)),
        **variables,
    )
    done = preloaded.run(["storyhash"], env=asked, cwd=ROOT)
    assert done.stderr == ""
    return sorted(done.stdout.split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_are_printed_without_importing_what_videos_need(option: str) -> None:
    done = run(
        f"import sys; sys.argv = ['storyhash', {option!r}]\n"
        "from storyhash.cli import app\n"
        "try:\n    app()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "heavy = {'numpy', 'cv2', 'av', 'faiss', 'pydantic', 'fastapi', 'torch'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )
    *told, rest = done.stdout.splitlines()
    assert rest == "0 []"
    if option == "--version":
        assert told[0].split()[0] == "storyhash"
        assert told[0].split()[1][0].isdigit()
    else:
        listed = [line.split()[0] for line in told[told.index("Commands:") + 1 :] if line[2] != " "]
        assert listed == [*COMMANDS]


def test_commands_on_a_catalogue_import_neither_sqlalchemy_nor_fastapi() -> None:
    """Both are slow to import, and only services need them."""
    names = ("index", "match", "videos", "staged", "snapshot", "duplicates")
    imports = "\n".join(f"import storyhash.cli.catalogue.{name}" for name in names)
    done = run(
        f"import sys\n{imports}\nprint(sorted({{'fastapi', 'sqlalchemy'}} & set(sys.modules)))"
    )
    assert done.stdout == "[]\n"


def test_the_help_of_each_command_begins_with_its_line_in_the_list() -> None:
    group: Any = typer.main.get_command(app)
    for name, listed in COMMANDS.items():
        told = " ".join(group.commands[name].help.split())
        assert told.startswith(listed.summary.removesuffix(".")), name


def test_commands_complete_by_their_beginning() -> None:
    assert completed("mo") == ["models"]
    assert completed("in") == ["index", "ingest"]
    assert completed("nothing-of-ours") == []


def test_arguments_complete_from_the_program_and_the_index(tmp_path: Path) -> None:
    assert completed("models", "pull", "") == ["clip", "sam2"]
    assert completed("index", "--profile", "off") == [
        "offline", "offline-sam2",
    ]  # fmt: skip
    assert completed("videos", "show", "b", STORYHASH_DATA_DIR=str(tmp_path)) == []
    store = VideoStore(Database(tmp_path / "videos.sqlite"))
    for name in ("a.mp4", "b", "b.mp4", "c.mp4"):
        store.commit(Video(name, f"/films/{name}", state="ready"))
    assert completed("videos", "show", "b", STORYHASH_DATA_DIR=str(tmp_path)) == ["b", "b.mp4"]
    by_option = completed("videos", "delete", "--data", str(tmp_path), "c")
    assert by_option == ["c.mp4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(shell: str) -> None:
    code = f"from storyhash.cli import app; app(['--show-completion', '{shell}'], prog_name='storyhash')"
    done = run(code, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_STORYHASH_COMPLETE" in done.stdout
