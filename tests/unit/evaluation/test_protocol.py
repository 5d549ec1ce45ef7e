"""Which query searches which videos, and how they relate to it."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from evaluation.data.datasets import DatasetVideo
from evaluation.data.feature_cache import CachedQuery
from evaluation.protocol import LOOKALIKE, REAL, Dataset, Query

VIDEOS = [DatasetVideo(name, f"/{name}", family) for name, family in ("ax", "bx", "cy", "dz")]
ALIKE = [DatasetVideo(f"lookalikes/{name}", f"/{name}", name, "lookalikes") for name in "pq"]
DATASET = Dataset.of(VIDEOS, ALIKE)


def query(video: DatasetVideo, transform: str, group: str) -> Query:
    return Query(video, transform, group, 0, lambda: CachedQuery.failed("not read"))


def test_only_a_made_look_alike_searches_the_other_look_alikes() -> None:
    made = dict(DATASET.catalogues(query(ALIKE[0], "made_lookalike", LOOKALIKE)))
    assert made == {"without": {*"abcd", "lookalikes/q"}}
    assert isinstance(made["without"], frozenset)
    for other in (query(VIDEOS[0], "blur", "photometric"), query(VIDEOS[0], "copy", REAL)):
        for _, names in DATASET.catalogues(other):
            assert names <= set("abcd")


def test_a_made_look_alike_is_no_copy_and_the_videos_are_non_matches_of_it() -> None:
    assert DATASET.relation(ALIKE[0], "lookalikes/q", ()) == "lookalike"
    assert DATASET.relation(ALIKE[0], "a", ()) == "stranger"
    assert DATASET.relation(VIDEOS[0], "b", ()) == "copy"


def test_a_look_alike_that_is_mixed_into_an_edit_is_its_partner() -> None:
    assert DATASET.relation(VIDEOS[0], "lookalikes/q", ("lookalikes/q",)) == "partner"
    assert DATASET.relation(VIDEOS[0], "c", ("lookalikes/q",)) == "stranger"


def test_a_cached_edit_with_a_video_of_another_run_mixed_in_is_named() -> None:
    with pytest.raises(UsageError, match="'gone' mixed in"):
        DATASET.relation(VIDEOS[0], "c", ("gone",))


def test_a_video_that_is_also_a_look_alike_is_refused() -> None:
    with pytest.raises(UsageError, match="same id"):
        Dataset.of([*VIDEOS, ALIKE[0]], ALIKE)


def test_a_video_with_an_id_like_that_of_a_distractor_is_refused() -> None:
    with pytest.raises(UsageError, match="rename the folder"):
        Dataset.of([*VIDEOS, DatasetVideo("distractors/a.mp4", "/a", "a")])
