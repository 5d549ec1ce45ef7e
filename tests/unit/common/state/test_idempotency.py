"""Requests with one Idempotency-Key at the same time, over both databases."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select

from common.errors import ReusedKeyError
from common.state import idempotency
from common.state.idempotency import KEPT_SECONDS, AnswerStore, Once
from common.state.state import State
from common.state.tables import IDEMPOTENT_ANSWERS
from tests.support.clock import Clock

FIRST = Once("k", "POST /v1/videos", "mine", "tea")
OTHER = replace(FIRST, body="coffee")


def is_refused(state: State, once: Once) -> bool:
    try:
        with state.answers.claimed(once):
            return False
    except ReusedKeyError:
        return True


def test_another_request_is_refused_while_the_first_is_at_work_and_after(state: State) -> None:
    with state.answers.claimed(FIRST) as known:
        assert known is None
        assert is_refused(state, OTHER)
        assert state.answers.add(FIRST, {"id": "tea"}) == ({"id": "tea"}, False)
    assert is_refused(state, OTHER)
    assert not is_refused(state, replace(OTHER, key_id="of another caller"))
    with state.answers.claimed(FIRST) as known:
        assert known == {"id": "tea"}


def test_equal_requests_at_the_same_time_get_one_answer(state: State) -> None:
    with state.answers.claimed(FIRST) as known, state.answers.claimed(FIRST) as also_known:
        assert known is also_known is None
        assert state.answers.add(FIRST, {"number": 1}) == ({"number": 1}, False)
        assert state.answers.add(FIRST, {"number": 2}) == ({"number": 1}, True)


def test_a_request_that_fails_frees_its_key_unless_an_equal_one_is_at_work(state: State) -> None:
    with suppress(ZeroDivisionError), state.answers.claimed(FIRST):
        raise ZeroDivisionError
    assert not is_refused(state, OTHER)
    key = replace(FIRST, key="another")
    with suppress(ZeroDivisionError), state.answers.claimed(key):
        with state.answers.claimed(key):
            pass
        raise ZeroDivisionError
    assert is_refused(state, replace(key, body="coffee"))


def test_ten_times_too_many_answers_leave_the_newest(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, kept = IDEMPOTENT_ANSWERS, 200
    monkeypatch.setattr(idempotency, "KEPT_ANSWERS", kept)
    now = int(1000 * time.time()) - 10 * kept
    rows = [
        {
            "hash": f"{number:064}",
            "request_hash": "0" * 64,
            "answer": "{}",
            "created_at": now + number,
        }
        for number in range(10 * kept)
    ]
    with state.database.change() as connection:
        connection.execute(insert(table), rows)
    assert state.answers.add(FIRST, {"id": "tea"}) == ({"id": "tea"}, False)
    with state.database.read() as connection:
        found = connection.execute(select(func.count(), func.min(table.c.created_at))).one()
    assert tuple(found) == (kept, rows[-kept + 1]["created_at"])
    assert state.answers.add(FIRST, {}) == ({"id": "tea"}, True)


def test_a_claim_that_a_crash_left_ends_with_the_day(state: State) -> None:
    clock = Clock()
    answers = AnswerStore(state.database, clock)
    with answers.claimed(FIRST):
        pass
    clock.now += KEPT_SECONDS + 1
    with answers.claimed(OTHER) as known:
        assert known is None
