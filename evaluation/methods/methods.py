"""Who answers in a run, as values that go between processes, and what is kept of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from evaluation.calibration.samples import Samples, gather_samples
from evaluation.data.records import QueryRow
from evaluation.experiment.experiment_data import ExperimentData
from evaluation.experiment.protocol import Method, Query
from evaluation.measures.relevance import best_of_each_video
from evaluation.methods.baselines import BaselineName
from evaluation.methods.configurations import Configuration
from searcher.matching.calibration import Calibration

Calibrations: TypeAlias = Mapping[int | None, Calibration]
"""By the fold of a query; under None that of all folds which have none of their own."""

# Recall@5 is decided by the best five, and further wrong videos of one query weigh next to nothing in
# what is pooled over all queries; kept in full, rows would grow with the square of the catalogue.
WRONG_KEPT = 8


@dataclass(frozen=True, slots=True)
class ConfiguredMethod:
    """A matcher under a configuration with its calibrations, or a baseline, which has none."""

    who: Configuration | BaselineName
    calibrations: Calibrations

    @property
    def name(self) -> str:
        """The configuration, as rows name it."""
        return self.who.name if isinstance(self.who, Configuration) else self.who

    def open(self, data: ExperimentData) -> Method:
        if not isinstance(self.who, Configuration):
            return data.baseline(self.who)
        held = self.calibrations
        return data.answers(self.who, lambda fold: held.get(fold) or held[None])


def answered(
    method: ConfiguredMethod, data: ExperimentData, queries: Sequence[Query]
) -> list[QueryRow]:
    """The rows of some queries, in order; of wrong videos only the best."""
    return [slimmed(row) for row in data.rows(queries, method.open(data))]


def gathered(
    configuration: Configuration, base: Calibration, data: ExperimentData, queries: Sequence[Query]
) -> Samples:
    """What a calibration is fitted on, of some queries."""
    return gather_samples(queries, data.dataset, data.answers(configuration, lambda _: base), base)


def slimmed(row: QueryRow, wrong_kept: int = WRONG_KEPT) -> QueryRow:
    """The row with all matches of videos that are right or partners, and those of its best wrong ones."""
    wrong = [
        found.video_id
        for found in best_of_each_video(row.matches)
        if found.relation in ("stranger", "lookalike")
    ]
    dropped = set(wrong[wrong_kept:])
    if not dropped:
        return row
    kept = tuple(found for found in row.matches if found.video_id not in dropped)
    return replace(row, matches=kept)
