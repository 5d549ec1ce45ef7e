"""How rows of the catalogue are read."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Protocol

from searcher.storage.database import Database
from searcher.storage.selection import ALL_VIDEOS, SELECTED, Selection, selected_values
from searcher.storage.video import Video

COLUMNS = tuple(f.name for f in fields(Video))
_ROWS = f"SELECT {', '.join(COLUMNS)} FROM videos"


class VideoRows(Protocol):
    """Where a `VideoStore` reads rows."""

    def get(self, video_id: str) -> Video | None:
        """One row, or None."""
        ...

    def page(
        self, *, after: str = "", limit: int = 100, only: Selection = ALL_VIDEOS
    ) -> tuple[list[Video], str | None]:
        """Rows in a fixed order, and the cursor that asks for the next ones, or None."""
        ...

    def total(self, only: Selection = ALL_VIDEOS) -> int:
        """How many rows there are of a selection."""
        ...

    def bank_counts(self) -> dict[str, int]:
        """The number of videos in each bank that has one."""
        ...

    def has_bank(self, bank: str) -> bool:
        """Whether some video is in this bank."""
        ...

    def counts(self) -> dict[str, int]:
        """Videos by state."""
        ...

    def versions(self) -> dict[str, int]:
        """The whole version of every video that has one."""
        ...

    def some(self, count: int) -> list[str]:
        """Ids of this many videos that have a whole version, by chance."""
        ...


class StoredRows:
    """The rows of the data folder's database, in the order of their ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, video_id: str) -> Video | None:
        rows = self._database.query(f"{_ROWS} WHERE video_id = ?", video_id)
        return _to_video(rows[0]) if rows else None

    def page(
        self, *, after: str = "", limit: int = 100, only: Selection = ALL_VIDEOS
    ) -> tuple[list[Video], str | None]:
        rows = self._database.query(
            f"{_ROWS} WHERE video_id > ? AND {SELECTED} ORDER BY video_id LIMIT ?",
            after,
            *selected_values(only),
            limit + 1,
        )
        videos = [_to_video(row) for row in rows[:limit]]
        return videos, videos[-1].video_id if len(rows) > limit else None

    def total(self, only: Selection = ALL_VIDEOS) -> int:
        query = f"SELECT count(*) FROM videos WHERE {SELECTED}"
        ((count,),) = self._database.query(query, *selected_values(only))
        return int(count)

    def bank_counts(self) -> dict[str, int]:
        rows = self._database.query("SELECT bank, count(*) FROM videos GROUP BY bank")
        return {str(bank): int(count) for bank, count in rows}

    def has_bank(self, bank: str) -> bool:
        return bool(self._database.query("SELECT 1 FROM videos WHERE bank = ? LIMIT 1", bank))

    def counts(self) -> dict[str, int]:
        return dict(self._database.query("SELECT state, count(*) FROM videos GROUP BY state"))

    def versions(self) -> dict[str, int]:
        return dict(self._database.query("SELECT video_id, version FROM videos WHERE version > 0"))

    def some(self, count: int) -> list[str]:
        rows = self._database.query(
            "SELECT video_id FROM videos WHERE version > 0 ORDER BY random() LIMIT ?", count
        )
        return [str(video_id) for (video_id,) in rows]


def _to_video(row: tuple[Any, ...]) -> Video:
    values = dict(zip(COLUMNS, row, strict=True))
    values["metadata"] = json.loads(values["metadata"])
    return Video(**values)
