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
            assert found[name][video_id][0] == decision, (name, video_id)
            assert found[name][video_id][1:] == pytest.approx(numbers, abs=1e-3), (name, video_id)
