"""Rows of the catalogue by bank, state, the beginning of the id, and text."""

from __future__ import annotations

from pathlib import Path

import pytest

from searcher.storage.database import Database
from searcher.storage.selection import ALL_VIDEOS, Selection
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (ALL_VIDEOS, ["a", "b%", "bb", "c"]),
        (Selection(bank="news"), ["bb", "c"]),
        (Selection(state="failed"), ["c"]),
        (Selection(prefix="b"), ["b%", "bb"]),
        (Selection(prefix="b%"), ["b%"]),
        (Selection("news", "ready", "b"), ["bb"]),
        (Selection(bank="none"), []),
        (Selection(text="B%"), ["b%"]),
        (Selection(text="tEA for"), ["c"]),
        (Selection(bank="news", text="b"), ["bb"]),
        (Selection(text="É"), []),
    ],
)
def test_pages_and_total_are_those_of_the_selection(
    tmp_path: Path, only: Selection, expected: list[str]
) -> None:
    store = VideoStore(Database(tmp_path / "videos.sqlite"))
    for name, bank in {"a": "default", "b%": "default", "bb": "news"}.items():
        store.commit(Video(name, name, bank, state="ready"))
    store.commit(Video("c", "c", "news", title="Tea for two é", state="failed"))
    rows = store.page(only=ALL_VIDEOS)[0]
    assert {row.video_id for row in rows if only.names(row.video_id, row.title)} >= {*expected}
    assert store.total(only) == len(expected)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = store.page(after=cursor, limit=1, only=only)
        found += [row.video_id for row in rows]
    assert found == expected
