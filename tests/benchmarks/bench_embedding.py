"""Indexing films end to end, beside the bound that decoding alone sets.

Films are drawn (854 x 480, 25 frames a second), or are those of --videos. Each profile indexes them into
an empty folder with the command line; the bound is how fast the decoder processes alone go through the
same files, packing nothing. Seconds of start-up are part of every figure.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2

from common.runtime_tuning import usable_cores, work_in_one_thread
from common.settings import Settings, SscdSettings
from common.types import UInt8Array
from common.video import Decoder, encode_video
from embedder.visual import sscd
from ingest.catalogue import read_catalog
from storyhash.samples import film
from tests.benchmarks.report import options, publish

_SIZE, _FPS, _SECONDS = (854, 480), 25.0, 20.0


def draw(folder: Path, count: int) -> None:
    """Films of 20 s."""
    for seed in range(count):
        frames = (_enlarged(frame) for frame in film(seed, _SECONDS * _FPS / 12))
        encode_video(folder / f"{seed:02}.mp4", frames, _FPS)


def _enlarged(frame: UInt8Array) -> UInt8Array:
    return cv2.resize(frame, _SIZE, interpolation=cv2.INTER_CUBIC)


def decode(path: str) -> float:
    """Seconds of one film, decoded as the decoder processes do."""
    work_in_one_thread()
    video = Settings().video
    decoder = Decoder(
        Path(path), video, frames_per_second=video.frames_per_second, short_side=video.short_side
    )
    for _ in decoder:
        pass
    return decoder.end_seconds


def decoding_bound(folder: Path) -> float:
    """Times real time at which every core does nothing but decode."""
    paths = [one.entry.uri for one in read_catalog([str(folder)], "default")]
    began = time.perf_counter()
    # A forked child would inherit OpenCV's thread pool without its threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(usable_cores(), mp_context=spawn) as executor:
        seconds = sum(executor.map(decode, paths))
    return round(seconds / (time.perf_counter() - began), 1)


def index(folder: Path, profile: str, data: Path) -> dict[str, Any]:
    """What `storyhash index --json` says of these films."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "storyhash", "index", str(folder)),
            *("--profile", profile, "--data", str(data), "--json"),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    told = json.loads(run.stdout)
    return {
        "realtime_factor": told["realtime_factor"],
        "milliseconds_of_work_a_second": {
            step: round(1000 * spent / told["video_seconds"], 1)
            for step, spent in told["stage_seconds"].items()
        },
    }


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument(
        "--videos", type=Path, help="a folder of films to use instead of drawn ones"
    )
    asked = parser.parse_args()
    profiles = ["offline", *(["sscd-motion"] if sscd.available(SscdSettings()) else [])]
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.videos or Path(scratch) / "films"
        if asked.videos is None:
            folder.mkdir()
            draw(folder, 3 if asked.quick else 24)
        bound = decoding_bound(folder)
        found = {name: index(folder, name, Path(scratch) / name) for name in profiles}
    ratios = {
        f"{name} over decoding alone": round(one["realtime_factor"] / bound, 2)
        for name, one in found.items()
    }
    publish(
        "embedding",
        {"decoding_alone_factor": bound, "profiles": found, "ratios": ratios},
        asked.json,
    )


if __name__ == "__main__":
    main()
