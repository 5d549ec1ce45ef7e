"""What verdicts say of the decisions of each bank, over both databases."""

from __future__ import annotations

from typing import Any

from common.settings import StateSettings
from common.state.database import StateDatabase
from common.state.feedback import BankFeedback, FeedbackStore, by_decision, by_reviewers
from common.state.matches import FoundMatch, MatchFilter, MatchStore
from common.state.verdicts import NewVerdict, VerdictStore


class Judged:
    """Matches of one query with references of two banks."""

    def __init__(self, database: StateDatabase) -> None:
        self.matches = MatchStore(database, StateSettings())
        self.verdicts = VerdictStore(database)
        self.feedback = FeedbackStore(database)

    def found(self, name: str, bank: str = "news", decision: str = "copy") -> int:
        detail: dict[str, Any] = {"query": {"fingerprint": "video:q"}, "ref_video_id": name}
        match = FoundMatch("video:q", name, bank, None, decision, 0.9, detail)
        return self.matches.record([match])[0]

    def judge(self, match_id: int, verdict: str, key: str | None = "a") -> None:
        self.verdicts.add(match_id, NewVerdict(verdict, "", "", key, key), None)


def test_precision_and_disagreement_are_counted_per_bank(database: StateDatabase) -> None:
    judged = Judged(database)
    ids = [judged.found(f"{number}.mp4") for number in range(6)]
    other = judged.found("z.mp4", "shows", "no_match")
    for match_id, verdict in zip(
        ids, ("copy", "licensed", "not_copy", "unsure", "none"), strict=False
    ):
        judged.judge(match_id, verdict)
    judged.judge(other, "copy")
    judged.judge(ids[0], "not_copy", "b")
    # The latest verdict of each key counts, and a licensed copy is a copy.
    judged.judge(ids[1], "not_copy", "b")
    judged.judge(ids[1], "copy", "b")
    news, shows = sorted(judged.feedback.per_bank(), key=lambda one: one.bank)
    assert news == BankFeedback("news", 6, 1, 2, 1, by_reviewers=1, by_decision=2)
    assert news.precision == 1 / 3
    assert shows == BankFeedback("shows", 1, 1, 0, 0, by_reviewers=0, by_decision=1)
    assert judged.feedback.per_bank(frozenset({"shows"})) == [shows]
    assert judged.feedback.disputed([*ids, other]) == {ids[0]}

    def listed(*also: Any) -> set[int]:
        return {one.id for one in judged.matches.page(MatchFilter(also=also), None, 100)[0]}

    assert listed(by_reviewers()) == {ids[0]}
    assert listed(by_decision()) == {ids[0], ids[2], other}
    labels = [(one.detail["ref_video_id"], one.is_copy) for one in judged.feedback.judged(100)]
    assert labels == [("z.mp4", True), ("2.mp4", False), ("1.mp4", True)]
    assert len(list(judged.feedback.judged(2))) == 2


def test_withdrawn_verdicts_and_those_without_a_key_are_no_disagreement(
    database: StateDatabase,
) -> None:
    judged = Judged(database)
    first, second = judged.found("a.mp4"), judged.found("b.mp4")
    judged.judge(first, "copy")
    judged.judge(first, "none", "b")
    judged.judge(first, "not_copy", "b")
    judged.judge(second, "copy", None)
    judged.judge(second, "not_copy", None)
    assert judged.feedback.disputed([first, second]) == frozenset()
    (news,) = judged.feedback.per_bank()
    assert (news.precision, news.by_decision) == (0.0, 2)
