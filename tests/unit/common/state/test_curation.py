"""Disabled videos over both databases."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from common.state import curation
from common.state.curation import CurationStore
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
