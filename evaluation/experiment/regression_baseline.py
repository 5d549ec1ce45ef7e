"""The rows of an earlier run that the regression gate compares with, and the queries they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation.methods.configurations import FULL
from evaluation.protocol import LOOKALIKE, REAL
from evaluation.records import QueryRow


@dataclass(frozen=True, slots=True)
class BaselineQueries:
    """The queries of an earlier run. per_transform: the largest number of videos of a transform."""

    profile: str
    transforms: tuple[str, ...]
    per_transform: int


def full_configuration_rows(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """The rows to compare: those of the shipped configuration if a run has several configurations, else
    all."""
    rows = list(rows)
    if len({row.configuration for row in rows}) < 2:
        return rows
    return [row for row in rows if row.configuration == FULL.name]


def baseline_queries(rows: Sequence[QueryRow]) -> BaselineQueries:
    """The queries that a run needs for the comparison with these rows; expects at least one row."""
    videos: dict[str, set[str]] = {}
    for row in rows:
        if row.group not in (REAL, LOOKALIKE):
            videos.setdefault(row.transform, set()).add(row.video_id)
    most = max((len(names) for names in videos.values()), default=1)
    return BaselineQueries(rows[0].profile, tuple(videos), most)
