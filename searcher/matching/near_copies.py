"""Groups of videos that are hit for the same content, so that copies count once.

Two videos are of one group if the segments that one window hits in both are near-copies of each other,
or if both follow the query in time over the same stretch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import Float32Array, Float64Array, Int64Array
from searcher.index.state import VideoSegments
from searcher.matching.calibration import Calibration
from searcher.matching.hits import ViewHits
from searcher.matching.protocols import SegmentIndex
from searcher.matching.temporal_fit import TEMPI

# Groups of non-matches that are told apart: a few more than the background needs. Videos that are read.
_MOST_VOTES, _MOST_VIDEOS = 28, 1500
# Hits of one window that may be of one content differ at most this much in score; copies are hit in this
# share of windows together; this many groups are compared.
_SCORE_STEP, _SHARED_WINDOWS, _COMPARED = 0.15, 0.5, 3
# A video follows the query if it is hit in this many windows and segments along one line, over these
# seconds, with this share of its high hits.
_FOLLOW_WINDOWS, _FOLLOW_SEGMENTS, _FOLLOW_SECONDS, _FOLLOW_SHARE = 6, 3, 8.0, 0.7
# A window and a segment lie at most this far from the line.
_LINE_SECONDS = 3.0
_SAME_STRETCH = 0.5
_NEIGHBOURS = 1
# Vectors of videos kept to compare with others: 34 MB, and of one video.
_KEPT_ROWS, _KEPT_OF_VIDEO = 16_000, 1000


@dataclass(frozen=True, slots=True)
class Group:
    """Videos of one content. members: their numbers, the best first. best: the best score. stretches:
    what of the query members follow in time, (start, end) in seconds. windows: that hit a member.
    stands_out: whether it scores far higher than any other group in its best window."""

    best: float
    members: list[int] = field(default_factory=list)
    stretches: list[tuple[float, float]] = field(default_factory=list)
    windows: set[int] = field(default_factory=set)
    stands_out: bool = False

    @property
    def is_copy(self) -> bool:
        """Whether it is no non-match of the query, whatever it scores."""
        return self.stands_out or bool(self.stretches)


def copy_level(view: str, calibration: Calibration) -> float:
    """A score half-way between non-matches and copies."""
    return (calibration.background_mean(view) + calibration.midpoint) / 2


class NearCopies:
    """Groups the videos that one query hits. It reads each video's vectors once, where they are few."""

    def __init__(
        self, index: SegmentIndex, certain: float, cancellation: Cancellation = NEVER_CANCELLED
    ) -> None:
        """certain: segments that are more similar than this are copies."""
        self._index = index
        self._certain = certain
        self._cancellation = cancellation
        self._kept: dict[str, VideoSegments] = {}
        self._kept_rows = 0

    def groups(self, hits: ViewHits, times: Float64Array, level: float, step: float) -> list[Group]:
        """The groups with the best scores, the best first; videos that score lower are in none.

        times: float64 (windows,), the middle of each. level: of scores that may be copies'; step:
        how much higher than the others a group that stands out scores.
        """
        groups: list[Group] = []
        group_of: dict[int, int] = {}
        votes = 0
        order = np.argsort(-hits.best, kind="stable")[:_MOST_VIDEOS]
        for video in order.tolist():
            best = float(hits.best[video])
            if votes >= _MOST_VOTES and best < level:
                break
            windows = set(hits.windows[hits.of_video(video)].tolist())
            stretch = _followed(hits, video, times, level) if best >= level else None
            number = self._same_content(hits, video, windows, groups, group_of)
            if number is None and stretch is not None:
                number = _same_stretch(groups, stretch)
            if number is None:
                number = len(groups)
                groups.append(Group(best))
                votes += best < self._certain and stretch is None
            group_of[video] = number
            groups[number].members.append(video)
            groups[number].windows.update(windows)
            if stretch is not None:
                groups[number].stretches.append(stretch)
        return [
            replace(group, stands_out=_stands_out(hits, group, level, step)) for group in groups
        ]

    def _same_content(
        self,
        hits: ViewHits,
        video: int,
        windows: set[int],
        groups: list[Group],
        group_of: dict[int, int],
    ) -> int | None:
        """The group of which some video is hit with the same content in the video's best window."""
        own = hits.of_video(video)
        top = int(own[np.argmax(hits.scores[own])])
        around = hits.of_window(int(hits.windows[top]))
        near: dict[int, tuple[float, int]] = {}
        for row in range(around.start, around.stop):
            number = group_of.get(int(hits.videos[row]))
            apart = abs(float(hits.scores[row] - hits.scores[top]))
            if number is not None and apart <= _SCORE_STEP:
                near[number] = min(near.get(number, (apart, row)), (apart, row))
        least = _SHARED_WINDOWS * len(windows)
        likely = [
            (apart, row, number)
            for number, (apart, row) in near.items()
            if len(windows & groups[number].windows) >= least
        ]
        if not likely:
            return None
        mine = self._around(hits.names[video], float(hits.seconds[top]))
        for _, row, number in sorted(likely)[:_COMPARED]:
            other = self._around(hits.names[int(hits.videos[row])], float(hits.seconds[row]))
            if len(mine) and len(other) and float((mine @ other.T).max()) >= self._certain:
                return number
        return None

    def _around(self, video_id: str, seconds: float) -> Float32Array:
        """float32 (n, 527): the segment at this time, and it joined with either neighbour, because
        copies may be cut into segments at other times."""
        segments = self._segments(video_id)
        if not segments.refs:
            return np.zeros((0, 0), dtype=np.float32)
        middle = np.array([(ref.start_seconds + ref.end_seconds) / 2 for ref in segments.refs])
        at = int(np.argmin(np.abs(middle - seconds)))
        own = segments.vectors[at]
        near = segments.vectors[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1]
        rows = np.vstack([own[None], own + near])
        unit: Float32Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return unit

    def _segments(self, video_id: str) -> VideoSegments:
        kept = self._kept.get(video_id)
        if kept is not None:
            return kept
        self._cancellation.check()
        segments = self._index.vectors_of(video_id)
        count = len(segments.refs)
        if count <= min(_KEPT_OF_VIDEO, _KEPT_ROWS - self._kept_rows):
            self._kept[video_id] = segments
            self._kept_rows += count
        return segments


