"""Finds where stored JSON names a video: by its id, or as the query of a match."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, or_

from common.state.text import dump

_VIDEO = "video:"
_IDS = ("video_id", "ref_video_id")
_FINGERPRINTS = ("fingerprint", "query_fingerprint")
# The item of a match, unlike a range that it refers to.
_OF_ITEM = "score"


def query_of_video(video_id: str) -> str:
    """The fingerprint of a query that is a video of the catalogue."""
    return _VIDEO + video_id


def videos_named(value: Any) -> frozenset[str]:
    """The ids of all videos that JSON names."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found.update(_named_by(one))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return frozenset(found)


def without_video(value: Any, video_id: str) -> Any:
    """A JSON value without the items of matches with a video; a single item becomes null. A range that
    refers to the video stays, without its name."""
    if isinstance(value, list):
        return [without_video(one, video_id) for one in value if not _is_item_of(one, video_id)]
    if not isinstance(value, dict):
        return value
    if _is_item_of(value, video_id):
        return None
    if value.get("video_id") == video_id:
        return {**value, "video_id": None, "bank": None}
    return {name: without_video(one, video_id) for name, one in value.items()}


def may_name(column: ColumnElement[Any], video_id: str) -> ColumnElement[bool]:
    """The condition that a column of JSON has the text of a video's name. What has it need not name the
    video: ask `videos_named`."""
    names = (video_id, query_of_video(video_id))
    return or_(*(column.contains(dump(name), autoescape=True) for name in names))


def _named_by(value: dict[str, Any]) -> list[str]:
    named = [value.get(name) for name in _IDS]
    for name in _FINGERPRINTS:
        fingerprint = value.get(name)
        if isinstance(fingerprint, str) and fingerprint.startswith(_VIDEO):
            named.append(fingerprint.removeprefix(_VIDEO))
    return [one for one in named if isinstance(one, str)]


def _is_item_of(value: Any, video_id: str) -> bool:
    return isinstance(value, dict) and _OF_ITEM in value and value.get("video_id") == video_id
