"""The matching runs of one video in one piece of a query, with refined ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from searcher.matching.alignment.run import Run
from searcher.matching.localisation.frame_similarity import FrameSimilarity, QueryFrames
from searcher.matching.localisation.localisation import refine
from searcher.matching.localisation.range_confidence import RangeEvidence, range_evidence
from searcher.matching.localisation.row_comparison import Comparison, Row
from searcher.matching.query_windows import QueryWindows
from searcher.matching.report.row_choice import choose_rows
from searcher.matching.scoring.calibration import BackgroundScores, Calibration, probability_of
from searcher.matching.scoring.candidates import Evidence, run_logit
from searcher.matching.scoring.false_positives import ChanceScores
from searcher.matching.scoring.static_scenes import TimeEvidence, time_evidence

# Maximum number of runs of one video in one piece of a query.
_MOST_RUNS = 200

# A function that returns the query frames of the view with a given name.
FramesOf = Callable[[str], QueryFrames]


@dataclass(frozen=True, slots=True)
class Pair:
    """A window of the query and its most similar segment."""

    query_start_seconds: float
    query_end_seconds: float
    segment_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class RunMatch:
    """One run of one video through one view. run: gives the score. localised: gives the refined ranges.
    pairs: the best pairs of `run`. pieces: numbers of the first and last query piece that it covers.
    time: what the time axis says about it. place: what the frames say about its ranges. chance: how
    probable it is that the best non-match of the catalogue scores as high; None if it is not known."""

    video_id: str
    bank: str
    view: str
    background: BackgroundScores
    run: Run
    localised: Run
    pairs: tuple[Pair, ...]
    pieces: tuple[int, int]
    time: TimeEvidence = field(default_factory=TimeEvidence)
    place: RangeEvidence = field(default_factory=RangeEvidence)
    chance: float | None = None

    def logit(self, calibration: Calibration) -> float:
        """Log odds that the run is a copy."""
        return run_logit(self.run, self.view, self.background, calibration)

    def is_copy(self, calibration: Calibration) -> bool:
        """Whether the run is a copy by itself, with the thresholds of the calibration."""
        return probability_of(self.logit(calibration)) >= calibration.copy_probability


def run_matches_of(
    evidence: Evidence,
    query: QueryWindows,
    number: int,
    frames_of: FramesOf | None,
    calibration: Calibration,
    chance: ChanceScores | None = None,
) -> list[RunMatch]:
    """The runs that are good enough for matches, with their refined ranges. number: number of the
    piece. chance: scores of the query's non-matches."""
    refs = evidence.segments.refs
    runs = evidence.runs[:_MOST_RUNS]

    def localised_of(run: Run) -> Run:
        return run if frames_of is None else _refine(run, evidence, frames_of, calibration)

    def is_probable(run: Run) -> bool:
        return evidence.probability(run, calibration) >= calibration.review_probability

    def is_copy(run: Run) -> bool:
        return evidence.is_copy(run, calibration)

    def time_of(row: Row) -> TimeEvidence:
        if frames_of is None or not is_probable(row.run):
            return TimeEvidence()
        frames = frames_of(evidence.view)
        return time_evidence(row.run, row.localised, frames, evidence.segments, evidence.view)

    def place_of(row: Row) -> RangeEvidence:
        if frames_of is None or not is_probable(row.run):
            return RangeEvidence()
        return range_evidence(row.localised, frames_of(evidence.view), evidence.segments)

    comparison = Comparison.of(query, evidence.view, evidence.segments)
    rows = choose_rows(runs, comparison, localised_of, is_probable, is_copy)
    return [
        RunMatch(
            evidence.video_id,
            evidence.bank,
            evidence.view,
            evidence.background,
            row.run,
            row.localised,
            tuple(
                Pair(
                    float(query.windows.starts[window]),
                    float(query.windows.ends[window]),
                    refs[segment].segment_id,
                    similarity,
                )
                for window, segment, similarity in row.run.pairs
            ),
            (number, number),
            time_of(row),
            place_of(row),
            None if chance is None else chance.rate(row.run.score, evidence.view),
        )
        for row in rows
    ]


def _refine(run: Run, evidence: Evidence, frames_of: FramesOf, calibration: Calibration) -> Run:
    frames = FrameSimilarity.around(run, frames_of(evidence.view), evidence.segments)
    usual = calibration.background_mean(evidence.view)
    return run if frames is None else refine(run, frames, usual)
