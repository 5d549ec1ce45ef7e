"""What was done to the reference is told in the same words everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from searcher.evidence.words import range_words
from searcher.transform.edit_words import edit_words
from storyhash.services.match_new_video import in_words

EDITED = "mirrored, at about 1.25 x speed"
# A match without its ranges, and its words.
TOLD: list[tuple[dict[str, Any], str]] = [
    ({"transform": {"words": EDITED}, "view": "flip_h"}, EDITED),
    ({"transform": {"words": "unchanged"}, "view": "identity"}, ""),
    ({"transform": {"words": ""}, "view": "identity"}, ""),
    ({"transform": {"words": ""}, "view": "top_left"}, "found through the view top_left"),
    ({"transform": None, "view": "negative"}, "found through the view negative"),
    ({"view": "negative"}, "found through the view negative"),
    ({"view": "identity"}, ""),
]


@pytest.mark.parametrize(("match", "words"), TOLD)
def test_the_transform_is_told_or_else_the_view(match: dict[str, Any], words: str) -> None:
    assert edit_words({**match, "decision": "copy"}) == words
    assert edit_words({**match, "decision": "review"}) == words
    assert edit_words({**match, "decision": "no_match"}) == ""


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
