"""A key is known by its text alone, and is refused once it is revoked or has expired."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from common.errors import UsageError
from common.state.database import StateDatabase
from common.state.keys import LAST_USED_SECONDS, KeyStore, NewKey
from common.state.roles import Role
from tests.support.background import together
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def keys(database: StateDatabase, clock: Clock) -> KeyStore:
    return KeyStore(database, clock)


def test_a_key_is_known_by_its_text(keys: KeyStore) -> None:
    key, token = keys.create(NewKey("ci", Role.WRITER, ["news", "sport"], None, 60))
    assert token.startswith(f"sh_{key.id}_")
    found = keys.verify(token)
    assert found is not None
    assert (found.id, found.name, found.role) == (key.id, "ci", Role.WRITER)
    assert (found.banks, found.requests_per_minute) == (frozenset({"news", "sport"}), 60)


@pytest.mark.parametrize("change", ["last", "id", "case", "longer", "empty", "nul"])
def test_any_other_text_is_no_key(keys: KeyStore, change: str) -> None:
    _, token = keys.create(NewKey("ci", Role.ADMIN))
    wrong = {
        "last": token[:-1] + ("A" if token[-1] != "A" else "B"),
        "id": "sh_0123456789ab" + token[15:],
        "case": token.upper(),
        "longer": token + "A",
        "empty": "",
        "nul": token[:20] + "\0" + token[21:],
    }[change]
    assert keys.verify(wrong) is None
    assert keys.verify(token) is not None


def test_the_text_of_a_key_is_nowhere_in_the_database(
    keys: KeyStore, database: StateDatabase
) -> None:
    key, token = keys.create(NewKey("ci", Role.ADMIN))
    with database.read() as connection:
        row = connection.execute(text("SELECT * FROM api_keys")).one()
    secret = token.removeprefix(f"sh_{key.id}_")
    assert len(secret) == 43
    assert all(secret not in str(value) for value in row)


def test_a_revoked_key_is_refused_and_still_listed(keys: KeyStore, clock: Clock) -> None:
    key, token = keys.create(NewKey("ci", Role.READER))
    assert keys.revoke(key.id)
    assert keys.verify(token) is None
    clock.now += 60
    assert keys.revoke(key.id)
    ((listed,), _) = keys.page()
    assert listed.to_json()["revoked_at"] == "2027-01-15T08:00:00+00:00"
    assert keys.exists()
    assert not keys.revoke("000000000000")


def test_a_key_expires(keys: KeyStore, clock: Clock) -> None:
    _, token = keys.create(NewKey("ci", Role.READER, expires_seconds=60))
    clock.now += 59
    assert keys.verify(token) is not None
    clock.now += 1
    assert keys.verify(token) is None


def test_the_last_use_is_known_to_some_minutes(keys: KeyStore, clock: Clock) -> None:
    _, token = keys.create(NewKey("ci", Role.READER))

    def last_used() -> Any:
        keys.verify(token)
        return keys.page()[0][0].last_used_at

    first = last_used()
    assert first == int(1000 * clock.now)
    clock.now += LAST_USED_SECONDS - 1
    assert last_used() == first
    clock.now += 1
    assert last_used() == first + 1000 * LAST_USED_SECONDS
    clock.now -= 1000 * LAST_USED_SECONDS
    assert last_used() == int(1000 * clock.now)


def test_of_many_that_start_together_one_gets_the_first_key(keys: KeyStore) -> None:
    (token,) = [one for one in together([keys.create_first] * 4) if one is not None]
    key = keys.verify(token)
    assert key is not None
    assert (key.role, key.banks) == (Role.ADMIN, None)
    assert keys.create_first() is None


def test_pages_give_every_key_once(keys: KeyStore) -> None:
    made = {keys.create(NewKey(f"key {number}", Role.READER))[0].id for number in range(5)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = keys.page(cursor, 2)
        seen += [key.id for key in page]
    assert seen == sorted(made)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name: expected 1 to 100"),
        ({"name": "a" * 101}, "name: expected 1 to 100"),
        ({"name": "a\x1b[2J"}, "name: expected 1 to 100 printable"),
        ({"banks": []}, "banks: expected 1 to 100 banks"),
        ({"banks": [""]}, "bank: expected a name of 1 to 200"),
        ({"banks": ["news"], "role": Role.ADMIN}, "an admin key is for all banks"),
    ],
)
def test_what_can_be_no_key_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NewKey(**{"name": "ci", "role": Role.READER, **values})


def test_a_name_that_no_database_can_store_is_no_key(keys: KeyStore) -> None:
    key, token = keys.create(NewKey("ci", Role.WRITER))
    for wrong in ("\0", f"{key.id}\0", "\ud800"):
        assert keys.limit(wrong, {"requests_per_minute": 1}) is None
        assert not keys.revoke(wrong)
        keys.page(wrong)
    assert keys.verify(token) is not None


def test_each_role_may_do_what_those_before_it_may() -> None:
    roles = [Role.READER, Role.REVIEWER, Role.WRITER, Role.ADMIN]
    for number, role in enumerate(roles):
        assert [role.includes(other) for other in roles] == [other <= number for other in range(4)]


def test_revoked_and_expired_keys_leave_room_for_others(
    keys: KeyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.state.keys.MAX_KEYS", 2)
    first, _ = keys.create(NewKey("first", Role.READER))
    keys.create(NewKey("second", Role.READER, expires_seconds=60))
    with pytest.raises(UsageError, match="2 valid keys, which is the maximum; revoke some"):
        keys.create(NewKey("third", Role.READER))
    keys.revoke(first.id)
    clock.now += 61
    keys.create(NewKey("third", Role.READER))
    keys.create(NewKey("fourth", Role.READER))
    assert len(keys.page()[0]) == 4
