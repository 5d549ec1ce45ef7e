"""The base of every group of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """Immutable; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
