"""The demo: indexes synthetic videos, and matches edited copies and a non-match against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from common.types import UInt8Array
from common.video import encode_video
from storyhash.samples import (
    FRAMES_PER_SECOND,
    Edit,
    crop_and_brighten,
    film,
    letterbox_and_caption,
    mirror,
    unchanged,
    upside_down,
)

FILM_SECONDS = 4.0
# The seed of a video decides everything in it; seed modulo 8 chooses the scenery.
CATALOGUE = {"harbour": 8, "market": 9, "orchard": 10, "hall": 11, "valley": 12, "city": 13}
_NON_MATCH, _HOST = 102, 103


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """One query of the demo and its right answer; `video_id` is None for a non-match."""

    name: str
    video_id: str | None
    edit: Edit = unchanged
    crf: int = 23
    inside_another: bool = False

    @property
    def expected(self) -> str:
        return "no_match" if self.video_id is None else "copy"

    def frames(self) -> Iterator[UInt8Array]:
        """The query's pictures, 12 per second."""
        if self.video_id is None:
            return film(_NON_MATCH, FILM_SECONDS)
        copied = film(CATALOGUE[self.video_id], FILM_SECONDS)
        if self.inside_another:
            other = list(film(_HOST, FILM_SECONDS))
            half = len(other) // 2
            excerpt = list(copied)[: 4 * FRAMES_PER_SECOND]
            return chain(other[:half], excerpt, other[half:])
        return map(self.edit, copied)


QUERIES = (
    DemoQuery("harbour, heavily compressed", "harbour", crf=40),
    DemoQuery("market, cropped and brighter", "market", crop_and_brighten),
    DemoQuery("orchard, mirrored", "orchard", mirror),
    DemoQuery("hall, upside down", "hall", upside_down),
    DemoQuery("valley, letterboxed with a caption", "valley", letterbox_and_caption),
    DemoQuery("4 s of city inside another video", "city", inside_another=True),
    DemoQuery("a video that is not indexed", None),
)


def write_catalogue(folder: Path, seconds: float = FILM_SECONDS) -> None:
    """Draw the videos that are indexed, as `{name}.mp4`."""
    for name, seed in CATALOGUE.items():
        encode_video(folder / f"{name}.mp4", film(seed, seconds), FRAMES_PER_SECOND)


def write_queries(folder: Path) -> list[Path]:
    """Draw the videos that are matched, one file for each of `QUERIES`."""
    paths = []
    for number, query in enumerate(QUERIES):
        path = folder / f"query-{number}.mp4"
        encode_video(path, query.frames(), FRAMES_PER_SECOND, crf=query.crf)
        paths.append(path)
    return paths
