"""In an ordinary catalogue the scores are those that the calibrations were fitted on."""

from __future__ import annotations

import json

import pytest

from tests.support.ordinary_matches import GOLDEN, ordinary_matches


def test_scores_of_an_ordinary_catalogue_stay_what_the_calibrations_were_fitted_on() -> None:
    golden, found = json.loads(GOLDEN.read_text(encoding="utf-8")), ordinary_matches()
    assert found.keys() == golden.keys()
    for name, best in golden.items():
        assert found[name].keys() == best.keys(), name
        for video_id, (decision, *numbers) in best.items():
            # Which row of a non-match is listed first is not part of it.
            count = 1 if decision == "no_match" and numbers[0] < 0.05 else len(numbers)
            given = found[name][video_id]
            assert given[0] == decision, (name, video_id)
            assert given[1 : 1 + count] == pytest.approx(numbers[:count], abs=1e-3), (
                name,
                video_id,
            )
