"""What people have set decides about pairs of videos, whichever of the two was the query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.settings import Settings
from common.state.curation import BankSetting
from common.state.exceptions import NewException
from common.state.matches import FoundMatch
from common.state.state import State
from common.state.verdicts import NewVerdict
from common.state.video_names import query_of_video
from storyhash.duplicates.rules import opened_pair_rules
from storyhash.duplicates.search import DuplicateSearch
from tests.support.keys import opened_state
from tests.support.made_films import copied, film
from tests.unit.storyhash.duplicates.test_search import search_in

ALL = frozenset({"a", "b", "c"})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with opened_state(tmp_path) as made:
        yield made


@pytest.fixture
def search(rng: np.random.Generator) -> DuplicateSearch:
    original = film(rng, 20)
    films = {name: copied(rng, original) for name in sorted(ALL)}
    return search_in(films | {f"other-{n}": film(rng, 20) for n in range(4)})


def copies(search: DuplicateSearch, folder: Path) -> list[set[frozenset[str]]]:
    """The pairs of copies of each group under what is set."""
    with opened_pair_rules(Settings(data_dir=folder)) as rules:
        videos = {name: one for name, one in search.videos.items() if rules.listed(one)}
        ruled = DuplicateSearch(
            search.matcher.under(rules.policies(search.matcher.policies)), videos, rules
        )
        groups = ruled.groups(videos)
    return [{frozenset((pair.first, pair.second)) for pair in group.overlaps} for group in groups]


EVERY_PAIR = {frozenset("ab"), frozenset("ac"), frozenset("bc")}


def test_nothing_is_set(search: DuplicateSearch, tmp_path: Path, state: State) -> None:
    assert copies(search, tmp_path) == copies(search, tmp_path / "none") == [EVERY_PAIR]


@pytest.mark.parametrize(("query", "reference"), ["ab", "ba"])
def test_an_excepted_pair_is_none(
    search: DuplicateSearch, tmp_path: Path, state: State, query: str, reference: str
) -> None:
    state.exceptions.add(
        NewException("pair", "default", reference, "parody", "", query_of_video(query)),
        *(lambda *_: "no_match", None),
    )
    assert copies(search, tmp_path) == [EVERY_PAIR - {frozenset("ab")}]


@pytest.mark.parametrize(("query", "reference"), ["ab", "ba"])
def test_a_pair_that_is_judged_not_a_copy_is_none_until_the_verdict_changes(
    search: DuplicateSearch, tmp_path: Path, state: State, query: str, reference: str
) -> None:
    detail: dict[str, Any] = {"query": {"video_id": query}, "ref_video_id": reference}
    found = FoundMatch(query_of_video(query), reference, "default", "default", "copy", 0.99, detail)
    (match_id,) = state.matches.record([found])
    state.verdicts.add(match_id, NewVerdict("not_copy", "", "", None, None), None)
    assert copies(search, tmp_path) == [EVERY_PAIR - {frozenset("ab")}]
    state.verdicts.add(match_id, NewVerdict("copy", "", "", None, None), None)
    assert copies(search, tmp_path) == [EVERY_PAIR]


def test_an_excepted_range_does_not_count_on_either_side(
    search: DuplicateSearch, tmp_path: Path, state: State
) -> None:
    end = search.videos["a"].duration_seconds
    state.exceptions.add(
        NewException("range", "default", "a", "licensed", "", None, 0.0, end),
        *(lambda *_: "no_match", None),
    )
    assert copies(search, tmp_path) == [{frozenset("bc")}]


@pytest.mark.parametrize("setting", [{"enabled": False}, {"negative": True}])
def test_videos_of_a_bank_that_does_not_count_are_in_no_group(
    search: DuplicateSearch, tmp_path: Path, state: State, setting: dict[str, Any]
) -> None:
    search.videos["c"] = replace(search.videos["c"], bank="intros")
    plain = BankSetting("", "", enabled=True, policy={})
    state.curation.put_bank("intros", replace(plain, **setting), None)
    assert all("c" not in pair for group in copies(search, tmp_path) for pair in group)


def test_a_disabled_video_is_in_no_group(
    search: DuplicateSearch, tmp_path: Path, state: State
) -> None:
    state.curation.disable("c", None)
    assert copies(search, tmp_path) == [{frozenset("ab")}]
