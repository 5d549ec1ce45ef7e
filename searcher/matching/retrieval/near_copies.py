"""Groups videos that are hit for the same content, so that copies count once.

Two videos are in one group if the segments that one window hits in both are near-copies, or if both
follow the query in time over the same part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import Float32Array, Float64Array, Int64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.temporal_fit import TEMPI
from searcher.matching.protocols import SegmentIndex
from searcher.matching.retrieval.hits import ViewHits
from searcher.matching.scoring.calibration import Calibration

# Number of non-match groups after which grouping may stop: a few more than the background needs. Maximum
# number of videos that are grouped.
_MOST_VOTES, _MOST_VIDEOS = 28, 1500
# Hits of one window can have the same content only if their scores differ by at most _SCORE_STEP. Copies
# share at least this fraction of their windows. At most _COMPARED groups are compared.
_SCORE_STEP, _SHARED_WINDOWS, _COMPARED = 0.15, 0.5, 3
# A video follows the query if its hits along one line have this many windows and segments, span this many
# seconds, and are this fraction of its high hits.
_FOLLOW_WINDOWS, _FOLLOW_SEGMENTS, _FOLLOW_SECONDS, _FOLLOW_SHARE = 6, 3, 8.0, 0.7
# Maximum distance of a window and segment from the line.
_LINE_SECONDS = 3.0
_SAME_STRETCH = 0.5
_NEIGHBOURS = 1
# Number of vectors kept for further comparisons: in total (34 MB), and at most per video.
_KEPT_ROWS, _KEPT_OF_VIDEO = 16_000, 1000


@dataclass(frozen=True, slots=True)
class Group:
    """Videos with the same content. members: their numbers, best first. best: the best score. stretches:
    parts of the query that members follow in time, (start, end) in seconds. windows: those that hit a
    member. stands_out: whether it scores far above all other groups in its best window."""

    best: float
    members: list[int] = field(default_factory=list)
    stretches: list[tuple[float, float]] = field(default_factory=list)
    windows: set[int] = field(default_factory=set)
    stands_out: bool = False

    @property
    def is_copy(self) -> bool:
        """Whether the group shows copies of the query, whatever it scores, and so does not belong to the
        background."""
        return self.stands_out or bool(self.stretches)


def copy_level(view: str, calibration: Calibration) -> float:
    """The score half-way between non-matches and copies."""
    return (calibration.background_mean(view) + calibration.midpoint) / 2


class NearCopies:
    """Groups the videos that one query hits. If a video has few segments, its vectors are read only
    once."""

    def __init__(
        self, index: SegmentIndex, certain: float, cancellation: Cancellation = NEVER_CANCELLED
    ) -> None:
        """certain: segments with at least this similarity are copies. Methods raise CancelledError."""
        self._index = index
        self._certain = certain
        self._cancellation = cancellation
        self._kept: dict[str, VideoSegments] = {}
        self._kept_rows = 0

    def groups(self, hits: ViewHits, times: Float64Array, level: float, step: float) -> list[Group]:
        """The groups with the best scores, best first. Videos with lower scores are in no group.

        times: float64 (windows,), the middle of each window. level: minimum score of possible copies.
        step: how much higher than the others a group that stands out scores.
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
        """The number of a group with a video that is hit for the same content in this video's best
        window; None if there is none."""
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
        """float32 (n, 527), unit norm: the segment at this time, alone and added to each neighbour,
        because copies may be cut into segments at other times."""
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
    """The part of the query that a video follows in time, in seconds; None if it does not. Non-matches,
    even similar ones, are hit at random times."""
    # The best hit of each window, because the hits of a window are in order.
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
    """Whether a group scores far above all others in its best window. Two similar videos do not stand out
    beside each other; the clips of a compilation do, each in its own windows."""
    if group.best < level:
        return False
    rows = hits.of_video(group.members[0])
    around = hits.of_window(int(hits.windows[rows[np.argmax(hits.scores[rows])]]))
    others = hits.scores[around][~np.isin(hits.videos[around], group.members)]
    # Without other hits, it is only known that other videos score below the last hit.
    other = others.max() if len(others) else hits.scores[around].min()
    return bool(group.best - other >= step)


def _along(query: Float64Array, ref: Float64Array, tempo: float) -> Int64Array:
    """int64 (m,): the numbers of the pairs near that line of this tempo which has the most pairs."""
    offset = ref - tempo * query
    apart = np.sort(offset)
    last = np.searchsorted(apart, apart + 2 * _LINE_SECONDS, side="right")
    low = float(apart[int(np.argmax(last - np.arange(len(apart))))])
    return np.flatnonzero((offset >= low) & (offset <= low + 2 * _LINE_SECONDS))


def _same_stretch(groups: list[Group], stretch: tuple[float, float]) -> int | None:
    """The number of the first group with a member that follows the same part of the query; None if there
    is none."""
    for number, group in enumerate(groups):
        for start, end in group.stretches:
            both = min(end, stretch[1]) - max(start, stretch[0])
            if both >= _SAME_STRETCH * min(end - start, stretch[1] - stretch[0]):
                return number
    return None
