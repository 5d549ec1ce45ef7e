"""Settings of the state database."""

from __future__ import annotations

from pydantic import Field, SecretStr

from common.settings.group import SettingsGroup


class StateSettings(SettingsGroup):
    """Where keys, matches, jobs and the audit log are kept, and for how long."""

    url: SecretStr | None = Field(
        None,
        description="Address of a PostgreSQL database that several services share, such as "
        "postgresql://user:password@host/storyhash (default: `state.sqlite` in the data folder).",
    )
    audit_days: int = Field(
        90, ge=1, description="Days that entries of the audit log are kept; older ones are deleted."
    )
    match_days: int = Field(
        365,
        ge=1,
        description="Days that a match and its verdicts are kept after the match was last found.",
    )
    max_matches: int = Field(
        100_000,
        ge=1,
        description="Maximum number of matches kept, about 5 kB each. The oldest are deleted first, and "
        "those with a verdict last.",
    )
