"""Short helpers to write result rows by hand."""

from __future__ import annotations

from evaluation.records import Catalogue, CopiedRange, QueryRow, Relation, ScoredMatch

COPY_FROM, REVIEW_FROM = 0.9, 0.5


def found(
    relation: Relation,
    probability: float,
    similarity: float = 0.5,
    *,
    video_id: str = "",
    query: tuple[float, float] = (0, 10),
    ref: tuple[float, float] = (0, 10),
    decision: str = "",
) -> ScoredMatch:
    """A match. By default it is a copy from a probability of 0.9, and for review from 0.5."""
    made = (
        "copy"
        if probability >= COPY_FROM
        else "review"
        if probability >= REVIEW_FROM
        else "no_match"
    )
    return ScoredMatch(
        video_id=video_id or relation,
        relation=relation,
        probability=probability,
        similarity=similarity,
        decision=decision or made,
        view="identity",
        query_start_seconds=query[0],
        query_end_seconds=query[1],
        ref_start_seconds=ref[0],
        ref_end_seconds=ref[1],
    )


def row(
    catalogue: Catalogue,
    *matches: ScoredMatch,
    video_id: str = "film",
    transform: str = "crop_10",
    group: str = "paper",
    configuration: str = "default",
    profile: str = "offline",
    error: str = "",
    pieces: tuple[CopiedRange, ...] = (),
    fold: int = 0,
) -> QueryRow:
    """The row of a query of 10 s."""
    return QueryRow(
        configuration=configuration,
        profile=profile,
        catalogue=catalogue,
        transform=transform,
        group=group,
        video_id=video_id,
        family=video_id,
        fold=fold,
        duration_seconds=10.0,
        error=error,
        pieces=pieces,
        matches=matches,
    )


def piece(
    query: tuple[float, float], ref: tuple[float, float], in_order: bool = True
) -> CopiedRange:
    return CopiedRange(*query, *ref, in_order)
