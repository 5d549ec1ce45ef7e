"""Calls every function that takes pictures of any size, with extreme sizes.

It runs as a module, so that a crash ends only this process. It prints each size before the calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np

from common.resize import shrink
from common.types import FrameBatch, UInt8Array
from embedder.tracking.flow import FlowFinder, moving_points, moving_regions, small_grey
from embedder.tracking.motion import MotionTracker
from embedder.tracking.objects import ObjectTracker
from embedder.tracking.proposals import Proposer
from embedder.visual.frame_quality import informative
from embedder.visual.offline.backend import OfflineBackend, prepared
from embedder.visual.sscd.preprocessing import squashed
from embedder.visual.views import VIEW_NAMES, apply_view
from tests.support.segmenters import PerfectSegmenter

# Width and height.
SHAPES = (
    *((1, 1), (2, 2), (3, 1), (1, 3), (16, 16), (33, 31), (5, 17), (127, 9)),
    *((2000, 2), (2, 2000), (2001, 1), (1, 2001), (800, 144), (144, 800), (81, 31), (160, 16)),
    *((96, 20), (799, 143), (320, 24), (24, 320), (130, 6), (6, 130)),
)
COUNTS = (0, 1, 3)


def pictures(width: int, height: int, count: int, kind: str) -> UInt8Array:
    """uint8 (count, height, width, 3). kind: "framed" is noise within a black frame, "flat" is one
    colour, "drifting" is moving noise."""
    rng = np.random.default_rng([width, height, count])
    made = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    if kind == "flat":
        made[...] = 90
    if kind == "framed":
        inside = (
            slice(None), slice(height // 4, -(height // 4) or None),
            slice(width // 4, -(width // 4) or None),
        )  # fmt: skip
        kept = made[inside].copy()
        made[...] = 0
        made[inside] = kept // 2 + 120
    if kind == "drifting" and count:
        made = np.stack([np.roll(made[0], 3 * step, axis=1) for step in range(count)])
    return made


@cache
def _offline() -> OfflineBackend:
    return OfflineBackend()


def _views(frames: UInt8Array) -> None:
    if not len(frames):
        return
    for name in VIEW_NAMES:
        seen = apply_view(frames, name)
        if seen is None:
            continue
        assert seen.size, f"{name}: an empty picture"
        informative(seen)
        squashed(list(seen), 64)
        # All pictures that the network gets have one size.
        assert np.isfinite(prepared(list(seen[:1]))).all()
    assert np.isfinite(_offline().encode(list(frames[:1]))).all()


def _flow(frames: UInt8Array) -> None:
    greys = [small_grey(frame) for frame in frames]
    finder = FlowFinder()
    for before, now in pairwise(greys):
        moving_regions(finder.residual(before, now))
        points = moving_points(before, now, finder)
        assert ((points >= 0) & (points <= 1)).all()


def _motion(frames: UInt8Array) -> None:
    MotionTracker().track(FrameBatch(frames, np.arange(len(frames)) / 8))


def _objects(frames: UInt8Array) -> None:
    tracker = ObjectTracker("perfect", PerfectSegmenter(), Proposer(0.5, 0.5), 8.0)
    tracker.track(FrameBatch(frames, np.arange(len(frames)) / 8))


def _shrink(frames: UInt8Array) -> None:
    for size in ((1, 1), (32, 32), (160, 32), (7, 300)) if len(frames) else ():
        assert shrink(frames[0], *size).shape[:2] == size[::-1]


CALLS: tuple[Callable[[UInt8Array], None], ...] = (_shrink, _flow, _motion, _objects, _views)


def main() -> None:
    only = [tuple(map(int, one.split("x"))) for one in sys.argv[1:]] or SHAPES
    for width, height in only:
        for count in COUNTS:
            for kind in ("framed", "flat", "drifting") if count else ("none",):
                frames = pictures(width, height, count, kind)
                for call in CALLS:
                    sys.stdout.write(f"{width}x{height} {count} {kind} {call.__name__}\n")
                    sys.stdout.flush()
                    call(frames)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
