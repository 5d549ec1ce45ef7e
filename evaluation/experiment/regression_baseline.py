"""What the gate takes from a baseline: the rows to compare, and what to ask to compare with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation.data.records import QueryRow
from evaluation.experiment.protocol import REAL
from evaluation.methods.configurations import FULL


@dataclass(frozen=True, slots=True)
class BaselineQueries:
    """Which queries a baseline asked. per_transform: the most videos that any transform was made of."""

    profile: str
    transforms: tuple[str, ...]
    per_transform: int


def of_full(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """The rows to compare: of the shipped configuration where a run has several, as one with
    baselines has, else all."""
    held = list(rows)
    if len({row.configuration for row in held}) < 2:
        return held
    return [row for row in held if row.configuration == FULL.name]


def queries_of(rows: Sequence[QueryRow]) -> BaselineQueries:
    """What a run must ask to be compared with these rows, of which there must be one."""
    videos: dict[str, set[str]] = {}
    for row in rows:
        if row.group != REAL:
            videos.setdefault(row.transform, set()).add(row.video_id)
    most = max((len(names) for names in videos.values()), default=1)
    return BaselineQueries(rows[0].profile, tuple(videos), most)
