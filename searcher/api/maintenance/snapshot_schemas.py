"""The JSON of `/v1/snapshots`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.http.error_schemas import ErrorInfo
from common.http.schema import Schema


class SecondIndexItem(Schema):
    """The second index in a backup."""

    profile: str
    model_id: str
    videos: int
    segments: int


class SnapshotItem(Schema):
    """A backup. `running` and `failed` ones have no name, and neither they nor `damaged` ones have the
    other fields. `bytes`: of all its files. `state_database`: `postgresql_dump` is in the backup,
    `postgresql` is not. `uploads_left_out`: uploaded videos, whose files are not in the backup."""

    name: str
    state: Literal["running", "complete", "failed", "damaged"]
    created_at: str | None = None
    storyhash: str = Field("", description="The version that made it.")
    profile: str = ""
    model_id: str = ""
    generation: str = ""
    videos: int = 0
    segments: int = 0
    bytes: int = 0
    offsets: dict[str, int] = Field({}, description="Log offset per partition.")
    state_database: Literal["", "sqlite", "postgresql_dump", "postgresql", "none"] = ""
    uploads_left_out: int = 0
    second_opinion: SecondIndexItem | None = Field(
        None, description="The second index in it; null if it has none."
    )
    error: ErrorInfo | None = None


class SnapshotPage(Schema):
    """The backups of a service, newest first."""

    items: list[SnapshotItem]
    next_cursor: str | None
