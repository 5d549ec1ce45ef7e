"""The verdicts of a service as extra pairs of a calibration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.settings import load_settings
from evaluation.calibration.judged import MAX_JUDGED, JudgedPairs
from storyhash.open_state import has_state, open_state
from storyhash.profiles import PROFILES


def judged_pairs(folder: Path, visuals: Collection[str], share: float) -> dict[str, JudgedPairs]:
    """The newest judged matches in the state of a data folder, by visual backend. share: see JudgedPairs.
    Raises UsageError if there is no state, and what `open_state` raises."""
    settings = load_settings(data_dir=folder)
    if not has_state(settings):
        raise UsageError(f"--verdicts: {folder} has no verdicts; name the data folder of a service")
    by_visual: dict[str, list[tuple[bool, Mapping[str, Any]]]] = {name: [] for name in visuals}
    with open_state(settings) as state:
        for match in state.feedback.judged(MAX_JUDGED):
            profile = PROFILES.get(str(match.detail["model_id"]).rpartition("-")[0])
            if profile is not None and profile.visual in by_visual:
                by_visual[profile.visual].append((match.is_copy, match.detail))
    return {visual: JudgedPairs.of(pairs, share) for visual, pairs in by_visual.items()}
