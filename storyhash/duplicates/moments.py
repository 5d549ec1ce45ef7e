"""Thumbnails of the moments that two videos share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import VideoError
from storyhash.duplicates.file_reading import FileReader, Thumbnail
from storyhash.duplicates.overlaps import SharedRange
from storyhash.duplicates.ranking import RankedVideo
from storyhash.duplicates.report import GroupRow

MOMENTS_PER_PAIR = 3
# A shorter range shows little more than one picture.
_SHORT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The same moment in two videos. own, partner: its picture in each, or why there is none."""

    own_seconds: float
    partner_seconds: float
    own: Thumbnail | str
    partner: Thumbnail | str


class MomentReader:
    """Reads moments until `most` thumbnails were made; further pairs get none."""

    def __init__(self, reader: FileReader, most: int) -> None:
        self._reader = reader
        self._left = most
        self.left_out = 0
        """Pairs without thumbnails, as there were enough."""

    def of(self, row: GroupRow) -> list[Moment]:
        """Moments that a video shares with its partner; none where it has no partner."""
        if row.partner is None or not row.ranges:
            return []
        times = moments_in(row.ranges)[: self._left // 2]
        if not times:
            self.left_out += 1
            return []
        own_pictures = self._pictures(row.ranked, [seconds for seconds, _ in times])
        partner = self._pictures(row.partner.ranked, [other for _, other in times])
        return [
            Moment(own_seconds, partner_seconds, own_picture, partner_picture)
            for (own_seconds, partner_seconds), own_picture, partner_picture in zip(
                times, own_pictures, partner, strict=True
            )
        ]

    def _pictures(self, ranked: RankedVideo, times: Sequence[float]) -> list[Thumbnail | str]:
        if ranked.size is None:
            return [ranked.problem] * len(times)
        try:
            thumbnails = self._reader.thumbnails(ranked.video.uri, times)
        except VideoError as error:
            return [f"no picture: {error}"] * len(times)
        self._left -= len(thumbnails)
        return list(thumbnails)


def moments_in(ranges: Sequence[SharedRange]) -> list[tuple[float, float]]:
    """Times in either video, at most three, spread over the longest range."""
    longest = max(ranges, key=lambda shared: shared.first_end_seconds - shared.first_start_seconds)
    count = MOMENTS_PER_PAIR
    if longest.first_end_seconds - longest.first_start_seconds < _SHORT_SECONDS:
        count = 1
    shares = [(number + 0.5) / count for number in range(count)]
    return [
        (
            _between(longest.first_start_seconds, longest.first_end_seconds, share),
            _between(longest.second_start_seconds, longest.second_end_seconds, share),
        )
        for share in shares
    ]


def _between(start: float, end: float, share: float) -> float:
    return start + share * (end - start)
