"""The base class of all groups of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class SettingsGroup(BaseModel):
    """An immutable group of settings. An unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Settings whose empty value differs from none."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: Any) -> Any:
        return without_empty(values, cls.may_be_empty)


def without_empty(values: Any, may_be_empty: frozenset[str] = frozenset()) -> Any:
    """The values of a group without empty ones: scripts, Compose files and `storyhash config` write a
    variable that is not set as an empty one. An empty path would be the current folder. An object that
    is complete is returned as it is."""
    if not isinstance(values, Mapping):
        return values
    return {name: value for name, value in values.items() if value != "" or name in may_be_empty}
