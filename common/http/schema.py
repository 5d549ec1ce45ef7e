"""What the JSON models of the API share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """JSON without other fields than these."""

    model_config = ConfigDict(extra="forbid")


def examples(*values: dict[str, Any]) -> ConfigDict:
    """A `model_config` with examples for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": list(values)})
