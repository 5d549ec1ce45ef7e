"""`scripts/measure_memory embedder`: the most memory an embedder takes for the worst batch it accepts.

The batch is as many segments as a GPU is given at once, each the longest, with the most frames of the
most pixels. Bound and measure are of the embedder's own process, beyond what it has after one ordinary
segment; a child that opens clips has a bound of its own (STORYHASH_VIDEO__MEMORY_MIB).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from common.settings import Settings, load_settings
from common.types import FrameBatch, Segment, SegmentRef
from common.video import encode_clip
from embedder.clip_opening import clip_bounds
from embedder.clip_processes import AHEAD_MIB
from embedder.stage import BATCH_MIB
from storyhash.profiles import build_stage, resolve_profile
from tests.support.services import children

# Segments a GPU is given at once: 512 pictures, 8 of each.
_SEGMENTS = 64
# Beside the pictures: what a network makes of some of them.
_WORKING_MIB = 256


def bound_mib() -> int:
    """What a batch may take in the embedder's own process."""
    return BATCH_MIB + AHEAD_MIB + _WORKING_MIB


def worst_segment(settings: Settings, number: int) -> Segment:
    """The longest clip of the most pixels that is accepted."""
    bounds = clip_bounds(settings.video, settings.ingest)
    width = 1280
    height = bounds.max_pixels // width // 2 * 2
    rng = np.random.default_rng(number)
    tile = rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    still = np.kron(tile, np.ones((16, 16, 1), np.uint8))
    still = np.pad(still, ((0, height - still.shape[0]), (0, 0), (0, 0)), mode="edge")
    frames = np.stack([np.roll(still, 8 * step, axis=1) for step in range(bounds.max_frames)])
    seconds = bounds.max_frames / settings.video.frames_per_second
    times = np.arange(bounds.max_frames) / settings.video.frames_per_second
    clip = encode_clip(
        FrameBatch(frames, times), start_seconds=0.0, max_bytes=settings.video.max_clip_bytes
    )
    return Segment(SegmentRef(f"worst-{number}", 0.0, seconds), clip)


def measure(profile: str, segments: int) -> dict[str, float | int | str]:
    """Embed the batch in this process."""
    settings = load_settings(profile=profile)
    stage = build_stage(resolve_profile(settings), settings)
    # Clips are made elsewhere: what that needs is no part of it.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        worst = list(pool.map(worst_segment, [settings] * 2, range(2)))
    small = Segment(SegmentRef("small", 0.0, 4.0), _small_clip())
    stage.process([small])
    before = _status(os.getpid(), "VmRSS")
    stage.process([worst[number % len(worst)] for number in range(segments)])
    peak = _status(os.getpid(), "VmHWM")
    return {
        "profile": profile,
        "segments": segments,
        "before_mib": round(before, 1),
        "peak_mib": round(peak, 1),
        "batch_mib": round(peak - before, 1),
        "bound_mib": bound_mib(),
        "child_peak_mib": round(max(_status(pid, "VmHWM") for pid in children(os.getpid())), 1),
        "child_bound_mib": settings.video.memory_mib,
    }


def _small_clip() -> bytes:
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (32, 30, 40, 3), dtype=np.uint8), np.ones((1, 8, 8, 1)))
    batch = FrameBatch(frames.astype(np.uint8), np.arange(32) / 8)
    return encode_clip(batch, start_seconds=0.0, max_bytes=1 << 22)


def _status(pid: int, name: str) -> float:
    """MiB, from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/measure_memory embedder", description=__doc__)
    parser.add_argument("--profile", default="offline", help="Profile to embed with.")
    parser.add_argument("--segments", type=int, default=_SEGMENTS, help="Segments in the batch.")
    parser.add_argument("--json", type=Path, help="Also write the figures here.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STORYHASH_DATA_DIR"] = folder
        figures = measure(asked.profile, asked.segments)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    over = figures["batch_mib"] > figures["bound_mib"]  # type: ignore[operator]
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
