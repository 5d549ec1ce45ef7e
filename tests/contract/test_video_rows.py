"""What rows of the catalogue promise, wherever they are read: SQLite, and the register in Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from qdrant_client import QdrantClient

from common.settings import QdrantSettings
from searcher.qdrant.catalogue import RegisteredRows
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.register import Register
from searcher.storage.database import Database
from searcher.storage.selection import Selection
from searcher.storage.video import Video
from searcher.storage.video_rows import StoredRows, VideoRows
from searcher.storage.video_store import VideoStore

VIDEOS = [
    Video("a.mp4", "/a.mp4", bank="news", title="Tea", version=1, state="ready"),
    Video("b.mp4", "/b.mp4", bank="news", version=4, state="ready", metadata={"year": 2026}),
    Video("more/c.mp4", "/c.mp4", version=1, state="ready"),
]


@pytest.fixture(params=["sqlite", "qdrant"])
def rows(request: pytest.FixtureRequest) -> Iterator[VideoRows]:
    """Rows of `VIDEOS`, besides one that was deleted."""
    deleted = Video("gone.mp4", "/gone.mp4", version=2, state="ready")
    if request.param == "sqlite":
        with closing(Database(None)) as database:
            store = VideoStore(database)
            store.commit_all([*VIDEOS, deleted])
            store.delete("gone.mp4")
            yield StoredRows(database)
        return
    with closing(Nodes.of(QdrantClient(":memory:"), "here")) as nodes:
        register = Register(nodes, QdrantSettings(requests_in_flight=1))
        register.open("model")
        register.write([*VIDEOS, deleted])
        register.write([], [("gone.mp4", 2)])
        yield RegisteredRows(register)


def ids(rows: VideoRows, **only: object) -> list[str]:
    """The ids of a selection, page by page."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = rows.page(after=cursor, limit=2, only=Selection(**only))  # type: ignore[arg-type]
        found += [video.video_id for video in page]
    return sorted(found)


def test_a_row_is_read_by_its_id(rows: VideoRows) -> None:
    found = rows.get("b.mp4")
    assert found is not None
    assert (found.bank, found.version, dict(found.metadata)) == ("news", 4, {"year": 2026})
    assert rows.get("gone.mp4") is None
    assert rows.get("never.mp4") is None


def test_pages_have_every_row_of_a_selection_once(rows: VideoRows) -> None:
    assert ids(rows) == ["a.mp4", "b.mp4", "more/c.mp4"]
    assert ids(rows, bank="news") == ["a.mp4", "b.mp4"]
    assert ids(rows, banks=("default",)) == ["more/c.mp4"]
    assert ids(rows, banks=()) == []
    assert ids(rows, prefix="more/") == ["more/c.mp4"]
    assert ids(rows, text="tEa") == ["a.mp4"]
    assert ids(rows, state="failed") == []


def test_rows_are_counted(rows: VideoRows) -> None:
    assert rows.total() == 3
    assert rows.total(Selection(bank="news")) == 2
    assert rows.total(Selection(text=".mp4", bank="news")) == 2
    assert rows.bank_counts() == {"default": 1, "news": 2}
    assert rows.counts() == {"ready": 3}
    assert (rows.has_bank("news"), rows.has_bank("shows")) == (True, False)


def test_searchable_versions_are_known(rows: VideoRows) -> None:
    assert rows.versions() == {"a.mp4": 1, "b.mp4": 4, "more/c.mp4": 1}
    assert sorted(rows.some(9)) == ["a.mp4", "b.mp4", "more/c.mp4"]
    assert len(rows.some(2)) == 2
