"""Which pictures of a match are compared, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from common.sandbox.limits import Check
from common.thumbnails import Thumbnail
from common.types import Match, UInt8Array

PictureKind: TypeAlias = Literal["file", "thumbnails"]
"""Where the pictures of a video come from."""

REFERENCE_SIDE = 240
"""Pixels of the short side. A thumbnail is enlarged to it."""
QUERY_SIDES: Mapping[PictureKind, int] = {"file": 360, "thumbnails": REFERENCE_SIDE}
"""The same for the query. A picture in a picture may be a quarter of it. Larger thumbnails show no
more."""
# Shares of the matched range at which the pictures are compared.
_SHARES = (0.25, 0.5, 0.75)
# Times found by matching are wrong by up to half a second.
_STEPS_SECONDS = (0.0, -0.25, 0.25, -0.5, 0.5)
# Without an order in time, a window of the query lies somewhere in its most similar segment.
_MOST_GUESSES = 9


class Pictures(Protocol):
    """The pictures of one video."""

    @property
    def kind(self) -> PictureKind:
        """Where they come from; the clips of a decoded query count as its file."""
        ...

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        """One picture, uint8 (H, W, 3), per time; its short side is at most `side` pixels.

        times: increasing, seconds. check: called while it waits; its errors end the reading. Raises
        VideoError and its subclasses.
        """
        ...


class PictureSource(Protocol):
    """Opens videos by their URI."""

    def of_uri(self, uri: str) -> Pictures | None:
        """The pictures of a video; None if its file is not on this machine."""
        ...


class StoredThumbnails(Protocol):
    """The thumbnails of one video."""

    def nearest(self, times: Sequence[float]) -> Sequence[Thumbnail]:
        """The picture nearest to each of these times, seconds. Raises StorageError."""
        ...


@dataclass(frozen=True, slots=True)
class References:
    """Where the pictures of a catalogue's videos are, by their ids. uri_of: the URI of a video.
    thumbnails_of: its thumbnails, None if it has none."""

    uri_of: Callable[[str], str]
    thumbnails_of: Callable[[str], StoredThumbnails | None] = lambda video_id: None


class ThumbnailDecoder(Protocol):
    """Opens thumbnails."""

    def of_thumbnails(self, thumbnails: StoredThumbnails) -> Pictures:
        """The pictures of a video from its thumbnails. Reading them raises StorageError too."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """A moment of the query, and where the reference may show it, best guess first; seconds."""

    query_seconds: float
    reference_seconds: tuple[float, ...]


def times_of(match: Match) -> list[Times]:
    """Up to three moments of a match."""
    tempo = match.evidence.get("tempo")
    if tempo is None:
        return _times_of_pairs(match.evidence.get("pairs", ()))
    start, length = (match.query_start_seconds, match.query_end_seconds - match.query_start_seconds)
    ref_length = match.ref_end_seconds - match.ref_start_seconds
    times = []
    for share in _SHARES:
        place = match.ref_start_seconds + ref_length * (share if tempo > 0 else 1.0 - share)
        guesses = tuple(max(0.0, place + step) for step in _STEPS_SECONDS)
        times.append(Times(start + share * length, guesses))
    return times


def _times_of_pairs(pairs: Sequence[Mapping[str, object]]) -> list[Times]:
    """From the most similar pairs of a window and a segment."""
    best = sorted(pairs, key=lambda pair: -float(str(pair["similarity"])))[: len(_SHARES)]
    times = []
    for pair in best:
        start, end = (
            int(number) / 1000 for number in str(pair["segment_id"]).rpartition("@")[2].split("-")
        )
        step = (end - start) / _MOST_GUESSES
        guesses = [start + (number + 0.5) * step for number in range(_MOST_GUESSES)]
        guesses.sort(key=lambda guess: abs(guess - (start + end) / 2))
        middle = (
            float(str(pair["query_start_seconds"])) + float(str(pair["query_end_seconds"]))
        ) / 2
        times.append(Times(middle, tuple(guesses)))
    return sorted(times, key=lambda one: one.query_seconds)
