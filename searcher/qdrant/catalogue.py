"""The catalogue of a process that only answers: the rows in the register, without a data folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from searcher.qdrant.points import any_of, equals
from searcher.qdrant.register import Register, live_filter
from searcher.storage.selection import ALL_VIDEOS, Selection
from searcher.storage.video import Video


class RegisteredRows:
    """`VideoRows` of the register. Videos that wait or failed are known only to the process that indexes
    them. Rows come in the order of the ids of their points."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def get(self, video_id: str) -> Video | None:
        return self._register.row(video_id)

    def page(
        self, *, after: str = "", limit: int = 100, only: Selection = ALL_VIDEOS
    ) -> tuple[list[Video], str | None]:
        rows = self._selected(only, after)
        videos = list(islice(rows, limit + 1))
        return videos[:limit], videos[limit - 1].video_id if len(videos) > limit else None

    def total(self, only: Selection = ALL_VIDEOS) -> int:
        if only.prefix or only.text:
            return sum(1 for _ in self._selected(only, ""))
        return self._register.count(live_filter(*_conditions(only)))

    def bank_counts(self) -> dict[str, int]:
        return self._register.values("bank")

    def has_bank(self, bank: str) -> bool:
        return self._register.count(live_filter(equals("bank", bank))) > 0

    def counts(self) -> dict[str, int]:
        return self._register.values("state")

    def versions(self) -> dict[str, int]:
        return self._register.versions()

    def some(self, count: int) -> list[str]:
        return self._register.some(count, f"{random.random()}")

    def _selected(self, only: Selection, after: str) -> Iterator[Video]:
        rows = self._register.rows(live_filter(*_conditions(only)), after)
        return (row for row in rows if only.names(row.video_id, row.title))


def _conditions(only: Selection) -> list[Any]:
    conditions: list[Any] = []
    if only.bank:
        conditions.append(equals("bank", only.bank))
    if only.state:
        conditions.append(equals("state", only.state))
    if only.banks is not None:
        conditions.append(any_of("bank", only.banks))
    return conditions
