"""Bytes of thumbnails per hour of video, and milliseconds to make those of a second of video.

`--videos DIR`: its files (default: six drawn videos of 8 s). Each is decoded as for indexing, at the rate
at which the embedder describes frames. Without `--quick` all of each file is read, otherwise a minute.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.errors import VideoError
from common.settings import ThumbnailSettings, VideoSettings
from common.thumbnails import INTERVAL_SECONDS
from common.video import Decoder, Frame
from embedder.clip_opening import SampledFrames
from embedder.thumbnails import make_thumbnails
from storyhash.demo import write_catalogue
from tests.benchmarks.report import options, publish

_DRAWN_SECONDS = 8.0
_QUICK_SECONDS = 60.0
# Frames that are held at once, as in two segments.
_AT_ONCE = 16


def _sampled(path: Path, seconds: float) -> Iterator[SampledFrames]:
    settings = VideoSettings()
    rate = 1 / INTERVAL_SECONDS
    decoder = Decoder(path, settings, frames_per_second=rate, short_side=settings.short_side)
    frames = []
    for frame in decoder:
        if frame.pts_seconds >= seconds:
            break
        frames.append(frame)
        if len(frames) == _AT_ONCE:
            yield _together(frames)
            frames.clear()
    if frames:
        yield _together(frames)


def _together(frames: Sequence[Frame]) -> SampledFrames:
    pictures = np.stack([frame.rgb for frame in frames])
    times = np.array([frame.pts_seconds for frame in frames])
    return SampledFrames(pictures, np.ones(len(pictures), bool), times)


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=Path, help="folder of videos")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-thumbnails-") as name:
        folder = asked.videos
        if folder is None:
            folder = Path(name)
            write_catalogue(folder, _DRAWN_SECONDS)
        sizes: list[int] = []
        spent = 0.0
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            try:
                for sampled in _sampled(path, _QUICK_SECONDS if asked.quick else np.inf):
                    began = time.perf_counter()
                    sizes += [
                        len(one.webp) for one in make_thumbnails(sampled, ThumbnailSettings())
                    ]
                    spent += time.perf_counter() - began
            except VideoError:
                continue
    hours = len(sizes) * INTERVAL_SECONDS / 3600
    publish(
        "thumbnails",
        {
            "hours": round(hours, 3),
            "pictures": len(sizes),
            "megabytes_per_hour": round(sum(sizes) / hours / 1e6, 2),
            "bytes_per_picture": {
                "mean": round(float(np.mean(sizes))),
                "p95": round(float(np.quantile(sizes, 0.95))),
                "most": max(sizes),
            },
            "milliseconds_per_second_of_video": round(1000 * spent / (3600 * hours), 2),
        },
        asked.json,
    )


if __name__ == "__main__":
    main()