def _followed(
    hits: ViewHits, video: int, times: Float64Array, level: float
) -> tuple[float, float] | None:
    """The stretch of the query that a video follows in time; None if it does not. A non-match, also a
    look-alike, is hit here and there."""
    # The best hit of each window: hits of a window are in order.
    rows = np.sort(hits.of_video(video))
    _, first = np.unique(hits.windows[rows], return_index=True)
    rows = rows[first]
    rows = rows[hits.scores[rows] >= level]
    if len(rows) < _FOLLOW_WINDOWS:
        return None
    query, ref = times[hits.windows[rows]], hits.seconds[rows]
    if len(np.unique(ref)) < _FOLLOW_SEGMENTS:
        return None
    line = max((_along(query, ref, tempo) for tempo in TEMPI.tolist()), key=len)
    if len(line) < max(_FOLLOW_WINDOWS, _FOLLOW_SHARE * len(rows)):
        return None
    if len(np.unique(ref[line])) < _FOLLOW_SEGMENTS or np.ptp(ref[line]) < _FOLLOW_SECONDS:
        return None
    return float(query[line].min()), float(query[line].max())


def _stands_out(hits: ViewHits, group: Group, level: float, step: float) -> bool:
    """Two look-alikes do not stand out beside each other; clips of a compilation do, each in its own
    windows."""
    if group.best < level:
        return False
    rows = hits.of_video(group.members[0])
    around = hits.of_window(int(hits.windows[rows[np.argmax(hits.scores[rows])]]))
    others = hits.scores[around][~np.isin(hits.videos[around], group.members)]
    # Without others all that is known is that they score lower than the last hit.
    other = others.max() if len(others) else hits.scores[around].min()
    return bool(group.best - other >= step)


def _along(query: Float64Array, ref: Float64Array, tempo: float) -> Int64Array:
    """int64 (m,): the pairs near the line of this tempo that has most of them."""
    offset = ref - tempo * query
    apart = np.sort(offset)
    last = np.searchsorted(apart, apart + 2 * _LINE_SECONDS, side="right")
    low = float(apart[int(np.argmax(last - np.arange(len(apart))))])
    return np.flatnonzero((offset >= low) & (offset <= low + 2 * _LINE_SECONDS))


def _same_stretch(groups: list[Group], stretch: tuple[float, float]) -> int | None:
    """The first group with a member that follows the same stretch of the query."""
    for number, group in enumerate(groups):
        for start, end in group.stretches:
            both = min(end, stretch[1]) - max(start, stretch[0])
            if both >= _SAME_STRETCH * min(end - start, stretch[1] - stretch[0]):
                return number
    return None
