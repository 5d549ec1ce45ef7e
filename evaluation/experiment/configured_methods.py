"""The methods of a run, as picklable values, and the rows of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from evaluation.calibration.samples import Samples, gather_samples
from evaluation.experiment.experiment_data import ExperimentData
from evaluation.measures.relevance import best_of_each_video, is_wrong
from evaluation.methods.baselines import BaselineName
from evaluation.methods.configurations import Configuration
from evaluation.protocol import Method, Query
from evaluation.records import QueryRow
from searcher.matching.scoring.calibration import Calibration

Calibrations: TypeAlias = Mapping[int | None, Calibration]
"""By the fold of a query; None is for folds without a calibration of their own."""

# Recall@5 needs the best five. More wrong videos per query hardly change pooled measures, and the size
# of all rows would grow with the square of the catalogue.
WRONG_KEPT = 8


@dataclass(frozen=True, slots=True)
class ConfiguredMethod:
    """A matcher under a configuration with its calibrations, or a baseline, which has none.
    distractors: number of segments beside every catalogue; not for a baseline."""

    method: Configuration | BaselineName
    calibrations: Calibrations
    distractors: int = 0

    @property
    def name(self) -> str:
        """The name of the configuration in rows; with distractors, for example `full+10000`."""
        if not isinstance(self.method, Configuration):
            return self.method
        return f"{self.method.name}+{self.distractors}" if self.distractors else self.method.name

    def open(self, data: ExperimentData) -> Method:
        if not isinstance(self.method, Configuration):
            return data.baseline(self.method)
        calibrations = self.calibrations
        return data.matcher_method(
            self.method, lambda fold: calibrations.get(fold) or calibrations[None], self.distractors
        )


def answer_queries(
    methods: Sequence[ConfiguredMethod], data: ExperimentData, queries: Sequence[Query]
) -> list[list[QueryRow]]:
    """For each method the rows of some queries, in order, each with only its best wrong videos.

    All methods answer a query before the next one, so that its pictures are made and read once.
    """
    opened = [method.open(data) for method in methods]
    rows: list[list[QueryRow]] = [[] for _ in methods]
    for query in queries:
        for method, answering, some in zip(methods, opened, rows, strict=True):
            some += [
                replace(without_weak_matches(row), configuration=method.name)
                for row in data.rows([query], answering)
            ]
    return rows


def gather_from_queries(
    configuration: Configuration, base: Calibration, data: ExperimentData, queries: Sequence[Query]
) -> Samples:
    """The calibration samples of some queries."""
    method = data.matcher_method(configuration, lambda _: base)
    return gather_samples(queries, data.dataset, method, base)


def without_weak_matches(row: QueryRow, wrong_kept: int = WRONG_KEPT) -> QueryRow:
    """The row with all matches of right videos and partners, but only the `wrong_kept` best wrong
    videos."""
    wrong = [match.video_id for match in best_of_each_video(row.matches) if is_wrong(match)]
    dropped = set(wrong[wrong_kept:])
    if not dropped:
        return row
    matches = tuple(match for match in row.matches if match.video_id not in dropped)
    return replace(row, matches=matches)
