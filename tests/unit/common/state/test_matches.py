"""Matches, verdicts and exceptions over both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.errors import ReusedKeyError, UsageError
from common.settings import StateSettings
from common.state import verdicts
from common.state.database import StateDatabase
from common.state.exceptions import ExceptionStore, NewException, StoredException
from common.state.idempotency import Once
from common.state.matches import FoundMatch, MatchFilter, MatchStore, StoredMatch
from common.state.verdicts import NewVerdict, VerdictStore
from tests.support.clock import Clock

DAY = 86_400.0
JUDGED = NewVerdict("not_copy", "parody", "", "Ann", "0a")


def match(query: str, ref: str, bank: str = "b", **other: Any) -> FoundMatch:
    given = FoundMatch(query, ref, bank, None, "copy", 0.95, {"ref_video_id": ref, "name": "\0"})
    return replace(given, **other)


class Stores:
    def __init__(self, database: StateDatabase) -> None:
        self.clock = Clock(100 * DAY)
        settings = StateSettings(match_days=10, max_matches=3)
        self.matches = MatchStore(database, settings, self.clock)
        self.verdicts = VerdictStore(database, self.clock)
        self.exceptions = ExceptionStore(database, self.clock)

    def ids(self, **only: Any) -> list[int]:
        return [one.id for one in self.matches.page(MatchFilter(**only), None, 100)[0]]


@pytest.fixture
def stores(database: StateDatabase) -> Stores:
    return Stores(database)


def test_matches_are_filtered_by_the_share_of_the_query(stores: Stores) -> None:
    detail = {"ref_video_id": "a", "name": "\0", "coverage": 0.5}
    half, whole, _ = stores.matches.record(
        [
            match("video:q", "a", detail=detail),
            match("video:q", "b", detail={**detail, "coverage": 1}),
            match("video:q", "c"),
        ]
    )
    assert stores.ids(min_coverage=0.5) == [whole, half]
    assert stores.ids(min_coverage=0.51) == [whole]


def test_a_pair_that_is_found_again_keeps_its_id_and_verdict(stores: Stores) -> None:
    first, other = stores.matches.record([match("video:q", "a"), match("video:q", "c")])
    assert stores.verdicts.add(first, JUDGED, None) is not None
    stores.clock.now += 5
    (again,) = stores.matches.record([match("video:q", "a", decision="review", probability=0.6)])
    found = stores.matches.get(first, None)
    assert found is not None
    assert again == first != other
    assert (found.decision, found.verdict, found.times_found) == ("review", "not_copy", 2)
    assert found.found_at - found.first_found_at == 5000
    assert found.detail["name"] == "\0"


def test_the_probability_of_judged_matches_is_averaged_by_bank(stores: Stores) -> None:
    found = [
        match("video:q", name, bank, probability=probability)
        for name, bank, probability in (("a", "b", 0.9), ("c", "b", 0.7), ("d", "e", 0.6))
    ]
    first, second, third = stores.matches.record(found)
    for one in (first, second, third):
        assert stores.verdicts.add(one, JUDGED, None) is not None
    stores.verdicts.add(third, replace(JUDGED, verdict="none"), None)
    assert stores.matches.judged_probability() == pytest.approx({"b": 0.8})


def test_matches_are_filtered_and_paged(stores: Stores) -> None:
    one, two, three = stores.matches.record(
        [
            match("video:q", "a"),
            match("video:r", "a", "other", decision="review", probability=0.6),
            match("sha256:1", "q", query_bank=None),
        ]
    )
    assert stores.ids() == [three, two, one]
    assert stores.ids(video_id="q") == [three, one]
    assert stores.ids(ref_video_id="a", banks=frozenset({"b"})) == [one]
    assert stores.ids(fingerprint="sha256:1") == [three]
    assert stores.ids(decision="review") == stores.ids(banks=frozenset({"other"})) == [two]
    assert stores.ids(min_probability=0.9) == [three, one]
    assert stores.ids(since=int(1000 * stores.clock.now) + 1) == []
    stores.verdicts.add(two, JUDGED, None)
    assert stores.ids(verdicts=frozenset({"none"})) == [three, one]
    assert stores.ids(verdicts=frozenset({"not_copy"})) == [two]
    assert stores.ids(verdicts=frozenset({"none", "not_copy"})) == [three, two, one]
    page, cursor, total = stores.matches.page(MatchFilter(), None, 2)
    assert ([found.id for found in page], cursor, total) == ([three, two], two, 3)
    page, cursor, _ = stores.matches.page(MatchFilter(), cursor, 2)
    assert ([found.id for found in page], cursor) == ([one], None)


def test_who_may_not_see_both_videos_does_not_see_their_match(stores: Stores) -> None:
    own, foreign, hidden = stores.matches.record(
        [
            match("video:q", "a", "b", query_bank="b"),
            match("video:r", "a2", "b", query_bank="secret"),
            match("video:q", "s", "secret", query_bank="b"),
        ]
    )
    banks = frozenset({"b"})
    assert stores.ids(visible=banks) == [own]
    for match_id in (foreign, hidden):
        assert stores.matches.get(match_id, banks) is None
        assert stores.verdicts.add(match_id, JUDGED, banks) is None
    assert stores.matches.forget_video("q", banks) == 1
    assert stores.ids() == [hidden, foreign]


def test_old_matches_go_and_of_too_many_those_without_a_verdict_go_first(stores: Stores) -> None:
    stores.matches.record([match("video:old", "a")])
    stores.clock.now += 11 * DAY
    ids = stores.matches.record([match("video:judged", "a")])
    stores.verdicts.add(ids[0], JUDGED, None)
    ids += stores.matches.record([match(f"video:{number}", "a") for number in range(3)])
    stores.matches.trim()
    assert stores.ids() == [ids[3], ids[2], ids[0]]


def test_old_matches_go_after_a_clock_that_was_ahead_is_set_back(stores: Stores) -> None:
    stores.clock.now += 1000 * DAY
    ids = stores.matches.record([match("video:ahead", "a")])
    stores.clock.now -= 1000 * DAY
    stores.matches.record([match("video:old", "a")])
    stores.clock.now += 11 * DAY
    ids += stores.matches.record([match("video:new", "a")])
    assert stores.ids() == ids[::-1]


def test_the_history_of_verdicts_is_kept(stores: Stores) -> None:
    (one,) = stores.matches.record([match("video:q", "a")])
    assert stores.verdicts.latest([one]) == {}
    for verdict in ("copy", "not_copy", verdicts.NONE):
        stores.verdicts.add(one, replace(JUDGED, verdict=verdict), None)
    history, _, total = stores.verdicts.page(one, None, 2)
    assert ([entry["verdict"] for entry in history], total) == (["none", "not_copy"], 3)
    assert history[0]["author"] == "Ann"
    assert stores.verdicts.latest([one]) == {}
    assert stores.ids(verdicts=frozenset({"none"})) == [one]


def test_too_many_verdicts_are_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MAX_VERDICTS", 1)
    (one,) = stores.matches.record([match("video:q", "a")])
    stores.verdicts.add(one, JUDGED, None)
    with pytest.raises(UsageError, match="1 verdicts, which is the maximum"):
        stores.verdicts.add(one, JUDGED, None)


def test_a_request_that_is_sent_again_changes_nothing(stores: Stores) -> None:
    (one,) = stores.matches.record([match("video:q", "a")])
    once = Once("0a", "POST /v1/matches/1/verdicts", "mine", "{}")
    first = stores.verdicts.add(one, JUDGED, None, once)
    again = stores.verdicts.add(one, JUDGED, None, once)
    assert first is not None
    assert again is not None
    assert (first[0], [first[1], again[1]]) == (again[0], [False, True])
    assert stores.verdicts.page(one, None, 9)[2] == 1
    with pytest.raises(ReusedKeyError):
        stores.verdicts.add(one, JUDGED, None, replace(once, body="other"))
    # Another caller's key of this name is another key, and a day later it is forgotten.
    stores.verdicts.add(one, JUDGED, None, replace(once, key_id="0b"))
    stores.clock.now += DAY + 1
    stores.verdicts.add(one, JUDGED, None, once)
    assert stores.verdicts.page(one, None, 9)[2] == 3


def decide(found: StoredMatch, exceptions: Sequence[StoredException]) -> str:
    return "no_match" if exceptions else "copy"


def test_an_exception_decides_on_stored_matches_until_it_is_deleted(stores: Stores) -> None:
    one, two, _ = stores.matches.record(
        [match("video:q", "a"), match("video:r", "a"), match("video:q", "other")]
    )
    whole = NewException("range", "b", "a", "intro", "", None, 0.0, 4.0, "Ann", "0a")
    tried, _ = stores.exceptions.add(whole, decide, None, dry_run=True)
    assert (tried["id"], tried["affected"]) == (None, {"total": 2, "match_ids": [two, one]})
    assert stores.ids(decision="no_match") == []
    added, _ = stores.exceptions.add(whole, decide, None)
    assert added["affected"]["match_ids"] == stores.ids(decision="no_match") == [two, one]
    assert stores.exceptions.page(None, None, 9)[2] == 1
    assert not stores.exceptions.remove(added["id"], decide, frozenset({"x"}))
    assert stores.exceptions.remove(added["id"], decide, frozenset({"b"}))
    assert stores.ids(decision="no_match") == []


def test_an_excepted_pair_is_told_of_with_its_query_alone(stores: Stores) -> None:
    one, _ = stores.matches.record([match("video:q", "a"), match("video:r", "a")])
    pair = NewException("pair", "b", "a", "parody", "", "video:q")
    added, _ = stores.exceptions.add(pair, decide, None)
    assert added["affected"] == {"total": 1, "match_ids": [one]}
    (found,) = stores.exceptions.of_references(["a", "z"], "video:q")["a"]
    assert (found.fingerprint, found.reason) == ("video:q", "parody")
    assert stores.exceptions.of_references(["a"], "video:r") == {}
    assert stores.exceptions.page(None, None, 9, kind="range")[2] == 0
    stores.exceptions.forget_video("q")
    assert stores.exceptions.get(found.id, None) is None
