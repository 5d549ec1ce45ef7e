"""Profiles: names for a visual backend joined with a tracker."""

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
from embedder.visual.offline import OfflineBackend

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Profile:
    """One recipe of the vector. `summary` is what `storyhash models list` says of it."""

    name: str
    summary: str
    visual: Callable[[Settings], VisualBackend]
    tracker: Callable[[Settings], Tracker]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "sscd-motion",
            "Meta's copy-detection network and optical flow; CPU",
            lambda settings: sscd.SscdBackend(settings.sscd),
            lambda _: MotionTracker(),
        ),
        Profile(
            "offline",
            "a weight-free descriptor and optical flow; nothing to install",
            lambda _: OfflineBackend(),
            lambda _: MotionTracker(),
        ),
    )
}


def resolve_profile(settings: Settings) -> str:
    """The profile in force: the one set, or for `auto` sscd-motion where its weights are, else offline.

    Raises UsageError for a name that is none.
    """
    if settings.profile == AUTO:
        return "sscd-motion" if sscd.available(settings.sscd) else "offline"
    if settings.profile not in PROFILES:
        names = ", ".join((AUTO, *PROFILES))
        raise UsageError(f"unknown profile {settings.profile!r}: choose one of {names}")
    return settings.profile


def build_stage(profile: str, settings: Settings) -> EmbedderStage:
    """Load the models of a profile. Raises WeightsMissingError, which names the way out."""
    recipe = PROFILES[profile]
    video, ingest = settings.video, settings.ingest
    sampling = (
        f"segment {ingest.segment_seconds}/{ingest.min_tail_seconds} s, "
        f"clip {video.frames_per_second} fps, {video.short_side} px"
    )
    return EmbedderStage(
        profile, recipe.visual(settings), recipe.tracker(settings), sampling=sampling
    )
