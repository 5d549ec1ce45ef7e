"""Profiles: names of pairs of a visual backend and a tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import UsageError
from common.settings import Settings
from embedder.clip_processes import SubprocessOpener
from embedder.stage import EmbedderStage
from embedder.tracking.base import Tracker
from embedder.tracking.motion import MotionTracker
from embedder.visual import sscd
from embedder.visual.base import VisualBackend

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ProfilePart:
    """Half of a profile: a visual backend or a tracker.

    check: finds what can be wrong without loading anything. What a part needs is imported when it is
    checked or built: torch alone takes seconds.
    """

    summary: str
    build: Callable[[Settings], Any]
    check: Callable[[Settings], object] = lambda _: None


def _clip(settings: Settings) -> VisualBackend:
    from embedder.visual.clip import ClipBackend

    return ClipBackend(settings.clip, settings.device)


def _check_clip(settings: Settings) -> None:
    from embedder.visual.clip import check_clip

    check_clip(settings.clip, settings.device)


def _sam2(settings: Settings) -> Tracker:
    from embedder.tracking.sam2.segmenter import sam2_tracker

    return sam2_tracker(settings.sam2, settings.device)


def _check_sam2(settings: Settings) -> None:
    from embedder.tracking.sam2.segmenter import check_sam2

    check_sam2(settings.sam2, settings.device)


def _offline(_: Settings) -> VisualBackend:
    from embedder.visual.offline import OfflineBackend

    return OfflineBackend()


VISUALS = {
    "clip": ProfilePart("CLIP ViT-B/32 (torch)", _clip, _check_clip),
    "sscd": ProfilePart(
        "SSCD, Meta's copy-detection network (ONNX Runtime or torch)",
        lambda settings: sscd.SscdBackend(settings.sscd, settings.device),
        lambda settings: sscd.weights_path(settings.sscd),
    ),
    "offline": ProfilePart("a small network that comes with StoryHash (ONNX Runtime)", _offline),
}
TRACKERS = {
    "sam2": ProfilePart("SAM 2.1, unprompted (torch)", _sam2, _check_sam2),
    "motion": ProfilePart("optical flow", lambda _: MotionTracker()),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile. summary: its text in `storyhash models list`."""

    name: str
    visual: str
    tracker: str

    @property
    def summary(self) -> str:
        return f"{VISUALS[self.visual].summary} and {TRACKERS[self.tracker].summary}"


def profile_name(visual: str, tracker: str) -> str:
    """The name of a pair; `offline` is short for the pair that needs no download."""
    return visual if (visual, tracker) == ("offline", "motion") else f"{visual}-{tracker}"


PROFILES = {
    profile_name(visual, tracker): Profile(profile_name(visual, tracker), visual, tracker)
    for visual in VISUALS
    for tracker in TRACKERS
}


SECOND = {"sscd-motion": "offline"}
"""The second profile of a new data folder, by its first one: what docs/evaluation.md measures."""


def resolve_profile(settings: Settings) -> Profile:
    """The profile of the setting; for `auto` sscd-motion if its weights are installed, else offline.
    Raises UsageError for an unknown name."""
    if settings.profile == AUTO:
        return PROFILES["sscd-motion" if sscd.available(settings.sscd) else "offline"]
    if settings.profile not in PROFILES:
        names = ", ".join((AUTO, *PROFILES))
        raise UsageError(f"unknown profile {settings.profile!r}: expected one of {names}")
    return PROFILES[settings.profile]


def build_visual(profile: Profile, settings: Settings) -> VisualBackend:
    """Load the visual backend. Raises WeightsMissingError and similar errors, which say what to do."""
    backend: VisualBackend = VISUALS[profile.visual].build(settings)
    return backend


def build_tracker(profile: Profile, settings: Settings) -> Tracker:
    """Load the tracker. Raises the errors of `build_visual`."""
    tracker: Tracker = TRACKERS[profile.tracker].build(settings)
    return tracker


def sampling(settings: Settings) -> str:
    """How segments and clips are cut; part of every model_id."""
    video, ingest = settings.video, settings.ingest
    return (
        f"segment {ingest.segment_seconds}/{ingest.min_tail_seconds} s, "
        f"clip {video.frames_per_second} fps, {video.short_side} px"
    )


def build_stage(profile: Profile, settings: Settings) -> EmbedderStage:
    """Load the models of a profile. Raises WeightsMissingError and similar errors. Both parts are checked
    before either is loaded."""
    for part in (VISUALS[profile.visual], TRACKERS[profile.tracker]):
        part.check(settings)
    return EmbedderStage(
        profile.name,
        build_visual(profile, settings),
        build_tracker(profile, settings),
        sampling=sampling(settings),
        opener=SubprocessOpener(settings.video, settings.ingest),
        thumbnails=settings.thumbnails,
    )
