"""What was done to the reference to make a copy, in words: from a match as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNCHANGED = "unchanged"
# How the query showed the copy, by view. The place of an inner picture, and of a cell, is not known.
_SEEN = {
    "identity": "",
    "flip_h": "seen when mirrored",
    "flip_v": "seen when flipped upside down",
    "rotate_90": "seen when turned by 90 degrees",
    "rotate_180": "seen when turned by 180 degrees",
    "rotate_270": "seen when turned by 270 degrees",
    "negative": "seen with inverted colours",
    "brightened": "seen when brightened",
    "left": "seen in the left half",
    "right": "seen in the right half",
    "top": "seen in the top half",
    "bottom": "seen in the bottom half",
    "top_left": "seen in the top left quarter",
    "top_right": "seen in the top right quarter",
    "bottom_left": "seen in the bottom left quarter",
    "bottom_right": "seen in the bottom right quarter",
    "centre": "seen in the centre",
    "middle": "seen in the middle",
    "inner": "seen in a picture within the picture",
    "inner_2": "seen in a second picture within the picture",
    "inner_3": "seen in a third picture within the picture",
    "trimmed": "seen without the bars around it",
}
_CELL = "cell_"


def edit_words(match: Mapping[str, Any]) -> str:
    """`mirrored, cropped to the centre 80% x 80%`: the words of the transform, or of the view where
    nothing is known of it. Empty where nothing was done, and for a non-match. `changes` of the review
    page (`searcher/page/words.js`) says the same.

    match: a match of a report, or a range of a stored match.
    """
    if match["decision"] == "no_match":
        return ""
    words: str = (match.get("transform") or {}).get("words") or ""
    if words:
        return "" if words == UNCHANGED else words
    view: str = match["view"]
    if view.startswith(_CELL):
        return f"seen in cell {view.removeprefix(_CELL)} of a grid"
    return _SEEN.get(view, f"seen through the view {view}")
