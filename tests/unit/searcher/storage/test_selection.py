"""Rows of the catalogue by bank, state and the beginning of the id."""

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
    ],
)
def test_pages_and_total_are_those_of_the_selection(
    tmp_path: Path, only: Selection, expected: list[str]
) -> None:
    store = VideoStore(Database(tmp_path / "videos.sqlite"))
    for name, bank in {"a": "default", "b%": "default", "bb": "news", "c": "news"}.items():
        store.commit(Video(name, name, bank, state="failed" if name == "c" else "ready"))
    assert store.total(only) == len(expected)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        rows, cursor = store.page(after=cursor, limit=1, only=only)
        found += [row.video_id for row in rows]
    assert found == expected
