"""The base class of all groups of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """An immutable group of settings. An unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
