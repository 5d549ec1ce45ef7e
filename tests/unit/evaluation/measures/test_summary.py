"""A summary gathers the measures; names of configurations are no longer than they need to be."""

from __future__ import annotations

import math

from evaluation.measures.grouping import by_label
from evaluation.measures.registry import MEASURES
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import summarise
from evaluation.records import QueryRow
from tests.support.evaluation_rows import found, piece, row


def rows_of(transform: str, group: str, probability: float) -> list[QueryRow]:
    """One query asked of the whole catalogue and of both halves."""
    right, stranger = found("self", probability, 0.8), found("stranger", 0.2, 0.3)
    pieces = (piece((0, 10), (0, 10)),)
    return [
        row("all", right, stranger, transform=transform, group=group),
        row("with", right, stranger, transform=transform, group=group, pieces=pieces),
        row("without", stranger, transform=transform, group=group),
    ]


ROWS = [*rows_of("crop_10", "paper", 0.95), *rows_of("trim", "temporal", 0.1)]


def test_one_summary_for_each_transform_group_or_all() -> None:
    assert [one.transform for one in summarise(ROWS, by=("transform",))] == ["crop_10", "trim"]
    assert [one.group for one in summarise(ROWS, by=("transform",))] == ["paper", "temporal"]
    assert [one.group for one in summarise(ROWS, by=("group",))] == ["paper", "temporal"]
    (everything,) = summarise(ROWS)
    assert (everything.group, everything.transform, everything.rows) == ("", "", 6)


def test_a_summary_by_eye() -> None:
    (made,) = summarise(ROWS)
    assert made.recall_at_1 == Proportion(1, 2)
    assert made.recall_at_3 == Proportion(2, 2)
    assert made.recall_at_fpr_1e2 == Proportion(1, 2)
    assert made.decisions.copies_accepted == Proportion(1, 2)
    assert made.decisions.false_accepts == Proportion(0, 2)
    assert made.ranges.good == Proportion(2, 2)
    assert made.separation.copies == 0.8
    assert made.failed == 0


def test_configurations_are_never_pooled() -> None:
    other = [row("all", configuration="visual", error="broken")]
    first, second = summarise([*ROWS, *other])
    assert (first.configuration, first.rows, first.failed) == ("default", 6, 0)
    assert (second.configuration, second.rows, second.failed) == ("visual", 1, 1)


def test_every_named_measure_reads_a_summary_even_of_nothing() -> None:
    (full,), (empty,) = summarise(ROWS), summarise([row("all", error="broken")])
    for measure in MEASURES.values():
        assert isinstance(measure.of(full), Proportion | float)
        value = measure.of(empty)
        measured = value.value if isinstance(value, Proportion) else value
        assert math.isnan(measured) or measure.title.startswith("Recall@")


def test_names_are_as_short_as_they_can_be() -> None:
    def names(*pairs: tuple[str, str]) -> list[str]:
        return list(by_label(row("all", profile=p, configuration=c) for p, c in pairs))

    assert names(("offline", "default")) == ["offline"]
    assert names(("sscd", "default"), ("offline", "default")) == ["sscd", "offline"]
    assert names(("sscd", "default"), ("sscd", "visual")) == ["default", "visual"]
    assert names(("sscd", "default"), ("offline", "visual")) == ["sscd, default", "offline, visual"]
