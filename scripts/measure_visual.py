#!/usr/bin/env python3
"""How well the visual backends tell copies from strangers, edit by edit, on a folder of real videos.

    python -m scripts.measure_visual FOLDER [--backends offline,sscd] [--json FILE]
    python -m scripts.measure_visual FOLDER --preparations [--json FILE]

One vector a video: the mean over up to `--frames` frames at 2 a second. Each video is edited in every
way below and asked for among all originals, through every view of the backend; a video's score is its
best view's. Recall@1 counts edits whose original comes first. The threshold of `recall at 1 % FPR` is
passed by one in a hundred pairs of an edit and a stranger, over all edits. FOLDER may hold a
`manifest.csv` with `file`, `posgroup` and `hardneg`: members of one group are not strangers.

`--preparations` compares ways to make SSCD's square input (size, squash, crop, pad) and frame counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.errors import VideoError
from common.runtime_tuning import work_in_one_thread
from common.settings import Settings, SscdSettings
from common.types import Float32Array, UInt8Array
from common.video import Decoder
from embedder.pooling import pool
from embedder.visual.base import VisualBackend
from embedder.visual.frame_quality import informative
from embedder.visual.letterbox import trim_border
from embedder.visual.offline import OfflineBackend
from embedder.visual.sscd import SscdBackend
from embedder.visual.views import WHOLE_NAMES, apply_view
from ingest.catalogue import read_catalog
from scripts.visual_edits import EDITS, Edit

_SHORT_SIDE = 288
_HOST = 7
_FEW = ("96 px, jpeg 10", "aspect 3:4", "corner crop 40 %", "left 40 %", "top half", "crop 35 %",
        "rotate 10", "letterbox", "pillarbox", "social frame", "inset 60 %", "inset 40 %")  # fmt: skip

Prepare = Callable[[UInt8Array], UInt8Array]


def turned(backend: VisualBackend) -> tuple[str, ...]:
    """The views of the whole picture, in its own colours."""
    whole = [one for one in backend.closer_views if one in WHOLE_NAMES and one != "negative"]
    return (*backend.views, *whole)


def squash(frame: UInt8Array) -> UInt8Array:
    """As it is: the backend squashes it to a square."""
    return frame


def trimmed(frame: UInt8Array) -> UInt8Array:
    """Without black bars, then squashed."""
    return trim_border(frame)


def middle(frame: UInt8Array) -> UInt8Array:
    """The middle square."""
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return frame[top : top + side, left : left + side]


def padded(frame: UInt8Array) -> UInt8Array:
    """Bars added up to a square."""
    height, width = frame.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return cv2.copyMakeBorder(
        frame, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT
    )


def read_frames(folder: Path, count: int) -> dict[str, list[UInt8Array]]:
    """Up to `count` informative frames of every readable video."""
    video = Settings().video
    found: dict[str, list[UInt8Array]] = {}
    for listed in read_catalog([str(folder)], "default"):
        decoder = Decoder(
            Path(listed.entry.uri), video, frames_per_second=2.0, short_side=_SHORT_SIDE
        )
        kept: list[UInt8Array] = []
        try:
            for frame in decoder:
                if informative(frame.rgb[None])[0]:
                    kept.append(frame.rgb)
                if len(kept) == 3 * count:
                    break
        except VideoError:
            continue
        if kept:
            step = max(1, len(kept) // count)
            found[listed.entry.video_id] = kept[::step][:count]
    return found


def families(folder: Path, names: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """bool (V, V): pairs that are no strangers."""
    related = np.eye(len(names), dtype=bool)
    path = folder / "manifest.csv"
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["file"]: row for row in csv.DictReader(file)}
        for group in ("posgroup", "hardneg"):
            label = np.array([rows.get(name, {}).get(group, "") for name in names])
            related |= (label[:, None] == label[None]) & (label != "")[:, None]
    return related


def describe(backend: VisualBackend, frames: list[UInt8Array], prepare: Prepare) -> Float32Array:
    """float32 (512,): one vector of a video."""
    rows = backend.encode([np.ascontiguousarray(prepare(frame)) for frame in frames])
    pooled = pool(rows, np.ones(len(rows), dtype=bool), backend.pooling)
    return np.zeros(rows.shape[1], np.float32) if pooled is None else pooled


def measure(
    backend: VisualBackend,
    videos: dict[str, list[UInt8Array]],
    related: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    edits: dict[str, Edit],
    prepare: Prepare = squash,
    views: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Recall@1 and recall at 1 % and 0.1 % false positives, of every edit and their means."""
    names = list(videos)
    originals = np.stack([describe(backend, videos[name], prepare) for name in names])
    # The film around an inset is in the picture too: it and its copies are no strangers to it.
    hosts = (np.arange(len(names)) + _HOST) % len(names)
    related = related | related[hosts]
    scores = {}
    for label, edit in edits.items():
        rows = []
        for number, name in enumerate(names):
            other = videos[names[hosts[number]]][0]
            edited = [edit(frame, other) for frame in videos[name]]
            seen = [
                describe(backend, [apply_view(one[None], view)[0] for one in edited], prepare)
                for view in views or turned(backend)
            ]
            rows.append((np.stack(seen) @ originals.T).max(axis=0))
        scores[label] = np.stack(rows)
        sys.stderr.write(f"{backend.name}: {label}\n")
    strangers = np.concatenate([table[~related] for table in scores.values()])
    limits = {"1 %": np.quantile(strangers, 0.99), "0.1 %": np.quantile(strangers, 0.999)}
    table = {label: _row(own, related, limits) for label, own in scores.items()}
    means = {
        column: round(float(np.mean([row[column] for row in table.values()])), 4)
        for column in next(iter(table.values()))
    }
    return {
        "videos": len(names),
        "edits": table,
        "mean": means,
        "stranger_mean": round(float(strangers.mean()), 4),
        "thresholds": {name: round(float(value), 4) for name, value in limits.items()},
    }


