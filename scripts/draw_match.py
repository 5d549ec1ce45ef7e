#!/usr/bin/env python3
"""Draw docs/figures/match.png, the picture in README.md, and write the example in docs/match-json.md.

    python -m scripts.draw_match

The videos are those of `storyhash demo`, a little longer. The query is another video with 4 s of `city`
in the middle, mirrored. `storyhash index` and `storyhash match` find the match; picture and example show
what they print. Needs matplotlib (the extra `evaluation`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from common.probability_text import probability_text
from common.types import UInt8Array
from common.video import encode_video
from scripts.document import filled
from storyhash.demo import CATALOGUE, write_catalogue
from storyhash.samples import FRAMES_PER_SECOND, film, mirror

DOCS = Path(__file__).parents[1] / "docs"
PICTURE, EXAMPLE = DOCS / "figures" / "match.png", DOCS / "match-json.md"
_OTHER_SEED = 103
_FILM_SECONDS = 8.0
_FROM, _TO = 2, 6
"""Seconds of the reference that are copied; they begin at second 4 of the query."""
# A list of numbers, of which `json.dumps` writes each on a line of its own.
_REGION = re.compile(r"\[[\d.,\s]+\]")
_COPY, _CAPTION, _GREY = "#2f6fb3", "#123a63", "#555555"


def query() -> list[UInt8Array]:
    """4 s of another video, 4 s of `city` mirrored, and 4 s of the other video again."""
    rate = FRAMES_PER_SECOND
    other = list(film(_OTHER_SEED, _FILM_SECONDS))
    copied = list(film(CATALOGUE["city"], _FILM_SECONDS))[_FROM * rate : _TO * rate]
    return [*other[: 4 * rate], *map(mirror, copied), *other[4 * rate :]]


def answer(frames: list[UInt8Array], profile: str) -> dict[str, Any]:
    """Index the demo's videos, match the query, and return what `match --json` prints. Paths are those of
    a home folder, /home/me."""
    with tempfile.TemporaryDirectory() as scratch:
        videos, upload, data = (Path(scratch) / name for name in ("videos", "upload.mp4", "data"))
        videos.mkdir()
        write_catalogue(videos, _FILM_SECONDS)
        encode_video(upload, iter(frames), FRAMES_PER_SECOND)
        _storyhash("index", str(videos), "--data", str(data), "--profile", profile)
        printed = _storyhash("match", str(upload), "--data", str(data), "--json")
    return dict(json.loads(printed.replace(scratch, "/home/me")))


def example(found: dict[str, Any]) -> str:
    """The answer with only its best match and the best pair of it, without candidates, as a block of
    Markdown."""
    best = found["matches"][0]
    evidence = {**best["evidence"], "pairs": best["evidence"]["pairs"][:1]}
    shown = {**found, "matches": [{**best, "evidence": evidence}], "candidates": []}
    text = _REGION.sub(lambda region: str(json.loads(region[0])), json.dumps(shown, indent=2))
    return f"```json\n{text}\n```"


def _storyhash(*arguments: str) -> str:
    command = [sys.executable, "-m", "storyhash", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def draw(frames: list[UInt8Array], match: dict[str, Any], path: Path) -> None:
    """Two strips of one picture per second, and the two matched ranges joined by a band."""
    from matplotlib.figure import Figure

    reference = list(film(CATALOGUE["city"], _FILM_SECONDS))
    figure = Figure(figsize=(9.6, 3.9))
    axes = figure.add_axes((0.005, 0.01, 0.99, 0.98))
    axes.set_xlim(0, 12)
    axes.set_ylim(0, 4.9)
    axes.axis("off")
    start = 4 - _FROM  # The strips are placed so that the band runs straight down.
    for strip, left, bottom in ((frames, 0, 3.0), (reference, start, 0.75)):
        for second in range(len(strip) // FRAMES_PER_SECOND):
            picture = strip[second * FRAMES_PER_SECOND + FRAMES_PER_SECOND // 2][::2, ::2]
            extent = (left + second + 0.02, left + second + 0.98, bottom, bottom + 0.75)
            axes.imshow(picture, extent=extent, aspect="auto", interpolation="none")
    upper = [match["query_start_seconds"], match["query_end_seconds"]]
    lower = [start + match["ref_start_seconds"], start + match["ref_end_seconds"]]
    axes.fill([*upper, *reversed(lower)], [3.0, 3.0, 1.5, 1.5], color=_COPY, alpha=0.22, lw=0)
    for (left, right), bottom in ((upper, 3.0), (lower, 0.75)):
        axes.plot(
            np.array([left, right, right, left, left]),
            bottom + 0.75 * np.array([0, 0, 1, 1, 0]),
            color=_COPY,
            lw=2.5,
        )
    text: dict[str, Any] = {"ha": "center", "va": "center", "color": _GREY}
    axes.text(6, 4.0, "query: upload.mp4, 12 s", **text)
    axes.text(6, 0.5, f"reference: {match['video_id']} in the index, 8 s", **text)
    caption: dict[str, Any] = {"ha": "center", "va": "center", "color": _CAPTION}
    axes.text(6, 4.55, _in_words(match), fontsize=13, **caption)
    axes.text(sum(upper) / 2, 2.25, match["transform"]["words"], fontsize=12, **caption)
    figure.savefig(path, dpi=150)


def _in_words(match: dict[str, Any]) -> str:
    """The decision and both ranges, as a sentence."""
    return (
        f"{match['decision'].capitalize()} (probability {probability_text(match['probability'])}): "
        f"{match['query_start_seconds']:.1f}-{match['query_end_seconds']:.1f} s of the query are "
        f"{match['ref_start_seconds']:.1f}-{match['ref_end_seconds']:.1f} s of {match['video_id']}"
    )


def main() -> None:
    frames = query()
    found = answer(frames, "sscd-motion")
    draw(frames, found["matches"][0], PICTURE)
    text = filled(EXAMPLE.read_text(encoding="utf-8"), "figures: match", example(found))
    EXAMPLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
