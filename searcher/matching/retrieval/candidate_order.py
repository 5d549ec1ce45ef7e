"""Chooses candidates among the videos that were hit."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float64Array
from searcher.matching.retrieval.hits import ViewHits
from searcher.matching.retrieval.near_copies import Group
from searcher.matching.scoring.calibration import Calibration

# Per query, or per piece of a long one: maximum number of candidates that may match, and number of
# candidates that are compared in any case.
MAX_CANDIDATES, LISTED_CANDIDATES = 256, 32
# Videos compete within parts of the query of this length.
_STRETCH_SECONDS = 4.0
# A policy may send everything to review. Beyond LISTED_CANDIDATES, less probable videos are not compared.
_LEAST_PROBABILITY = 0.01


@dataclass(frozen=True, slots=True)
class Promise:
    """The hits through one view. groups: groups of near-copies. times: float64 (windows,), seconds.
    shift: a hit's score plus this is its normalised score."""

    hits: ViewHits
    groups: Sequence[Group]
    times: Float64Array
    shift: float


def choose(
    promises: Sequence[Promise],
    calibration: Calibration,
    least_probability: float,
    most: int = MAX_CANDIDATES,
) -> tuple[tuple[str, ...], str]:
    """The candidates, most promising first, and a message about videos that exceed the limit (empty if
    none do).

    The candidates are all videos that can reach `least_probability`, up to `most`; if they are fewer than
    LISTED_CANDIDATES, the next best ones are added. If there are too many, every part of the query gets
    its best videos, and within a part each content comes before further copies of the same content.
    """
    values: dict[str, float] = {}
    for promise in promises:
        for name, score in zip(promise.hits.names, promise.hits.best.tolist(), strict=True):
            values[name] = max(score + promise.shift, values.get(name, -math.inf))
    ranked = sorted(values, key=lambda name: (-values[name], name))
    least = max(least_probability, _LEAST_PROBABILITY)
    # No run of a video has a higher score than its best window.
    likely = [name for name in ranked if calibration.probability(values[name], math.inf) >= least]
    if len(likely) <= most:
        return tuple(ranked[: max(len(likely), LISTED_CANDIDATES)]), ""
    chosen = set(_fairest(promises, set(likely), most))
    return (
        tuple(name for name in likely if name in chosen),
        f"{len(likely):,} videos may match; the {most} most promising were compared",
    )


def _fairest(promises: Sequence[Promise], likely: set[str], most: int) -> list[str]:
    """The best `most` videos, taken in turns from the parts of the query."""
    best: dict[int, dict[str, tuple[float, tuple[int, int]]]] = defaultdict(dict)
    for view, promise in enumerate(promises):
        hits = promise.hits
        group_of = {
            member: number
            for number, group in enumerate(promise.groups)
            for member in group.members
        }
        stretches = (promise.times[hits.windows] // _STRETCH_SECONDS).astype(np.int64)
        rows = zip(stretches.tolist(), hits.videos.tolist(), hits.scores.tolist(), strict=True)
        for stretch, video, score in rows:
            name = hits.names[video]
            if name in likely:
                # A video without a group gets its own label.
                label = (view, group_of.get(video, -1 - video))
                found = (score + promise.shift, label)
                best[stretch][name] = max(found, best[stretch].get(name, found))
    turns: list[tuple[int, float, str]] = []
    for videos in best.values():
        taken: Counter[tuple[int, int]] = Counter()
        order = []
        for name, (value, label) in sorted(videos.items(), key=lambda item: (-item[1][0], item[0])):
            order.append((taken[label], -value, name))
            taken[label] += 1
        turns += [(turn, value, name) for turn, (_, value, name) in enumerate(sorted(order))]
    return list(dict.fromkeys(name for _, _, name in sorted(turns)))[:most]
