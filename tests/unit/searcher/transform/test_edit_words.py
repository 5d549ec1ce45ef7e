"""What was done to the reference is told in the same words everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from embedder.visual.views import VIEW_NAMES
from searcher.evidence.words import range_words
from searcher.transform.edit_words import edit_words
from storyhash.services.match_new_video import in_words

EDITED = "mirrored, at about 1.25 x speed"
# A match without its ranges, and its words.
TOLD: list[tuple[dict[str, Any], str]] = [
    ({"transform": {"words": EDITED}, "view": "flip_h"}, EDITED),
    ({"transform": {"words": "unchanged"}, "view": "identity"}, ""),
    ({"transform": {"words": ""}, "view": "identity"}, ""),
    ({"transform": {"words": ""}, "view": "top_left"}, "seen in the top left quarter"),
    ({"transform": None, "view": "negative"}, "seen with inverted colours"),
    ({"view": "negative"}, "seen with inverted colours"),
    ({"view": "cell_5"}, "seen in cell 5 of a grid"),
    ({"view": "of_a_later_version"}, "seen through the view of_a_later_version"),
    ({"view": "identity"}, ""),
]


@pytest.mark.parametrize(("match", "words"), TOLD)
def test_the_transform_is_told_or_else_the_view(match: dict[str, Any], words: str) -> None:
    assert edit_words({**match, "decision": "copy"}) == words
    assert edit_words({**match, "decision": "review"}) == words
    assert edit_words({**match, "decision": "no_match"}) == ""


@pytest.mark.parametrize("view", VIEW_NAMES)
def test_every_view_has_words_of_its_own(view: str) -> None:
    words = edit_words({"view": view, "decision": "copy"})
    assert (words == "") is (view == "identity")
    assert "view" not in words
    assert "_" not in words


@pytest.mark.parametrize(("match", "words"), TOLD)
def test_an_evidence_pack_and_a_log_end_their_sentence_with_it(
    match: dict[str, Any], words: str
) -> None:
    times = ("query_start_seconds", "query_end_seconds", "ref_start_seconds", "ref_end_seconds")
    one = {**match, **dict.fromkeys(times, 1.0), "decision": "copy", "probability": 0.95}
    after = f": {words}" if words else ""
    assert range_words(one).split(" of the reference")[1] == f"{after}; probability 95.0 %."
    report = {"decision": "copy", "matches": [{**one, "video_id": "a.mp4"}]}
    assert in_words(report).split("'a.mp4'")[1] == after
