"""A quota is never exceeded, whatever is spent and given back, and begins anew each day."""

from __future__ import annotations

import uuid
from collections import Counter
from functools import partial
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import QuotaExceededError
from common.settings import Settings
from common.state.database import StateDatabase
from common.state.keys import KeyStore, NewKey
from common.state.quotas import DAY_SECONDS, Quota, QuotaStore, Use
from common.state.roles import Role
from tests.support.background import together
from tests.support.clock import Clock

COSTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.booleans()), max_size=12)


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    opened = StateDatabase(Settings(data_dir=tmp_path_factory.mktemp("quotas")))
    yield opened
    opened.close()


@settings(max_examples=15, deadline=None)
@given(costs=COSTS, quota=st.builds(Quota, st.integers(0, 9), st.integers(0, 900)))
def test_what_is_spent_never_exceeds_the_quota(
    one_database: StateDatabase, costs: list[tuple[int, int, bool]], quota: Quota
) -> None:
    key = uuid.uuid4().hex
    store, held = QuotaStore(one_database, Clock()), Use()
    for queries, size, returned in costs:
        cost = Use(queries, size)
        spent = store.spend(key, quota, cost)
        fits = not held.plus(cost).exceeded(quota)
        assert fits == (not spent.exceeded)
        held = held.plus(cost) if fits else held
        assert spent.use == held
        assert not held.exceeded(quota)
        if fits and returned:
            store.give_back(key, spent.day, cost)
            held = held.plus(cost, -1)
    assert store.spend(key, quota, Use()).use == held


def test_a_day_begins_anew_and_nothing_of_the_day_before_is_given_back(
    database: StateDatabase,
) -> None:
    clock = Clock(10 * DAY_SECONDS + 1)
    store, quota = QuotaStore(database, clock), Quota(2, None)
    assert [store.spend("a", quota, Use(1)).exceeded for _ in range(3)] == ["", "", "queries"]
    assert store.spend("b", quota, Use(1)).exceeded == ""
    assert store.seconds_left() == DAY_SECONDS - 1
    clock.now += DAY_SECONDS
    assert store.spend("a", quota, Use(1)).use == Use(1)
    store.give_back("a", 10, Use(1))
    assert store.spend("a", quota, Use()).use == Use(1)


def test_processes_that_spend_at_once_count_together(database: StateDatabase) -> None:
    quota = Quota(10, None)
    stores = [QuotaStore(database, Clock()) for _ in range(3)]

    def spend(store: QuotaStore) -> list[str]:
        return [store.spend("a", quota, Use(1)).exceeded for _ in range(6)]

    spent = chain.from_iterable(together(partial(spend, store) for store in stores))
    assert Counter(spent) == {"": 10, "queries": 8}


def test_a_list_of_keys_tells_limits_and_use(database: StateDatabase) -> None:
    clock = Clock(10 * DAY_SECONDS + 1)
    keys, store = KeyStore(database, clock), QuotaStore(database, clock)
    limited, token = keys.create(NewKey("a", Role.READER, quota=Quota(5, None)))
    free, _ = keys.create(NewKey("b", Role.READER))
    store.spend(limited.id, limited.quota, Use(2, 30))
    found = {key.id: key.to_json() for key in keys.page()[0]}
    assert found[limited.id]["used_today"] == {
        "queries": 2,
        "upload_bytes": 30,
        "video_seconds": 0,
        "resets_at": "1970-01-12T00:00:00+00:00",
    }
    assert found[free.id]["used_today"] is None
    changed = keys.limit(limited.id, {"upload_bytes_per_day": 40})
    assert changed is not None
    assert (changed.quota, changed.used) == (Quota(5, 40), Use(2, 30))
    verified = keys.verify(token)
    assert verified is not None
    assert verified.quota == Quota(5, 40)
    assert keys.limit("unknown", {"queries_per_day": 1}) is None
    clock.now += DAY_SECONDS
    assert keys.page()[0][0].used in (Use(), None)


def test_seconds_count_only_for_keys_with_a_quota_of_them_and_each_day_anew(
    database: StateDatabase,
) -> None:
    clock = Clock(10 * DAY_SECONDS + 1)
    store, keys = QuotaStore(database, clock), KeyStore(database, clock)
    key, _ = keys.create(NewKey("a", Role.WRITER, quota=Quota(video_seconds_per_day=20)))
    free, _ = keys.create(NewKey("b", Role.WRITER, quota=Quota(5)))
    store.note_payer("film", key.id)
    store.charge_video("film", 12.2)
    # A video is paid for once, and by the key that posted it last.
    store.charge_video("film", 12.2)
    store.charge_video("another", 99.0)
    store.check_seconds(key.id)
    store.note_payer("film", free.id)
    store.note_payer("film", key.id)
    store.forget_payer("film")
    store.charge_video("film", 12.2)
    store.count_seconds(free.id, 1000.0)
    store.check_seconds(free.id)
    assert store.spend(free.id, Quota(5), Use()).use == Use()
    store.count_seconds(key.id, 7.0)
    assert store.spend(key.id, Quota(), Use()).use == Use(0, 0, 20)
    with pytest.raises(QuotaExceededError, match="20 seconds of video per day"):
        store.check_seconds(key.id)
    (shown,) = [one for one in keys.page()[0] if one.id == key.id]
    assert shown.to_json()["used_today"]["video_seconds"] == 20
    clock.now += DAY_SECONDS
    store.check_seconds(key.id)
