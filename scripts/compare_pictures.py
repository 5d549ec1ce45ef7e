#!/usr/bin/env python3
"""Compare visual backends picture by picture, without windows, alignment and calibration.

    python -m scripts.compare_pictures --videos DIR [--families CSV] [--visual NAME]...

One frame of one video per family is edited by every transform but those of time, compressed as the
transform says, described once as it is (one view), and searched among the unedited frames by cosine.
Prints Markdown: a row per backend, then a row per edit. An edit that shows another video beside the
original has no false positives of its own and does not count for the thresholds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.settings import Settings, load_settings
from common.types import Float32Array, UInt8Array
from embedder.visual.base import VisualBackend
from evaluation.data.datasets import DatasetVideo, read_dataset
from evaluation.data.edits import partners_of
from evaluation.data.video_io import read_film, write_film
from evaluation.transforms.base import Film
from evaluation.transforms.registry import choose, context_for
from scripts.figures import table
from storyhash.profiles import VISUALS

_GROUPS = ("paper", "photometric", "composed")
# The frame at the end of this stretch stands for its video.
_SECONDS = 3.0
_BATCH = 16
_RATES = (1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class EditedPicture:
    """An edited frame. original: its row among the references. mixed: whether another video is in it."""

    transform: str
    original: int
    mixed: bool
    picture: UInt8Array


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--families", type=Path)
    parser.add_argument("--visual", action="append", choices=sorted(VISUALS))
    options = parser.parse_args()
    settings = load_settings()
    videos = _one_per_family(read_dataset(options.videos, options.families))
    references = {video.video_id: _frame(Path(video.uri), settings) for video in videos}
    queries = edited_pictures(videos, references, settings)
    print(f"{len(videos)} frames, {len(queries):,} edited pictures", file=sys.stderr)
    names = options.visual or ["offline", "sscd"]
    rows, by_edit = [], {}
    for name in names:
        backend = VISUALS[name].build(settings)
        began = time.process_time()
        own_cosines, other = similarities(backend, list(references.values()), queries)
        spent = 1000 * (time.process_time() - began) / (len(references) + len(queries))
        thresholds = [_threshold(queries, other, rate) for rate in _RATES]
        shares = [
            np.mean(own_cosines > other),
            *(np.mean(own_cosines > least) for least in thresholds),
        ]
        rows.append([f"`{name}`", *(f"{100 * share:.1f}" for share in shares), f"{spent:.1f}"])
        by_edit[name] = _cells(queries, own_cosines, other, thresholds[0])
    head = [
        "",
        "Recall@1, %",
        "recall at 1 % FPR, %",
        "recall at 0.1 % FPR, %",
        "CPU ms per picture",
    ]
    print(table(head, rows))
    print("\nRecall@1 / recall at 1 % FPR by edit, in percent:\n")
    edits = list(dict.fromkeys(query.transform for query in queries))
    cells = [[f"`{edit}`", *(by_edit[name][edit] for name in names)] for edit in edits]
    print(table(["edit", *(f"`{name}`" for name in names)], cells))
    return 0


def edited_pictures(
    videos: Sequence[DatasetVideo], frames: dict[str, Film], settings: Settings
) -> list[EditedPicture]:
    """Every transform of a picture, applied to every frame."""
    queries = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edited.mp4"
        for row, video in enumerate(videos):
            partners = partners_of(video, videos)

            def partner(
                number: int, partners: Sequence[DatasetVideo] = partners
            ) -> tuple[str, Film]:
                chosen = partners[number % len(partners)]
                return chosen.video_id, frames[chosen.video_id]

            for transform in choose(_GROUPS):
                context = context_for(transform.name, video.video_id, partner)
                edited = transform.apply(frames[video.video_id], context)
                write_film(path, edited)
                picture = read_film(path, limits=settings.video).frames[0]
                queries.append(EditedPicture(transform.name, row, bool(edited.partners), picture))
    return queries


def similarities(
    backend: VisualBackend, references: Sequence[Film], queries: Sequence[EditedPicture]
) -> tuple[Float32Array, Float32Array]:
    """float32 (n,) each: the cosine of each query with its original, and with the most similar other
    frame."""
    references_by_row = backend.encode([film.frames[0] for film in references], reference=True)
    query_vectors = np.concatenate(
        [
            backend.encode([query.picture for query in queries[first : first + _BATCH]])
            for first in range(0, len(queries), _BATCH)
        ]
    )
    cosines = query_vectors @ references_by_row.T
    rows, originals = np.arange(len(queries)), [query.original for query in queries]
    own_cosines = cosines[rows, originals].copy()
    cosines[rows, originals] = -1.0
    return own_cosines, cosines.max(axis=1)


def _one_per_family(videos: Sequence[DatasetVideo]) -> list[DatasetVideo]:
    return list({video.family: video for video in reversed(videos)}.values())[::-1]


def _frame(path: Path, settings: Settings) -> Film:
    film = read_film(path, frames_per_second=1, max_seconds=_SECONDS, limits=settings.video)
    return Film(film.frames[-1:], 1.0)


def _threshold(queries: Sequence[EditedPicture], other: Float32Array, rate: float) -> float:
    alone = np.array([not query.mixed for query in queries])
    return float(np.quantile(other[alone], 1 - rate))


def _cells(
    queries: Sequence[EditedPicture], own_cosines: Float32Array, other: Float32Array, least: float
) -> dict[str, str]:
    names = np.array([query.transform for query in queries])
    return {
        name: f"{100 * np.mean((own_cosines > other)[names == name]):.0f} / "
        f"{100 * np.mean((own_cosines > least)[names == name]):.0f}"
        for name in dict.fromkeys(names.tolist())
    }


if __name__ == "__main__":
    sys.exit(main())
