"""What a query takes, stage by stage, on the path that `storyhash match` goes.

Each query is decoded and packed in a decoder process, looked at and matched as in production; the clock
of the embedder's stage says what its steps took. Asked of a shard of made-up vectors, to which for the
case `copy` the query's own segments are added: that one is decided at the first look. In the case
`stranger` they are not there, so a closer look follows, and in `thorough` one at more moments.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import VideoError
from common.settings import SearcherSettings
from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    LookName,
    QueryEmbedding,
    Segment,
    SegmentRef,
)
from embedder.normalise import unit
from embedder.query.embedder import QueryEmbedder
from embedder.query.passes import LOOKS
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoFailed
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.calibration import Calibration
from searcher.matching.cascade import match_cascade
from searcher.matching.match_report import ReportBuilder
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.policy import Policies, default_policy

Case: TypeAlias = Literal["copy", "stranger", "thorough"]
CASES: tuple[Case, ...] = get_args(Case)
DECODING, MATCHING, TOTAL = "decode and pack", "retrieve and align", "total"
_SEGMENT_SECONDS, _SEGMENTS_A_VIDEO = 4.0, 15
# Segments of one video lie this near to one another, standard deviation of each number.
_NOISE = 0.03
_QUERY = "query"


@dataclass(frozen=True, slots=True)
class Timed:
    """A case, what was mostly decided in it, and median seconds by the name of what took them; medians of
    parts need not add up to that of the whole, `total`."""

    case: Case
    decision: str
    stages: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "decision": self.decision,
            "seconds": {name: round(spent, 4) for name, spent in self.stages.items()},
        }


class Latency:
    """One profile's parts, and a shard of strangers."""

    def __init__(
        self, stage: EmbedderStage, calibration: Calibration, pool: DecoderPool, vectors: int
    ) -> None:
        self._stage = stage
        self._calibration = calibration
        self._pool = pool
        self._shard = strangers(vectors, stage.model_id)

    def measure(
        self, videos: Sequence[Path], runs: int, advance: Callable[[int], None]
    ) -> tuple[float, list[Timed]]:
        """Mean length of the queries in seconds, and the median of all runs over them for each case; one
        run before is not counted. Raises VideoError for a video that cannot be read."""
        lengths, timed = [], []
        for case in CASES:
            spent: list[dict[str, float]] = []
            decisions: list[str] = []
            for video in videos:
                for run in range(runs + 1):
                    seconds, decision, taken = self._ask(video, case)
                    advance(1)
                    if run:
                        spent.append(taken)
                        decisions.append(decision)
                        lengths.append(seconds)
            names = list(dict.fromkeys(name for one in spent for name in one))
            middle = {
                name: statistics.median(one.get(name, 0.0) for one in spent) for name in names
            }
            timed.append(Timed(case, statistics.mode(decisions), middle))
        return statistics.fmean(lengths), timed

    def close(self) -> None:
        """Give up the shard."""
        self._shard.close()

    def _ask(self, video: Path, case: Case) -> tuple[float, str, dict[str, float]]:
        """Length of the query, the decision, and seconds by stage."""
        # One that has not seen the query yet: it remembers what moves in it.
        embedder = QueryEmbedder(self._stage)
        spent: dict[str, float] = {}
        looks: list[LookName] = []
        began = time.perf_counter()
        with _measured(spent, DECODING):
            seconds, segments = self._decoded(video)
        ended = time.perf_counter() - began
        if case == "copy":
            # What it is a copy of is indexed before: none of this is the query's time.
            self._shard.add(self._stage.process(segments))
        began = time.perf_counter()

        def look(name: LookName) -> Iterator[QueryEmbedding]:
            looks.append(name)
            before = self._stage.clock.seconds
            started = time.perf_counter()
            query = embedder.embed(_QUERY, seconds, segments, LOOKS[name])
            whole = time.perf_counter() - started
            after = self._stage.clock.seconds
            steps = {step: after[step] - before.get(step, 0.0) for step in after}
            for step, taken in steps.items():
                spent[f"{name} look: {step}"] = taken
            spent[f"{name} look: views and windows"] = whole - sum(steps.values())
            yield query

        try:
            report = match_cascade(self._matcher(spent, looks), look, thorough=case == "thorough")
        finally:
            if case == "copy":
                self._shard.remove_videos([_QUERY])
        spent[TOTAL] = ended + time.perf_counter() - began
        return seconds, report.decision, spent

    def _matcher(self, spent: dict[str, float], looks: Sequence[LookName]) -> Matcher:
        policies = Policies(default_policy(self._calibration))
        matcher = _TimedMatcher(self._shard, self._stage.model_id, self._calibration, policies)
        matcher.spent, matcher.looks = spent, looks
        return matcher

    def _decoded(self, video: Path) -> tuple[float, list[Segment]]:
        segments: list[Segment] = []
        seconds = 0.0
        for event in self._pool.run([(CatalogEntry(_QUERY, str(video)), 1)]):
            if isinstance(event, SegmentReady):
                segments.append(event.segment)
            elif isinstance(event, VideoFailed):
                raise event.error
            else:
                seconds = event.duration_seconds
        if not segments:
            raise VideoError(f"{video}: nothing in it to ask for")
        return seconds, segments


class _TimedMatcher(Matcher):
    """Notes what matching takes after each look; looks: those taken so far."""

    spent: dict[str, float]
    looks: Sequence[LookName]

    def begin(
        self, only: Filter = EVERYTHING, cancellation: Cancellation = NEVER_CANCELLED
    ) -> ReportBuilder:
        answer = _TimedAnswer(self._config, only, cancellation)
        answer.spent, answer.looks = self.spent, self.looks
        return answer


class _TimedAnswer(ReportBuilder):
    spent: dict[str, float]
    looks: Sequence[LookName]

    def add(self, *looks: QueryEmbedding) -> None:
        with _measured(self.spent, f"{self.looks[-1]} look: {MATCHING}"):
            super().add(*looks)

    def report(self) -> MatchReport:
        with _measured(self.spent, f"{self.looks[-1]} look: {MATCHING}"):
            return super().report()


def strangers(count: int, model_id: str) -> Shard:
    """A shard of so many made-up segments, 15 a video, those of one video near to one another."""
    rng = np.random.default_rng(7)
    shard = Shard(SearcherSettings())
    videos = -(-count // _SEGMENTS_A_VIDEO)
    centres = unit(rng.normal(size=(videos, VECTOR_DIMENSION)).astype(np.float32))
    made: list[Embedding] = []
    graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
    for number in range(count):
        video, part = divmod(number, _SEGMENTS_A_VIDEO)
        noise = rng.normal(0, _NOISE, VECTOR_DIMENSION).astype(np.float32)
        start = _SEGMENT_SECONDS * part
        ref = SegmentRef(f"stranger-{video:06}", start, start + _SEGMENT_SECONDS)
        made.append(Embedding(ref, unit(centres[video] + noise), graph, True, model_id))
    shard.add(made)
    shard.wait_for_build()
    return shard


@contextmanager
def _measured(spent: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
