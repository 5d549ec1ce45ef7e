"""Settings of jobs: matches that a caller does not wait for."""

from __future__ import annotations

from pydantic import Field

from common.settings.group import SettingsGroup


class JobSettings(SettingsGroup):
    """How many jobs wait, and how long results are kept."""

    max_queued: int = Field(
        200, ge=1, description="Maximum number of queued and running jobs of all keys together."
    )
    max_queued_per_key: int = Field(
        20, ge=1, description="Maximum number of queued and running jobs of one key."
    )
    max_bytes: int = Field(
        16 * 1024**3,
        gt=0,
        description="Maximum disk space of the uploads of queued and running jobs, in bytes. They are in "
        "the data folder.",
    )
    result_hours: float = Field(
        24.0, gt=0, description="Hours that a job and its result are kept after its end."
    )
    max_results: int = Field(
        2_000,
        ge=1,
        description="Maximum number of ended jobs kept; the oldest are deleted first. A result has "
        "the size of an answer to /v1/match.",
    )
