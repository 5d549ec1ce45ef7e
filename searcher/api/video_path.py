"""A video id as the rest of a path."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Scope

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


class PartOfVideo(APIRoute):
    """A route below a video, such as `/v1/videos/{id}/content`. An id may end in "/content" too, but its
    own slashes are percent-encoded, so the path before decoding tells the two apart."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found, child = super().matches(scope)
        name = self.path.rpartition("/")[2].encode()
        raw = scope.get("raw_path") or scope["path"].encode()
        if found is not Match.NONE and not raw.partition(b"?")[0].endswith(b"/" + name):
            return Match.NONE, {}
        if found is Match.PARTIAL:
            # With another method it is not about a video of this id: the answer is 405.
            return Match.FULL, child
        return found, child
