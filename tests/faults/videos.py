"""The videos a scenario works on, and manifests that repeat them under new ids."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import VideoError
from common.settings import VideoSettings
from common.video import encode_video, probe
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.faults.harness import Trial
from tests.support.services import write_manifest

_SEGMENT_SECONDS, _MIN_TAIL_SECONDS = 4.0, 2.0
_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi"}
_DRAWN = 12


@dataclass(frozen=True)
class Manifest:
    """A manifest's path and the ids it names. segments: about how many its videos have."""

    path: Path
    names: list[str]
    segments: int


def sources(trial: Trial) -> list[Path]:
    """Usable videos: those of `--videos`, else some that are drawn."""
    if trial.videos is not None:
        found = sorted(one for one in trial.videos.iterdir() if one.suffix in _SUFFIXES)
        # Copied, because a test that damages or dates a file must not touch the user's.
        folder = trial.folder / "videos"
        folder.mkdir(exist_ok=True)
        copies = [Path(shutil.copy(one, folder / one.name)) for one in found]
        return [one for one in copies if segments_of(one)]
    return [
        draw(trial.folder / "videos" / f"film-{number:02d}.mp4", number, 4.0 * (2 + number % 3))
        for number in range(_DRAWN)
    ]


def draw(path: Path, seed: int, seconds: float) -> Path:
    """A made-up film in a file; every seed another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        encode_video(path, film(seed, seconds), FRAMES_PER_SECOND)
    return path


def segments_of(path: Path) -> int:
    """About how many segments a video has; 0 for one that cannot be read."""
    try:
        seconds = probe(path, VideoSettings()).duration_seconds or 0.0
    except VideoError:
        return 0
    whole, rest = divmod(seconds, _SEGMENT_SECONDS)
    return max(1, int(whole) + (rest >= _MIN_TAIL_SECONDS))


def manifest(path: Path, videos: Sequence[Path], segments: int, *, prefix: str = "") -> Manifest:
    """A manifest of at least so many segments, every video named equally often."""
    once = sum(map(segments_of, videos))
    copies = max(2, -(-segments // once))
    names = write_manifest(path, videos, copies, prefix=prefix)
    return Manifest(path, names, once * copies)
