"""Settings of the second opinion: another profile that is asked where the first one finds no copy."""

from __future__ import annotations

from pydantic import Field

from common.settings.group import SettingsGroup


class SecondOpinionSettings(SettingsGroup):
    """A second index of the same videos, of another profile. It is asked where the first one finds no
    copy."""

    may_be_empty = frozenset({"generation"})

    profile: str | None = Field(
        None,
        description="Profile of the second index, one of `storyhash models list`, or `none`. The index "
        "is in the folder `second-opinion` of the data folder (default: the profile of the index that is "
        "there; for a new data folder of sscd-motion, offline).",
    )
    generation: str | None = Field(
        None,
        description="Only for `storyhash search`: the generation that is asked if the active one finds "
        "no copy. Its embedders have another profile. The empty name is that of the first generation "
        "(default: none).",
    )
    enabled: bool = Field(
        True,
        description="Whether the second index, if there is one, is asked. It is kept up to date in both "
        "cases.",
    )
