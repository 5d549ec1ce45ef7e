"""What was done to the reference to make a copy, in words: from a match as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNCHANGED = "unchanged"
_IDENTITY = "identity"


def edit_words(match: Mapping[str, Any]) -> str:
    """`mirrored, cropped to the centre 80% x 80%`: the words of the transform, or the view where nothing
    is known of it. Empty where nothing was done, and for a non-match. `changes` of the review page
    (`searcher/page/words.js`) says the same.

    match: a match of a report, or a range of a stored match.
    """
    if match["decision"] == "no_match":
        return ""
    words: str = (match.get("transform") or {}).get("words") or ""
    if words:
        return "" if words == UNCHANGED else words
    view: str = match["view"]
    return "" if view == _IDENTITY else f"found through the view {view}"
