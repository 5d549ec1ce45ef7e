"""A video id as the rest of a path."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

# A part of a route's path.
VIDEO_ID = "{video_id:any_id}"


class _AnyId(Convertor[str]):
    """The rest of a path, including newlines; Starlette's own `path` ends at a newline."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_id", _AnyId())
