#!/usr/bin/env python3
"""Measure how often the transform between two videos is told right, per edit of `storyhash evaluate`.

    python -m scripts.measure_transforms FOLDER [--clips 8] [--edits 'rotate_*' ...]

Every edit is made from a few seconds of each video, encoded, and compared with the original at three
moments, whose times are up to a quarter of a second wrong, as after a match. Where the picture went is
measured, not typed: the same edit with the same random numbers is made of a film whose colours are its
coordinates. Right means: mirrored, inverted and grey as they are, the rotation within 2 degrees, the
stretch within 8 %, and both regions with an overlap (intersection over union) of 0.8 or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.resize import shrink_to
from common.types import Float64Array, UInt8Array
from evaluation.data.video_io import read_film, write_film
from evaluation.transforms.base import Film, Transform, TransformResult
from evaluation.transforms.registry import choose, context_for
from searcher.transform.estimate import Moment, PictureTransform, compare, turn_of
from searcher.transform.pictures import QUERY_SIDES, REFERENCE_SIDE
from searcher.transform.regions import Region

SECONDS, RATE = 3.0, 8.0
_PARTNERS = 4
_SHARES = (0.25, 0.5, 0.75)
_STEPS_SECONDS = (0.0, -0.25, 0.25, -0.5, 0.5)
_MARK = 128
"""Blue of every pixel of the film of coordinates."""
MOVED = (
    *(
        "crop_*",
        "corner_crop_*",
        "rotate_*",
        "flip_*",
        "stretch",
        "letterbox",
        "pillarbox",
        "border",
    ),
    *("pip_*", "split_screen_*", "grid_2x2", "reaction", "on_background", "combined", "slow_zoom"),
)
"""Edits that move the picture, in one way from the first frame to the last."""
KEPT = (
    *(
        "brightness_*",
        "compress_*",
        "watermark",
        "blur",
        "noise",
        "contrast_*",
        "gamma_*",
        "darken",
    ),
    *("hue", "saturation", "filter_*", "sharpen", "crf_45", "low_res_*", "negative", "grayscale"),
    *("caption_band", "subtitles", "emoji", "ticker_and_logo", "facecam", "blend", "logo_banner"),
)
"""Edits that leave the picture where it is."""
OUTCOMES = ("right", "silent", "mirrored", "rotation", "colours", "regions", "stretch")


@dataclass(frozen=True, slots=True)
class Truth:
    """See `PictureTransform`."""

    mirrored: bool
    rotation_degrees: int
    query_region: Region
    reference_region: Region
    stretch: float


def main() -> None:
    """Print one line per edit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="folder of videos")
    parser.add_argument("--clips", type=int, default=8, help="number of videos (default: 8)")
    parser.add_argument("--edits", nargs="*", default=[*MOVED, *KEPT], help="names, * allowed")
    parser.add_argument("--wrong", action="store_true", help="print every wrong answer")
    arguments = parser.parse_args()
    paths = sorted(one for one in arguments.folder.iterdir() if one.is_file())
    some = paths[:: max(1, len(paths) // (arguments.clips + _PARTNERS))]
    films = [
        read_film(one, frames_per_second=RATE, max_seconds=SECONDS)
        for one in some[: arguments.clips + _PARTNERS]
    ]
    partners, films = films[:_PARTNERS], films[_PARTNERS:]
    names = [one.stem for one in some[_PARTNERS:]]
    totals: Counter[str] = Counter()
    print(f"{'edit':18}" + "".join(f"{one:>10}" for one in OUTCOMES))
    for transform in choose(arguments.edits):
        counts: Counter[str] = Counter()
        for name, film in zip(names, films, strict=False):
            outcome, said = judge(transform, name, film, partners)
            counts[outcome] += 1
            if arguments.wrong and outcome != "right":
                print(f"  {transform.name} of {name}: {said}")
        totals += counts
        print(line(transform.name, counts))
        sys.stdout.flush()
    print(line("all", totals))


def line(name: str, counts: Counter[str]) -> str:
    """The shares of the outcomes, in percent."""
    total = max(1, counts.total())
    return f"{name:18}" + "".join(f"{counts[one] / total:10.1%}" for one in OUTCOMES)


def judge(transform: Transform, name: str, film: Film, partners: list[Film]) -> tuple[str, str]:
    """The outcome of one edit of one film, and what was estimated and is true."""
    made = applied(transform, name, film, partners)
    truth = truth_of(transform, name, film, partners)
    found = compare(moments_of(made, film, name)).transform
    if found is None:
        return "silent", str(truth)
    return outcome_of(transform.name, found, truth, film), f"{found}, expected {truth}"


def applied(transform: Transform, name: str, film: Film, partners: list[Film]) -> TransformResult:
    """An edit of a film, with the partners in a fixed order."""
    context = context_for(
        transform.name, name, lambda n: (f"p{n % len(partners)}", partners[n % len(partners)])
    )
    return transform.apply(film, context)


def moments_of(made: TransformResult, film: Film, name: str) -> list[Moment]:
    """Three moments of an edit as it is after encoding, with frames of the original near each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edit.mp4"
        write_film(path, made)
        edit = read_film(path, frames_per_second=RATE)
    rng = np.random.default_rng(len(name))
    piece = made.pieces[0]
    speed = (piece.ref_end_seconds - piece.ref_start_seconds) / (
        piece.query_end_seconds - piece.query_start_seconds
    )
    moments = []
    for share in _SHARES:
        seconds = piece.query_start_seconds + share * (
            piece.query_end_seconds - piece.query_start_seconds
        )
        there = piece.ref_start_seconds + speed * (seconds - piece.query_start_seconds)
        there += rng.uniform(-0.25, 0.25)
        moments.append(
            Moment(
                at(edit, seconds, QUERY_SIDES["file"]),
                tuple(at(film, there + step, REFERENCE_SIDE) for step in _STEPS_SECONDS),
            )
        )
    return moments


def at(film: Film, seconds: float, side: int) -> UInt8Array:
    """The frame at a time, with at most that short side."""
    number = min(len(film.frames) - 1, max(0, int(seconds * film.frames_per_second + 1e-6)))
    return shrink_to(film.frames[number], side)


def truth_of(transform: Transform, name: str, film: Film, partners: list[Film]) -> Truth:
    """Where an edit puts the picture: the whole of it, unless the edit moves it."""
    whole: Region = (0.0, 0.0, 1.0, 1.0)
    if transform.name not in {one.name for one in choose(MOVED)}:
        return Truth(False, 0, whole, whole, 1.0)
    height, width = film.frames.shape[1:3]
    coordinates = np.empty((height, width, 3), np.uint8)
    coordinates[..., 0] = np.round(np.linspace(0, 255, width))[None]
    coordinates[..., 1] = np.round(np.linspace(0, 255, height))[:, None]
    coordinates[..., 2] = _MARK
    drawn = Film(np.repeat(coordinates[None], len(film.frames), 0), film.frames_per_second)
    blank = [Film(np.zeros_like(one.frames), one.frames_per_second) for one in partners]
    shown = applied(transform, name, drawn, blank).film.frames[len(film.frames) // 3]
    rows, columns = np.nonzero(np.abs(shown[..., 2].astype(int) - _MARK) <= 2)
    here = np.stack([columns, rows], axis=1).astype(np.float64)
    there = shown[rows, columns, :2] / 255.0 * (width, height)
    step = max(1, len(here) // 4000)
    matrix, mask = cv2.estimateAffine2D(
        there[::step].astype(np.float32),
        here[::step].astype(np.float32),
        # A level is more than three pixels of a wide picture.
        ransacReprojThreshold=5.0,
    )
    fits = mask.ravel().astype(bool)
    here, there = here[::step][fits], there[::step][fits]
    made: Float64Array = np.asarray(matrix, dtype=np.float64)
    mirrored = bool(np.linalg.det(made[:, :2]) < 0)
    rotation, stretch = turn_of(made, mirrored=mirrored)
    size = np.array([shown.shape[1], shown.shape[0]])
    return Truth(mirrored, rotation, around(here / size), around(there / (width, height)), stretch)


def around(points: Float64Array) -> Region:
    """The rectangle around points, float64 (N, 2)."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def outcome_of(edit: str, found: PictureTransform, truth: Truth, film: Film) -> str:
    """One of `OUTCOMES`."""
    turned = abs((found.rotation_degrees - truth.rotation_degrees + 180) % 360 - 180)
    coloured = float(np.ptp(film.frames[0].astype(int), axis=2).mean()) > 8.0
    if found.mirrored != truth.mirrored:
        return "mirrored"
    if turned > 2:
        return "rotation"
    if found.inverted != (edit == "negative") or found.grey != (edit == "grayscale" and coloured):
        return "colours"
    pairs = (
        (found.query_region, truth.query_region),
        (found.reference_region, truth.reference_region),
    )
    if min(overlap(*pair) for pair in pairs) < 0.8:
        return "regions"
    return "right" if abs(np.log(found.stretch / truth.stretch)) < np.log(1.08) else "stretch"


def overlap(first: Region, second: Region) -> float:
    """Intersection over union."""

    def area(left: float, top: float, right: float, bottom: float) -> float:
        return max(0.0, right - left) * max(0.0, bottom - top)

    shared = area(
        max(first[0], second[0]), max(first[1], second[1]),
        min(first[2], second[2]), min(first[3], second[3]),
    )  # fmt: skip
    return shared / max(1e-9, area(*first) + area(*second) - shared)


if __name__ == "__main__":
    main()
