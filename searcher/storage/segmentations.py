"""Which segments of a video follow one another, where two producers have cut it in different ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from common.types import SegmentRef

# A version has one segmentation; more than a few others nobody sends by mistake.
_MOST_LENGTHS = 8


def segmentations(refs: Iterable[SegmentRef]) -> Iterator[list[str]]:
    """Segment ids that follow one another without a gap from the first on, one list for each of the most
    common lengths; the last segment of each may be shorter or longer."""
    # Milliseconds: where segments begin, each with where it ends.
    by_start: dict[int, dict[int, str]] = {}
    lengths: Counter[int] = Counter()
    for ref in refs:
        start, end = round(ref.start_seconds * 1000), round(ref.end_seconds * 1000)
        by_start.setdefault(start, {})[end] = ref.segment_id
        lengths[end - start] += 1
    for length, _ in lengths.most_common(_MOST_LENGTHS):
        names, at = [], min(by_start)
        while at in by_start:
            ends = by_start[at]
            at = at + length if at + length in ends else max(ends)
            names.append(ends[at])
        yield names
