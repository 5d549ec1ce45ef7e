"""Disabled videos and the settings of banks over both databases."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import UsageError
from common.state import curation
from common.state.curation import BankSetting, Curation, CurationStore
from common.state.database import StateDatabase

ODD = "half \ud800, NUL \0"


def test_disabled_videos_are_kept_and_other_processes_read_them(
    database: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = CurationStore(database), CurationStore(database)
    assert other.current.disabled == set()
    for video_id in ("a", "a", ODD):
        store.disable(video_id, "k")
    assert store.current.disabled == {"a", ODD}
    assert other.current.disabled == set()
    assert other.read().disabled == other.current.disabled == {"a", ODD}
    monkeypatch.setattr(curation, "MAX_DISABLED", 2)
    store.disable("a", None)
    with pytest.raises(UsageError, match="2 videos are disabled"):
        store.disable("b", None)
    store.enable("a")
    store.enable("unknown")
    assert store.current.disabled == {ODD}


def test_a_slow_reading_does_not_undo_a_change_that_came_meanwhile(
    database: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = CurationStore(database), curation.Curation

    def slow(*found: Any) -> Curation:
        monkeypatch.setattr(curation, "Curation", real)
        # The rows are read, and another thread is faster.
        store.disable("a", None)
        return real(*found)

    monkeypatch.setattr(curation, "Curation", slow)
    store.read()
    assert store.current.disabled == {"a"}


def test_what_is_set_about_a_bank_replaces_what_was(
    database: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = CurationStore(database, lambda: 7.0), CurationStore(database)
    first = BankSetting("News", ODD, enabled=False, policy={"min_seconds": 3.0})
    store.put_bank(ODD, first, "k")
    store.put_bank("b", BankSetting("", "", enabled=False, policy={}), None)
    store.put_bank("b", BankSetting("B", "", enabled=True, policy={}), None)

    def refuse(before: BankSetting | None) -> None:
        # It is what is stored, though `other` has not read it.
        assert before is not None
        raise UsageError(f"it has the title {before.title}")

    with pytest.raises(UsageError, match="the title B"):
        other.put_bank("b", first, None, refuse)
    assert set(other.read().banks) == {ODD, "b"}
    found = other.current.banks[ODD]
    assert (found.description, found.policy, found.updated_at) == (ODD, first.policy, 7000)
    assert other.current.disabled_banks == {ODD}
    monkeypatch.setattr(curation, "MAX_BANKS_SET", 2)
    store.put_bank("b", first, None)
    with pytest.raises(UsageError, match="2 banks are set"):
        store.put_bank("c", first, None)
    assert store.delete_bank("b")
    assert not store.delete_bank("b")
    assert set(store.current.banks) == {ODD}
