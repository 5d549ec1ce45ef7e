"""Pairs of outcomes of the same queries under two configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from common.errors import UsageError
from evaluation.measures.statistics import PairedOutcomes
from evaluation.records import Catalogue, QueryRow

QueryKey: TypeAlias = tuple[Catalogue, str, str]
"""(catalogue, transform, video_id)."""


def key_of(row: QueryRow) -> QueryKey:
    return row.catalogue, row.transform, row.video_id


def by_query(rows: Iterable[QueryRow]) -> dict[QueryKey, QueryRow]:
    """Rows by query; UsageError if one query has two rows, for example of two configurations."""
    by_key: dict[QueryKey, QueryRow] = {}
    for row in rows:
        if by_key.setdefault(key_of(row), row) is not row:
            raise UsageError(
                f"two rows for transform {row.transform!r} of {row.video_id!r} in the catalogue "
                f"{row.catalogue!r}: compare rows of one configuration and one profile at a time"
            )
    return by_key


def pair(first: Mapping[QueryKey, bool], second: Mapping[QueryKey, bool]) -> PairedOutcomes:
    """Count the four outcomes over the queries that both have."""
    outcomes = [(first[key], second[key]) for key in first.keys() & second.keys()]
    return PairedOutcomes(
        both=outcomes.count((True, True)),
        first_only=outcomes.count((True, False)),
        second_only=outcomes.count((False, True)),
        neither=outcomes.count((False, False)),
    )
