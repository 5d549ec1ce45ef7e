"""Verdicts of a service are pairs of a calibration, once there are enough of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from common.settings import Settings
from common.state.matches import FoundMatch
from common.state.state import State
from common.state.verdicts import NewVerdict
from storyhash.judged_pairs import MIN_OF_EACH, judged_pairs

SSCD, OFFLINE = "sscd-motion-0123456789ab", "offline-0123456789ab"


class Judged:
    """A data folder with matches that people judged."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self.number = 0

    def add(self, count: int, verdict: str, model_id: str = SSCD, **evidence: Any) -> None:
        for _ in range(count):
            self.number += 1
            query, ref = f"sha256:{self.number}", "r"
            terms = {"similarity": 0.8, "background_lift": 0.1, "static_scene": False, **evidence}
            times = {"query_start_seconds": 0.0, "query_end_seconds": 8.0}
            best = {"probability": 0.9, "view": "identity", "evidence": terms, **times}
            detail = {"model_id": model_id, "ref_video_id": ref, "ranges": [best]}
            (match_id,) = self.state.matches.record(
                [FoundMatch(query, ref, "b", None, "copy", 0.9, detail)]
            )
            self.state.verdicts.add(match_id, NewVerdict(verdict, "", "", "ann", "k"), None)

    def pairs(self, *visuals: str) -> dict[str, tuple[int, int]]:
        found = judged_pairs(self.folder, visuals, 0.2)
        return {visual: (len(one), int(one.right.sum())) for visual, one in found.items()}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    with State(Settings(data_dir=tmp_path)) as state:
        yield Judged(tmp_path, state)


def test_copies_and_licensed_ones_are_right_and_the_others_wrong(judged: Judged) -> None:
    judged.add(MIN_OF_EACH - 1, "copy")
    judged.add(1, "licensed")
    judged.add(MIN_OF_EACH, "not_copy")
    judged.add(5, "unsure")
    judged.add(5, "copy", OFFLINE)
    assert judged.pairs("sscd") == {"sscd": (2 * MIN_OF_EACH, MIN_OF_EACH)}


def test_too_few_of_one_kind_are_refused_with_their_numbers(judged: Judged) -> None:
    judged.add(MIN_OF_EACH, "copy")
    judged.add(MIN_OF_EACH - 1, "not_copy")
    # What the fit leaves out does not count.
    judged.add(5, "not_copy", static_scene=True)
    with pytest.raises(UsageError, match=r"10 usable matches of sscd are judged copies and 9 non-"):
        judged.pairs("sscd")
    judged.add(1, "not_copy")
    assert judged.pairs("sscd") == {"sscd": (20, 10)}
    with pytest.raises(UsageError, match=r"0 usable matches of offline are judged copies and 0"):
        judged.pairs("sscd", "offline")


def test_a_folder_without_a_state_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no verdicts; name the data folder of a service"):
        judged_pairs(tmp_path / "nowhere", ["sscd"], 0.2)
