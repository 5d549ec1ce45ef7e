"""Profiles: names for a visual backend joined with a tracker; every pair of the two is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import UsageError
from common.settings import Settings
from embedder.stage import EmbedderStage
from embedder.tracking.base import Tracker
from embedder.tracking.motion import MotionTracker
from embedder.visual import sscd
from embedder.visual.base import VisualBackend

AUTO = "auto"


def _clip(settings: Settings) -> VisualBackend:
    from embedder.visual.clip import ClipBackend

    return ClipBackend(settings.clip, settings.device)


def _offline(_: Settings) -> VisualBackend:
    from embedder.visual.offline import OfflineBackend

    return OfflineBackend()


def _sscd(settings: Settings) -> VisualBackend:
    return sscd.SscdBackend(settings.sscd, settings.device)


def _motion(_: Settings) -> Tracker:
    return MotionTracker()


def _sam2(settings: Settings) -> Tracker:
    from embedder.tracking.sam2.segmenter import sam2_tracker

    return sam2_tracker(settings.sam2, settings.device)


# What each needs is imported when it is built: torch alone takes seconds.
VISUALS: dict[str, tuple[str, Callable[[Settings], VisualBackend]]] = {
    "clip": ("CLIP ViT-B/32 (torch)", _clip),
    "sscd": ("SSCD, Meta's copy-detection network (ONNX Runtime or torch)", _sscd),
    "offline": ("a descriptor shipped with StoryHash", _offline),
}
TRACKERS: dict[str, tuple[str, Callable[[Settings], Tracker]]] = {
    "sam2": ("SAM 2.1, unprompted (torch)", _sam2),
    "motion": ("optical flow", _motion),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One recipe of the vector. `summary` is what `storyhash models list` says of it."""

    name: str
    visual: str
    tracker: str

    @property
    def summary(self) -> str:
        return f"{VISUALS[self.visual][0]} and {TRACKERS[self.tracker][0]}"


def profile_name(visual: str, tracker: str) -> str:
    """`offline` alone stands for the pair that needs nothing."""
    return "offline" if (visual, tracker) == ("offline", "motion") else f"{visual}-{tracker}"


PROFILES = {
    profile_name(visual, tracker): Profile(profile_name(visual, tracker), visual, tracker)
    for visual in VISUALS
    for tracker in TRACKERS
}


def resolve_profile(settings: Settings) -> Profile:
    """The profile in force: the one set, or for `auto` sscd-motion where its weights are, else offline.

    Raises UsageError for a name that is none.
    """
    if settings.profile == AUTO:
        return PROFILES["sscd-motion" if sscd.available(settings.sscd) else "offline"]
    if settings.profile not in PROFILES:
        names = ", ".join((AUTO, *PROFILES))
        raise UsageError(f"unknown profile {settings.profile!r}: choose one of {names}")
    return PROFILES[settings.profile]


def build_visual(profile: Profile, settings: Settings) -> VisualBackend:
    """Load its visual backend. Raises WeightsMissingError and its kin, which name the way out."""
    return VISUALS[profile.visual][1](settings)


def build_tracker(profile: Profile, settings: Settings) -> Tracker:
    """Load its tracker. Raises as `build_visual` does."""
    return TRACKERS[profile.tracker][1](settings)


def sampling(settings: Settings) -> str:
    """What segments and clips are cut to: a part of every model_id."""
    video, ingest = settings.video, settings.ingest
    return (
        f"segment {ingest.segment_seconds}/{ingest.min_tail_seconds} s, "
        f"clip {video.frames_per_second} fps, {video.short_side} px"
    )


def build_stage(profile: Profile, settings: Settings) -> EmbedderStage:
    """Load the models of a profile. Raises WeightsMissingError and its kin."""
    return EmbedderStage(
        profile.name,
        build_visual(profile, settings),
        build_tracker(profile, settings),
        sampling=sampling(settings),
    )
