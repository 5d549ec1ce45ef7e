"""The command line as a user runs it: a process, its exit code and its two streams."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import pytest

from common.types import UInt8Array
from common.video import encode_video
from storyhash.samples import FRAMES_PER_SECOND, film, mirror
from tests.support import preloaded
from tests.support.sparse_copy import copy_folder

ROOT = Path(__file__).parents[2]

Settings: TypeAlias = dict[str, Any]
"""Environment variables for `storyhash(**settings)`: str by name. Its other parameters are no str."""
COMPARED: Settings = {"STORYHASH_MATCHING__TRANSFORM_SECONDS": "8"}


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]


def environment(**settings: str) -> dict[str, str]:
    """The caller's environment without its StoryHash settings. One decoder process. Pictures of matches
    are compared only where a test asks for it (`COMPARED`): it takes longer than the rest of a match."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("STORYHASH_")}
    ours = {
        "COLUMNS": "200",
        "PYTHONPATH": str(ROOT),
        "STORYHASH_INGEST__WORKERS": "1",
        "STORYHASH_MATCHING__TRANSFORM_SECONDS": "0",
    }
    return kept | ours | settings


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "storyhash", *map(str, arguments)]


def storyhash(
    *arguments: str | Path,
    cwd: Path | None = None,
    start: preloaded.Start = preloaded.start,
    module: str = "storyhash",
    **settings: str,
) -> Run:
    """Run `storyhash` to its end, in a process; no user ever sees a traceback. start: of the process.
    module: what to run instead, with the same arguments."""
    run = preloaded.run(
        [module, *map(str, arguments)],
        env=environment(**settings),
        cwd=cwd or ROOT,
        start=start,
    )
    assert "Traceback" not in run.stderr, run.stderr
    assert "Traceback" not in run.stdout, run.stdout
    return Run(run.returncode, run.stdout, run.stderr)


def small(frames: Iterable[UInt8Array]) -> Iterator[UInt8Array]:
    """Frames of 240 x 136 pixels, of which every step takes far less time than of 480 x 270."""
    return (cv2.resize(frame, (240, 136), interpolation=cv2.INTER_AREA) for frame in frames)


def draw(path: Path, seed: int, seconds: float = 6.0, *, mirrored: bool = False) -> Path:
    """A small made-up film in a file; every seed another one."""
    frames = film(seed, seconds)
    encode_video(path, small(map(mirror, frames) if mirrored else frames), FRAMES_PER_SECOND)
    return path


def copied(indexed: Path, scratch: Path) -> Path:
    """A data folder of one's own to spoil."""
    return copy_folder(indexed, scratch / "data")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four films, one of them in a folder of its own."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "series one").mkdir()
    for name, seed in {"a.mp4": 1, "b.mkv": 2, "c.mov": 3, "series one/d.mp4": 4}.items():
        draw(folder / name, seed)
    return folder


@pytest.fixture(scope="session")
def first_run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A data folder with the four films indexed, for reading alone; and what was said of it."""
    data = tmp_path_factory.mktemp("indexed") / "data"
    # Several decoder processes at once, as a user with several cores has.
    several: Settings = {"STORYHASH_INGEST__WORKERS": "2"}
    run = storyhash("index", films, "--data", data, "--profile", "offline", "--json", **several)
    assert run.exit_code == 0, run.stderr
    return data, run


@pytest.fixture(scope="session")
def indexed(first_run: tuple[Path, Run]) -> Path:
    """A data folder with the four films indexed; for reading alone."""
    return first_run[0]


@pytest.fixture
def library(films: Path, indexed: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The folder of films, to be changed by one test and then as it was; and a data folder of the test's
    own in which they are indexed from there."""
    kept = shutil.copytree(films, tmp_path / "kept")
    yield films, copied(indexed, tmp_path)
    shutil.rmtree(films, ignore_errors=True)
    # With the times of its files, by which an index knows them.
    shutil.copytree(kept, films)
