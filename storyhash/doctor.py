"""The checks of `storyhash doctor`, each with what to do if it fails."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from common.errors import StoryHashError
from common.runtime_tuning import usable_cores
from common.sandbox.check import examine_child
from common.settings import Settings, describe_data_dir
from common.types import FrameBatch
from common.video import decode_clip, encode_clip
from embedder.device import Device
from embedder.self_check import check_golden
from searcher.opening import stored_manifest
from searcher.storage.data_dir import read_manifest
from storyhash.profiles import build_stage, build_visual
from storyhash.second_index import behind, require_second, second_settings
from storyhash.wiring import check_second_profile, open_catalogue, profile_in_force

_PACKAGES = (
    "numpy",
    "av",
    "opencv-python-headless",
    "faiss-cpu",
    "qdrant-edge-py",
    "qdrant-client",
)
_MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One result. exit_code: 0 if all is well, else that of the error."""

    name: str
    message: str
    exit_code: int = 0


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, in the order of the steps of a video."""
    for name, check in _CHECKS.items():
        try:
            message, exit_code = check(settings)
        except StoryHashError as error:
            message, exit_code = str(error), error.exit_code
        yield Check(name, message, exit_code)


def _machine(_: Settings) -> tuple[str, int]:
    cores = usable_cores()
    return f"Python {platform.python_version()}, {sys.platform}, {cores} cores", 0


def _packages(_: Settings) -> tuple[str, int]:
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES), 0


def _clips(_: Settings) -> tuple[str, int]:
    frames = np.full((4, 64, 64, 3), 128, dtype=np.uint8)
    batch = FrameBatch(frames, np.arange(4) / 8.0)
    clip = encode_clip(batch, start_seconds=0.0, max_bytes=1 << 20)
    error = int(np.abs(decode_clip(clip).frames.astype(int) - 128).max())
    if error > 8:
        return (
            f"a test clip differed by {error} grey levels after encoding and decoding; "
            "reinstall the package av"
        ), 1
    return "H.264 encoding and decoding work", 0


def _decoder(settings: Settings) -> tuple[str, int]:
    reason = examine_child(settings.video)
    if reason:
        return f"decoder processes are not sandboxed: {reason}; decode only files you trust", 0
    return "decoder processes are sandboxed: no network, no secrets, no writing", 0


def _profile(settings: Settings) -> tuple[str, int]:
    profile = profile_in_force(settings)
    chosen = "" if read_manifest(settings.data_dir) else f" (requested: {settings.profile})"
    stage = build_stage(profile, settings)
    return f"{profile.name}{chosen}, model {stage.model_id}", 0


def _device(settings: Settings) -> tuple[str, int]:
    if find_spec("torch") is None:
        return "torch is not installed: networks run through ONNX Runtime on the CPU", 0
    return Device(settings.device).description, 0


def _golden(settings: Settings) -> tuple[str, int]:
    result = check_golden(build_visual(profile_in_force(settings), settings))
    return result.message, 0 if result.ok else 1


def _space(settings: Settings) -> tuple[str, int]:
    folder = settings.data_dir.absolute()
    # False also for a folder in one that may not be read.
    while not os.path.exists(folder):
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return f"{folder} is not writable; choose another data folder", 2
    if free < _MIN_FREE_BYTES:
        return f"{free / 1e9:.1f} GB free at {folder}; free some disk space", 3
    return f"{free / 1e9:.0f} GB free at {folder}", 0


def _data_folder(settings: Settings) -> tuple[str, int]:
    return describe_data_dir(settings), 0


def _index(settings: Settings) -> tuple[str, int]:
    if stored_manifest(settings) is None:
        return f"no index in {settings.data_dir} yet", 0
    with open_catalogue(settings, writer=False) as index:
        stats, notices = index.stats, index.notices
        summary = f"{index.manifest.model_id}, {stats.live} vectors, {stats.dead} dead rows"
        problems = set(notices) - {index.written_elsewhere}
    return "; ".join([summary, *notices]), 1 if problems else 0


def _second_opinion(settings: Settings) -> tuple[str, int]:
    own = second_settings(settings)
    if own is None:
        return "none: one profile decides", 0
    check_second_profile(settings)
    require_second(own)
    stage = build_stage(profile_in_force(own), own)
    golden = check_golden(stage.visual)
    with (
        open_catalogue(settings, writer=False) as first,
        open_catalogue(own, writer=False) as second,
    ):
        writing = second.written_elsewhere
        problems = [notice for notice in second.notices if notice != writing]
        if second.manifest.model_id != stage.model_id:
            problems.append(f"it was made with another model than {stage.model_id}")
        # A service that writes brings the second index in step by itself.
        if not writing and (notice := behind(first, second)):
            problems.append(notice)
        summary = f"{second.manifest.model_id}, {second.stats.live} vectors"
    if not golden.ok:
        problems.append(golden.message)
    return "; ".join(filter(None, [summary, *problems, writing])), 1 if problems else 0


_CHECKS: dict[str, Callable[[Settings], tuple[str, int]]] = {
    "machine": _machine,
    "packages": _packages,
    "clips": _clips,
    "decoder": _decoder,
    "device": _device,
    "profile": _profile,
    "golden vector": _golden,
    "data folder": _data_folder,
    "disk": _space,
    "index": _index,
    "second opinion": _second_opinion,
}
