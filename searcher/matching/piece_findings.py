"""What was found of one video in one piece of a query: runs, and what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from searcher.matching.alignment import Run
from searcher.matching.calibration import Calibration, Strangers
from searcher.matching.candidates import Evidence, run_logit
from searcher.matching.frame_similarity import Frames, QueryFrames
from searcher.matching.localisation import refined
from searcher.matching.query_windows import Asked

# Runs of one video after its best are further copies only when they are as good as this share of it.
FURTHER_SHARE = 0.8
# Further copies of one video in one piece of a query beyond so many tell nothing new.
_MOST_RUNS = 200

# The frames of a query through the view of this name; None where segments always tell the ranges.
FramesOf = Callable[[str], QueryFrames]


@dataclass(frozen=True, slots=True)
class Pair:
    """A window of the query and the segment that it is most like."""

    query_start_seconds: float
    query_end_seconds: float
    segment_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One run of one video through one view. run: what decides; shown: its ranges; pairs: its best, as
    those of `run`; pieces: the numbers of the first and the last piece of the query it was found in."""

    video_id: str
    bank: str
    view: str
    strangers: Strangers
    run: Run
    shown: Run
    pairs: tuple[Pair, ...]
    pieces: tuple[int, int]

    def logit(self, calibration: Calibration) -> float:
        """Of being a copy."""
        return run_logit(self.run, self.view, self.strangers, calibration)


def findings_of(
    evidence: Evidence,
    query: Asked,
    number: int,
    frames_of: FramesOf | None,
    calibration: Calibration,
) -> list[Finding]:
    """The runs that are matches, each with the same as its frames show it. number: of the piece."""
    refs = evidence.segments.refs
    return [
        Finding(
            evidence.video_id,
            evidence.bank,
            evidence.view,
            evidence.strangers,
            run,
            shown,
            tuple(
                Pair(
                    float(query.windows.starts[window]),
                    float(query.windows.ends[window]),
                    refs[segment].segment_id,
                    similarity,
                )
                for window, segment, similarity in run.pairs
            ),
            (number, number),
        )
        for run, shown in _shown(evidence, frames_of, calibration)
    ]


def _shown(
    evidence: Evidence, frames_of: FramesOf | None, calibration: Calibration
) -> list[tuple[Run, Run]]:
    """Of two runs that come to the same, or of which one says all that the other does, the wider ranges
    with the better run."""
    told: list[tuple[Run, Run]] = []
    for run in evidence.runs[:_MOST_RUNS]:
        if run.score < FURTHER_SHARE * evidence.runs[0].score:
            continue
        shown = run if frames_of is None else _refined(run, evidence, frames_of, calibration)
        if any(shown.is_within(other) for _, other in told):
            continue
        inner = [pair for pair in told if pair[1].is_within(shown)]
        told = [pair for pair in told if pair not in inner]
        told.append((inner[0][0] if inner else run, shown))
    return told


def _refined(run: Run, evidence: Evidence, frames_of: FramesOf, calibration: Calibration) -> Run:
    frames = Frames.around(run, frames_of(evidence.view), evidence.segments)
    usual = calibration.usual(evidence.view)
    return run if frames is None else refined(run, frames, usual)
