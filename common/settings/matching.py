"""Settings that turn search hits into decisions."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.settings.group import SettingsGroup

_FROM_CALIBRATION = " (default: the calibration's value)."


class PolicySettings(SettingsGroup):
    """The thresholds of the decisions `copy` and `review`."""

    copy_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Matches with at least this probability are copies" + _FROM_CALIBRATION,
    )
    review_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Matches with at least this probability go to review" + _FROM_CALIBRATION,
    )
    min_seconds: float | None = Field(
        None,
        ge=0,
        description="If the matches of a video together cover fewer seconds of the query, they are not "
        "reported as copy or review" + _FROM_CALIBRATION,
    )
    min_coverage: float | None = Field(
        None,
        ge=0,
        le=1,
        description="If the matches of a video together cover a smaller fraction of the query, they are "
        "not reported as copy or review" + _FROM_CALIBRATION,
    )


class MatchingSettings(SettingsGroup):
    """How hits become decisions."""

    calibration: Path | None = Field(
        None,
        description="A file written by `storyhash evaluate calibrate` (default: the calibration that "
        "comes with StoryHash).",
    )
    transform_seconds: float = Field(
        8.0,
        ge=0,
        description="Maximum seconds per pass for comparing the pictures of a query with those of its "
        "matches. This finds the edit (mirrored, cropped, ...) and verifies doubtful matches. 0 compares "
        "no pictures.",
    )
    policy: PolicySettings = PolicySettings()
    banks: dict[str, PolicySettings] = Field(
        {}, description='Thresholds of single banks, as JSON: {"news": {"min_seconds": 10}}.'
    )
