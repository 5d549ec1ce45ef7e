"""The profiles of CLIP and SAM 2 end to end, and each network beside its reference, on random weights.

Speed and memory do not depend on what weights say, so none are downloaded: networks of the published
sizes are written with random ones (--quick: tiny ones). Films are drawn, or are those of --videos. Each
profile indexes them and matches them again with the command line. The peers are CLIPImageProcessor and
CLIPVisionModelWithProjection one picture at a time, and SAM 2's own iterator over a whole video with as
many things. Memory is the largest process'; the longest film is indexed at half and at full length.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from common.settings import ClipSettings, DeviceSettings, Sam2Settings, Settings
from common.types import UInt8Array
from common.video import Decoder, encode_video
from embedder.tracking.sam2.segmenter import Sam2Segmenter
from embedder.visual.clip import ClipBackend
from ingest.catalogue import read_catalog
from scripts.random_weights import write
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.benchmarks.report import options, publish

_PROFILES = ("clip-sam2", "clip-motion", "sscd-sam2")
_POINTS = np.array([[0.3, 0.4], [0.6, 0.5], [0.8, 0.25]])


def run(settings: dict[str, str], *arguments: str) -> tuple[list[Any], float]:
    """JSON lines that `storyhash` prints, and the MiB of its largest process."""
    read, written = os.pipe()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "storyhash", *arguments, "--json"],
        {**os.environ, **settings},
        file_actions=[(os.POSIX_SPAWN_DUP2, written, 1), (os.POSIX_SPAWN_CLOSE, read)],
    )
    os.close(written)
    with os.fdopen(read) as stream:
        lines = [json.loads(line) for line in stream]
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"storyhash {' '.join(arguments)} failed")
    return lines, round(usage.ru_maxrss / 1024, 1)


def profile_figures(
    profile: str, films: list[str], settings: dict[str, str], data: Path
) -> dict[str, Any]:
    """What indexing and matching the films takes."""
    place = ("--data", str(data))
    (told,), index_memory = run(settings, "index", *films, *place, "--profile", profile)
    began = time.perf_counter()
    answers, match_memory = run(settings, "match", *films, *place)
    elapsed = time.perf_counter() - began
    seconds, spent = told["video_seconds"], told["stage_seconds"]
    tracked = 8.0 if profile.endswith("motion") else Sam2Settings().frames_per_second
    return {
        "films": told["indexed"],
        "video_seconds": round(seconds, 1),
        "realtime_factor": told["realtime_factor"],
        "pictures_a_second": round(2.0 * seconds / spent["visual encode"], 1),
        "tracked_frames_a_second": round(tracked * seconds / spent["track"], 2),
        "milliseconds_of_work_a_second": {
            step: round(1000 * value / seconds, 1) for step, value in spent.items()
        },
        "index_peak_mib": index_memory,
        "match_seconds": round(elapsed, 1),
        "match_peak_mib": match_memory,
        "answers": len(answers),
    }


def memory_by_length(
    source: Path, settings: dict[str, str], scratch: Path
) -> dict[str, dict[str, float]]:
    """MiB of the process that indexes the longest film, at half and at full length."""
    found = {}
    for label, share in (("half", 0.5), ("full", 1.0)):
        decoder = Decoder(source, Settings().video, frames_per_second=8.0, short_side=480)
        frames = [frame.rgb for frame in decoder]
        path = scratch / f"{label}.mp4"
        encode_video(path, iter(frames[: int(share * len(frames))]), 8.0)
        place = ("--data", str(scratch / label), "--profile", "clip-sam2")
        (told,), memory = run(settings, "index", str(path), *place)
        found[label] = {"video_seconds": told["video_seconds"], "peak_mib": memory}
    return found


def rate(work: Callable[[], int]) -> float:
    """Items a second, the second time `work` is done."""
    work()
    began = time.perf_counter()
    count = work()
    return round(count / (time.perf_counter() - began), 2)


def _encoded(backend: ClipBackend, pictures: list[UInt8Array]) -> int:
    return len(backend.encode(pictures))


def clip_beside_reference(folder: Path, pictures: list[UInt8Array]) -> dict[str, float]:
    """Pictures a second: ours in batches, ours in full precision, and the reference."""
    settings = ClipSettings(model=str(folder))
    found = {}
    for label, precision in (("ours", "auto"), ("ours fp32", "fp32")):
        device = DeviceSettings.model_validate({"precision": precision})
        backend = ClipBackend(settings, device)
        found[f"{label} ({backend.precision})"] = rate(partial(_encoded, backend, pictures))
    processor = transformers.CLIPImageProcessor()
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(folder).eval()

    def reference() -> int:
        with torch.inference_mode():
            for picture in pictures:
                model(**processor(images=picture, return_tensors="pt"))
        return len(pictures)

    return {**found, "reference": rate(reference)}


def sam2_beside_reference(folder: Path, size: int, frames: UInt8Array) -> dict[str, float]:
    """Frames a second with three things: ours, streamed, and transformers' own iterator."""
    found = {}
    for label, precision in (("ours", "auto"), ("ours fp32", "fp32")):
        settings = Sam2Settings(model=str(folder), image_size=size)
        device = DeviceSettings.model_validate({"precision": precision})
        segmenter = Sam2Segmenter(settings, device)

        def ours(segmenter: Sam2Segmenter = segmenter) -> int:
            session = segmenter.start(len(frames))
            for moment, frame in enumerate(frames):
                session.look(frame)
                if moment == 0:
                    session.follow([0, 1, 2], _POINTS)
            return len(frames)

        mixed = "mixed" if segmenter.network.mixed else "fp32"
        found[f"{label} ({mixed})"] = rate(ours)
    shape = {"height": size, "width": size}
    processor = transformers.Sam2VideoProcessor(
        image_processor=transformers.Sam2ImageProcessor(size=shape),
        video_processor=transformers.Sam2VideoVideoProcessor(size=shape),
    )
    model = segmenter.network.model
    height, width = frames.shape[1:3]

    def reference() -> int:
        session = processor.init_video_session(video=list(frames), dtype=torch.float32)
        processor.add_inputs_to_inference_session(
            session,
            frame_idx=0,
            obj_ids=[0, 1, 2],
            input_points=[[[[x * width, y * height]] for x, y in _POINTS]],
            input_labels=[[[1], [1], [1]]],
        )
        return len(list(model.propagate_in_video_iterator(session, start_frame_idx=0)))

    return {**found, "reference": rate(reference)}


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("--videos", type=Path, nargs="+", help="films to use instead of drawn ones")
    parser.add_argument("--image-size", type=int, help="side of what SAM 2 sees; 256 if not given")
    asked = parser.parse_args()
    size = asked.image_size or (128 if asked.quick else 256)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write(scratch, tiny=asked.quick)
        settings = {
            "STORYHASH_CLIP__MODEL": str(scratch / "clip"),
            "STORYHASH_SAM2__MODEL": str(scratch / "sam2"),
            "STORYHASH_SAM2__IMAGE_SIZE": str(size),
            # What random networks propose has no outline and no trust to speak of.
            "STORYHASH_SAM2__MIN_PREDICTED_IOU": "0",
            "STORYHASH_SAM2__MIN_STABILITY": "0",
        }
        if asked.videos:
            films = [one.entry.uri for one in read_catalog([str(path) for path in asked.videos])]
        else:
            films = [str(scratch / f"{seed}.mp4") for seed in range(2 if asked.quick else 10)]
            for seed, path in enumerate(films):
                encode_video(Path(path), film(seed, 8.0), FRAMES_PER_SECOND)
        profiles = {
            profile: profile_figures(profile, films, settings, scratch / profile)
            for profile in _PROFILES
        }
        longest = Path(max(films, key=_seconds))
        memory = memory_by_length(longest, settings, scratch)
        pictures = [frame for seed in range(4) for frame in islice(film(seed, 4.0), 8)]
        clip = clip_beside_reference(scratch / "clip", pictures)
        frames = np.stack(list(film(3, 2.0))[:12])
        sam2 = sam2_beside_reference(scratch / "sam2", size, frames)
    ratios = {
        **{f"clip {name} over reference": round(v / clip["reference"], 2) for name, v in clip.items()},
        **{f"sam2 {name} over reference": round(v / sam2["reference"], 2) for name, v in sam2.items()},
        "memory at full over half length": round(
            memory["full"]["peak_mib"] / memory["half"]["peak_mib"], 3
        ),
    }  # fmt: skip
    publish(
        "models",
        {
            "sam2_image_size": size,
            "profiles": profiles,
            "memory_by_length": memory,
            "clip_pictures_a_second": clip,
            "sam2_frames_a_second": sam2,
            "ratios": {name: one for name, one in ratios.items() if "reference over" not in name},
        },
        asked.json,
    )


def _seconds(path: str) -> float:
    decoder = Decoder(Path(path), Settings().video, frames_per_second=1.0, short_side=32)
    for _ in decoder:
        pass
    return decoder.end_seconds


if __name__ == "__main__":
    main()