def _row(
    scores: Float32Array,
    related: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    limits: dict[str, float],
) -> dict[str, float]:
    own = np.diag(scores)
    rivals = np.where(related, -1.0, scores).max(axis=1)
    row = {"recall@1": round(float((own > rivals).mean()), 4)}
    for name, limit in limits.items():
        row[f"recall at {name} FPR"] = round(float((own >= limit).mean()), 4)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backends", default="offline,sscd")
    parser.add_argument("--preparations", action="store_true")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    work_in_one_thread()
    videos = read_frames(asked.folder, asked.frames)
    related = families(asked.folder, list(videos))
    found: dict[str, Any] = {}
    if asked.preparations:
        few = {label: EDITS[label] for label in _FEW}
        for side, prepare in (
            (224, trimmed),
            (288, trimmed),
            (224, squash),
            (224, middle),
            (224, padded),
            (288, squash),
            (160, squash),
        ):
            backend = SscdBackend(SscdSettings(), side=side)
            found[f"{prepare.__name__} {side}"] = measure(
                backend, videos, related, few, prepare, ("identity",)
            )
        one = {name: frames[:1] for name, frames in videos.items()}
        found["squash 224, one frame"] = measure(
            SscdBackend(SscdSettings(), side=224), one, related, few, squash, ("identity",)
        )
    else:
        makers: dict[str, Callable[[], VisualBackend]] = {
            "offline": OfflineBackend,
            "sscd": lambda: SscdBackend(SscdSettings()),
        }
        for name in asked.backends.split(","):
            found[name] = measure(makers[name](), videos, related, EDITS)
    text = json.dumps(found, indent=1)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    for name, one_found in found.items():
        sys.stdout.write(
            f"\n{name}: mean {one_found['mean']}, thresholds {one_found['thresholds']}\n"
        )
        for label, row in one_found["edits"].items():
            sys.stdout.write(f"  {label:20} " + "  ".join(f"{v:.3f}" for v in row.values()) + "\n")


if __name__ == "__main__":
    main()
