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

# With fewer verdicts of one kind, the other kind alone would move the curve.
MIN_OF_EACH = 10


def judged_pairs(folder: Path, visuals: Collection[str], share: float) -> dict[str, JudgedPairs]:
    """The newest judged matches in the state of a data folder, by visual backend. share: see JudgedPairs.
    Raises UsageError if there is no state or too few of them, and what `open_state` raises."""
    settings = load_settings(data_dir=folder)
    if not has_state(settings):
        raise UsageError(f"--verdicts: {folder} has no verdicts; name the data folder of a service")
    by_visual: dict[str, list[tuple[bool, Mapping[str, Any]]]] = {name: [] for name in visuals}
    with open_state(settings) as state:
        for match in state.feedback.judged(MAX_JUDGED):
            profile = PROFILES.get(str(match.detail["model_id"]).rpartition("-")[0])
            if profile is not None and profile.visual in by_visual:
                by_visual[profile.visual].append((match.is_copy, match.detail))
    judged = {visual: JudgedPairs.of(pairs, share) for visual, pairs in by_visual.items()}
    for visual, pairs in judged.items():
        _check_number(visual, pairs)
    return judged


def _check_number(visual: str, pairs: JudgedPairs) -> None:
    right = int(pairs.right.sum())
    wrong = len(pairs) - right
    if min(right, wrong) < MIN_OF_EACH:
        raise UsageError(
            f"--verdicts: {right} usable matches of {visual} are judged copies and {wrong} non-copies, "
            f"and {MIN_OF_EACH} of each are needed; judge more matches, or leave out --verdicts"
        )
