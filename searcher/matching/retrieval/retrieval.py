"""Retrieval: the candidates are the videos with a segment near some window of some view.

Copies in the catalogue must neither hide other videos nor change the background mean. So near-copies are
grouped first, each group counts once in the background mean, and a window whose hits are mostly copies of
one content is searched for more hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.tracing import step
from common.types import BoolArray, Float32Array, Float64Array, Int64Array
from searcher.index.state import Filter
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import QueryWindows, ViewWindows
from searcher.matching.retrieval.candidate_order import (
    LISTED_CANDIDATES,
    MAX_CANDIDATES,
    Promise,
    choose,
)
from searcher.matching.retrieval.hits import HITS_PER_WINDOW, MOST_HITS, ViewHits
from searcher.matching.retrieval.near_copies import Group, NearCopies, copy_level
from searcher.matching.scoring.calibration import BackgroundScores, Calibration
from searcher.matching.scoring.false_positives import ScoreTail

# Maximum number of hits per search call.
_HITS_AT_ONCE = 5120
_DEEPER = 4
# Maximum number of additional hits per piece. Beyond it, some windows are not searched for more.
_DEEPER_HITS = 400_000
# Two hits of one group in the same window with at most this score difference are copies of each other.
_COPY_STEP = 0.005
# Ranks of the background scores: the best few may be copies, and later ones add nothing.
_FIRST_RANK, _LAST_RANK = 2, 25


@dataclass(frozen=True, slots=True)
class Retrieval:
    """candidates: video ids, most promising first. backgrounds, tails: by view name; a view with few
    non-matches has no tail. truncated: what was not searched or compared because of a limit; empty if
    nothing."""

    candidates: tuple[str, ...]
    backgrounds: Mapping[str, BackgroundScores]
    truncated: str = ""
    tails: Mapping[str, ScoreTail] = field(default_factory=dict)


@step("search candidates")
def retrieve(
    query: QueryWindows,
    index: SegmentIndex,
    calibration: Calibration,
    only: Filter,
    cancellation: Cancellation = NEVER_CANCELLED,
    floor: float | None = None,
    most_candidates: int = MAX_CANDIDATES,
) -> Retrieval:
    """The candidates of a query, or of a piece of one, and its backgrounds.

    floor: probability that a candidate must be able to reach (default: the calibration's
    `review_probability`). most_candidates: maximum number of those that can. Raises CancelledError.
    """
    # A caller that allows only few candidates finds further copies in another way.
    deepest = MOST_HITS if most_candidates > LISTED_CANDIDATES else HITS_PER_WINDOW
    search = _Search(query, index, calibration, only, cancellation, deepest)
    backgrounds: dict[str, BackgroundScores] = {}
    tails: dict[str, ScoreTail] = {}
    promises: list[Promise] = []
    for view in query.views:
        found = search.view(view)
        if found is None:
            continue
        hits, groups, times = found
        scores = _non_matches(groups, calibration.certain)
        backgrounds[view.name] = background = background_scores(scores)
        tail = ScoreTail.of(scores, _FIRST_RANK)
        if tail is not None:
            tails[view.name] = tail
        shift = calibration.normalised_score(0.0, view.name, background)
        promises.append(Promise(hits, groups, times, shift))
    least = calibration.review_probability if floor is None else floor
    candidates, truncated = choose(promises, calibration, least, most_candidates)
    return Retrieval(candidates, backgrounds, truncated or search.truncated, tails)


class _Search:
    """Searches the views of one query. truncated: see `Retrieval`."""

    def __init__(
        self,
        query: QueryWindows,
        index: SegmentIndex,
        calibration: Calibration,
        only: Filter,
        cancellation: Cancellation,
        deepest: int,
    ) -> None:
        self._query = query
        self._index = index
        self._calibration = calibration
        self._only = only
        self._deepest = deepest
        self._cancellation = cancellation
        self._near_copies = NearCopies(index, calibration.certain, cancellation)
        self._left = _DEEPER_HITS
        self.truncated = ""

    def view(self, view: ViewWindows) -> tuple[ViewHits, list[Group], Float64Array] | None:
        """The hits through a view, their groups, and the times of the windows in seconds; None without
        hits."""
        chosen = self._query.searched[view.windows]
        vectors, windows = view.vectors[chosen], view.windows[chosen]
        spans = self._query.windows
        times = (spans.starts[windows] + spans.ends[windows]) / 2
        level = copy_level(view.name, self._calibration)
        step = level - self._calibration.background_mean(view.name)
        hits = self._nearest(vectors, np.arange(len(vectors)), HITS_PER_WINDOW)
        if not len(hits.windows):
            return None
        depth = HITS_PER_WINDOW
        while True:
            groups = self._near_copies.groups(hits, times, level, step)
            copies = _copies(hits, groups, level)
            lacking = _lacking(hits, copies, depth)
            if not len(lacking):
                break
            if depth == self._deepest:
                self.truncated = (
                    f"more than {self._deepest:,} segments of the catalogue are as near to one part of "
                    "the query; videos beyond them were not compared"
                )
                break
            depth = min(_DEEPER * depth, MOST_HITS)
            lacking = self._within_bounds(lacking, depth)
            if not len(lacking):
                break
            kept = hits.only(~np.isin(hits.windows, lacking))
            hits = ViewHits.joined([kept, self._nearest(vectors, lacking, depth)])
        return _counted(hits, copies), groups, times

    def _within_bounds(self, lacking: Int64Array, depth: int) -> Int64Array:
        """As many of the windows as the limit allows, evenly spread."""
        most = self._left // depth
        if len(lacking) > most:
            self.truncated = (
                "so many parts of the query are shown by very many videos that not all parts were "
                "searched for more"
            )
            step = -(-len(lacking) // most) if most else len(lacking) + 1
            lacking = lacking[::step] if most else lacking[:0]
        self._left -= len(lacking) * depth
        return lacking

    def _nearest(self, vectors: Float32Array, windows: Int64Array, depth: int) -> ViewHits:
        """The `depth` nearest segments of each of these windows, int64 (n,). Raises CancelledError."""
        parts = []
        step = max(1, _HITS_AT_ONCE // depth)
        for first in range(0, len(windows), step):
            self._cancellation.check()
            some = windows[first : first + step]
            found = self._index.search(vectors[some], depth, self._only)
            parts.append(ViewHits.of(dict(zip(some.tolist(), found, strict=True))))
        return ViewHits.joined(parts)


def _lacking(hits: ViewHits, copies: BoolArray, depth: int) -> Int64Array:
    """int64 (n,): the windows with `depth` hits of which too few count, because the others are copies."""
    if not copies.any():
        return np.zeros(0, dtype=np.int64)
    count = int(hits.windows.max()) + 1
    all_hits = np.bincount(hits.windows, minlength=count)
    counted = all_hits - np.bincount(hits.windows[copies], minlength=count)
    return np.flatnonzero((all_hits == depth) & (counted < HITS_PER_WINDOW))


def _counted(hits: ViewHits, copies: BoolArray) -> ViewHits:
    """The hits of each window up to the last one that counts."""
    counts = np.cumsum(~copies)
    first = np.searchsorted(hits.windows, hits.windows)
    rank: Int64Array = counts - (counts - (~copies))[first]
    return hits.only((rank < HITS_PER_WINDOW) | ((rank == HITS_PER_WINDOW) & ~copies))


def _copies(hits: ViewHits, groups: list[Group], level: float) -> BoolArray:
    """bool (hits,): hits that add no content, because another video of the group is hit for the same
    content in the same window. They do not count among a window's nearest hits."""
    group_of = np.full(len(hits.names), -1)
    for number, group in enumerate(groups):
        if len(group.members) > 1:
            group_of[group.members] = number
    copies = np.zeros(len(hits.windows), dtype=bool)
    rows = np.flatnonzero(group_of[hits.videos] >= 0)
    # Per window and group: the video with the best hit, and the score of its last hit.
    leading: dict[tuple[int, int], int] = {}
    last: dict[tuple[int, int], float] = {}
    for row in rows.tolist():
        key = (int(hits.windows[row]), int(group_of[hits.videos[row]]))
        video, score = int(hits.videos[row]), float(hits.scores[row])
        if leading.setdefault(key, video) == video:
            last[key] = score
        else:
            copies[row] = score >= level or last[key] - score <= _COPY_STEP
            if not copies[row]:
                last[key] = score
    return copies


def _non_matches(groups: list[Group], certain: float) -> Float64Array:
    """The scores of the non-matches of a view: each group contributes its best score."""
    return non_match_scores(
        np.array([group.best for group in groups]),
        certain,
        np.array([group.is_copy for group in groups]),
    )


def background_scores(scores: Float64Array) -> BackgroundScores:
    return (
        BackgroundScores(float(scores.mean()), len(scores)) if len(scores) else BackgroundScores()
    )


def non_match_scores(
    scores: Float64Array, certain: float, copies: BoolArray | None = None
) -> Float64Array:
    """The background scores in descending order, float64 (m,). scores: float64 (n,), the best score of
    each group of videos.

    The first few are skipped, because they may be copies. Scores of at least `certain` are always
    excluded, so that a video with many copies in the catalogue does not raise its own background. copies:
    bool (n,), groups that are copies by other evidence; they are excluded too.
    """
    usable = scores < certain
    order = np.argsort(-scores[usable], kind="stable")[_FIRST_RANK:]
    kept = scores[usable][order]
    if copies is not None:
        kept = kept[~copies[usable][order]]
    return kept[: _LAST_RANK - _FIRST_RANK]
