"""The matching runs of one video in one piece of a query, through all its views.

The view with the best run tells most: others show the same parts, less surely. But a query may show one
part of a video as it is and another part edited. So where the rows of the best view leave a part of the
query, a further view adds its copies. One picture within the picture may be the first one (`inner`) in
one scene and the second one (`inner_2`) in the next, so what continues its row is joined to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searcher.matching.alignment.run import Aligner, Run
from searcher.matching.query_windows import QueryWindows
from searcher.matching.report.run_matches import FramesOf, RunMatch, run_matches_of
from searcher.matching.report.run_merge import continues, joined_runs
from searcher.matching.retrieval.retrieval import Retrieval
from searcher.matching.scoring.calibration import Calibration
from searcher.matching.scoring.candidates import Candidate, Evidence
from searcher.matching.scoring.false_positives import ChanceScores
from searcher.matching.scoring.policy import LEAST_UNCOVERED_SECONDS, covered_seconds

# Views of pictures within the picture begin with this.
_INNER = "inner"


@dataclass(frozen=True, slots=True)
class VideoRows:
    """Makes the rows of candidates. number: of the piece. frames_of: None if ranges are not refined."""

    query: QueryWindows
    number: int
    retrieval: Retrieval
    calibration: Calibration
    aligner: Aligner
    frames_of: FramesOf | None

    def of(self, candidate: Candidate) -> list[RunMatch]:
        """The rows of a candidate; none if no window of it is usable."""
        promising = self._aligned(candidate, candidate.promising_views.tolist())
        if not promising:
            return []
        rows = self._rows(promising[0])
        if (
            self.query.windows.seconds - covered_seconds(map(_range_of, rows))
            < LEAST_UNCOVERED_SECONDS
        ):
            return rows
        copies = self._aligned(candidate, candidate.copy_views(self.calibration).tolist())
        for one in sorted([*promising[1:], *copies], key=self._logit, reverse=True):
            if any(_is_apart(run, rows) and one.is_copy(run, self.calibration) for run in one.runs):
                further = [
                    row
                    for row in self._rows(one)
                    if row.is_copy(self.calibration) and _is_apart(row.localised, rows)
                ]
                for row in further:
                    _add(row, rows)
        return rows

    def _aligned(self, candidate: Candidate, views: Iterable[int]) -> list[Evidence]:
        """The evidence through these views, the one with the highest logit first."""
        backgrounds = self.retrieval.backgrounds
        found = (
            candidate.align_view(view, self.query, backgrounds, self.calibration, self.aligner)
            for view in views
        )
        return sorted((one for one in found if one is not None), key=self._logit, reverse=True)

    def _logit(self, one: Evidence) -> float:
        return one.logit(self.calibration)

    def _rows(self, one: Evidence) -> list[RunMatch]:
        chance = ChanceScores(self.retrieval.tails, self.retrieval.backgrounds, self.calibration)
        return run_matches_of(
            *(one, self.query, self.number, self.frames_of, self.calibration, chance)
        )


def _add(row: RunMatch, rows: list[RunMatch]) -> None:
    """Add a row, or join it to one of a picture within the picture that it continues, or the other way
    round."""
    for number, one in enumerate(rows):
        first, second = sorted((one, row), key=_range_of)
        are_inner = one.view.startswith(_INNER) and row.view.startswith(_INNER)
        if are_inner and continues(first.localised, second.localised):
            rows[number] = joined_runs(first, second)
            return
    rows.append(row)


def _range_of(row: RunMatch) -> tuple[float, float]:
    return row.localised.query_start_seconds, row.localised.query_end_seconds


def _is_apart(run: Run, rows: Sequence[RunMatch]) -> bool:
    """Whether most of a run lies outside of these rows in the query."""
    inside = (
        (max(run.query_start_seconds, start), min(run.query_end_seconds, end))
        for start, end in map(_range_of, rows)
    )
    return covered_seconds(inside) < run.seconds / 2
