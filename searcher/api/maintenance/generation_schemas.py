"""The JSON of `/v1/generations`."""

from __future__ import annotations

from pydantic import Field

from common.http.schema import Schema


class GenerationName(Schema):
    """The name of a generation; the first one's name is empty."""

    generation: str = Field(pattern=r"^[a-z0-9-]{0,40}$")


class GenerationItem(Schema):
    """An index generation. `waiting_for`: why it cannot answer queries now, by condition. `error`: why it
    is no longer updated; follow it again, or drop it."""

    generation: str
    answers: bool
    model_id: str | None
    videos: int
    vectors: int
    waiting_for: dict[str, str]
    error: str | None


class GenerationPage(Schema):
    """All followed generations."""

    items: list[GenerationItem]
    next_cursor: str | None
