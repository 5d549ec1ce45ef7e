"""Latency of a query by stage, on the code path of `storyhash match`.

Each query is decoded and packed in a decoder process, embedded and matched as in production. The steps
are measured in their own threads and processes: they overlap each other and decoding, so they may add up
to more than the total. The query searches a shard of synthetic vectors. In the case
`copy` the query's own segments are added to it, so the first pass decides, and the pictures of both are
compared. In the case `stranger` (a
non-match) they are not there, so a second pass follows; in `thorough` that pass has more moments.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from common.settings import SearcherSettings
from common.spool import DecodedVideo
from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    Embedding,
    PassName,
    QueryEmbedding,
    Segment,
    SegmentRef,
    TimeSpans,
)
from embedder.encoders import StageClock
from embedder.normalise import unit
from embedder.query.embedder import QueryEmbedder
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from ingest.query_decoder import QueryDecoder
from searcher.index.shard import Shard
from searcher.matching.cascade import Compare, match_cascade
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.scoring.calibration import Calibration
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.transform.pictures import References

Case: TypeAlias = Literal["copy", "stranger", "thorough"]
CASES: tuple[Case, ...] = get_args(Case)
DECODING, EMBEDDING, MATCHING = "decode and pack", "embed", "retrieve and align"
COMPARING, TOTAL = "compare pictures", "total"
_SEGMENT_SECONDS, _SEGMENTS_PER_VIDEO = 4.0, 15
# Standard deviation of each number of a vector among the segments of one video.
_NOISE = 0.03
_QUERY, _NO_FILE = "query", "/no-such-file"
CompareWith: TypeAlias = Callable[[QuerySession, References, Policies], Compare]
"""How the pictures of a query's matches are compared."""


@dataclass(frozen=True, slots=True)
class TimedCase:
    """A case, its most frequent decision, and median seconds by stage. The medians of the stages need not
    sum up to that of `total`."""

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
    """Measures the latency of one profile with a shard of non-matches."""

    def __init__(
        self,
        stage: EmbedderStage,
        calibration: Calibration,
        decoder: QueryDecoder,
        vectors: int,
        compare_with: CompareWith | None = None,
    ) -> None:
        """compare_with: compares pictures; None compares none."""
        self._stage = stage
        self._embedder = QueryEmbedder(stage)
        self._decoder = decoder
        self._shard = synthetic_shard(vectors, stage.model_id)
        self._policies = Policies(default_policy(calibration))
        self._matcher = Matcher(self._shard, stage.model_id, calibration, self._policies)
        self._compare_with = compare_with

    def measure(
        self, videos: Sequence[Path], runs: int, advance: Callable[[int], None]
    ) -> tuple[float, list[TimedCase]]:
        """Mean length of the queries in seconds, and the medians over all runs and queries per case. One
        warm-up run does not count. Raises VideoError for a video that cannot be read."""
        lengths, timed = [], []
        for case in CASES:
            spent: list[dict[str, float]] = []
            decisions: list[str] = []
            for video in videos:
                for run in range(runs + 1):
                    seconds, decision, by_stage = self._time_query(video, case)
                    advance(1)
                    if run:
                        spent.append(by_stage)
                        decisions.append(decision)
                        lengths.append(seconds)
            names = list(dict.fromkeys(name for by_stage in spent for name in by_stage))
            medians = {
                name: statistics.median(by_stage.get(name, 0.0) for by_stage in spent)
                for name in names
            }
            timed.append(TimedCase(case, statistics.mode(decisions), medians))
        return statistics.fmean(lengths), timed

    def close(self) -> None:
        """Close the shard."""
        self._shard.close()

    def _time_query(self, video: Path, case: Case) -> tuple[float, str, dict[str, float]]:
        """Length of the query, the decision, and seconds by stage."""
        spent: dict[str, float] = {}
        clock_before = self._stage.clock.seconds

        def decode(on_segment: Callable[[Segment], None]) -> DecodedVideo:
            with _timed(spent, DECODING):
                return self._decoder.decode(video, on_segment=on_segment)

        began = time.perf_counter()
        session = QuerySession.decoding(self._embedder, _QUERY, decode)
        opening_seconds = time.perf_counter() - began
        with session:
            passes = _TimedPasses(session, self._stage.clock, spent)
            passes.note("first", opening_seconds - spent[DECODING], clock_before)
            if case == "copy":
                # The original is indexed first; this time does not count.
                segments = list(session.segments.between(0.0, math.inf))
                self._shard.add(self._stage.process(segments))
            began = time.perf_counter()
            try:
                report = match_cascade(
                    self._matcher,
                    passes.pieces,
                    thorough=case == "thorough",
                    compare=self._compare(session, video, spent, passes),
                )
            finally:
                if case == "copy":
                    self._shard.remove_videos([_QUERY])
            spent[TOTAL] = opening_seconds + time.perf_counter() - began
        return session.duration_seconds, report.decision, spent

    def _compare(
        self, session: QuerySession, video: Path, spent: dict[str, float], passes: _TimedPasses
    ) -> Compare:
        compared: Compare = _as_it_is
        if self._compare_with is not None:
            # Synthetic videos have no file.
            uris = {_QUERY: str(video)}
            references = References(lambda name: uris.get(name, _NO_FILE))
            compared = self._compare_with(session, references, self._policies)

        def compare(report: MatchReport) -> MatchReport:
            passes.end()
            with _timed(spent, COMPARING):
                return compared(report)

        return compare


def _as_it_is(report: MatchReport) -> MatchReport:
    return report


class _TimedPasses:
    """The passes of a query; measures embedding and matching in each. The time between two pieces, and
    after the last one, is matching."""

    def __init__(self, session: QuerySession, clock: StageClock, spent: dict[str, float]) -> None:
        self._session = session
        self._clock = clock
        self._spent = spent
        self._matching_in: PassName | None = None
        self._since = 0.0

    def pieces(self, name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        """See `QuerySession.pieces`."""
        self.end()
        pieces = self._session.pieces(name, within)
        while (piece := self._embedded(name, pieces)) is not None:
            yield piece

    def end(self) -> None:
        """Stop the clock of the matching of a pass, if it runs."""
        if self._matching_in is not None:
            self._add(f"{self._matching_in} look: {MATCHING}", time.perf_counter() - self._since)
        self._matching_in = None

    def _embedded(self, name: PassName, pieces: Iterator[QueryEmbedding]) -> QueryEmbedding | None:
        self.end()
        clock_before = self._clock.seconds
        began = time.perf_counter()
        piece = next(pieces, None)
        self.note(name, time.perf_counter() - began, clock_before)
        self._matching_in, self._since = name, time.perf_counter()
        return piece

    def note(self, name: PassName, seconds: float, clock_before: Mapping[str, float]) -> None:
        """Add seconds of embedding in a pass, and what the clock measured since then."""
        self._add(f"{name} look: {EMBEDDING}", seconds)
        for step, after in self._clock.seconds.items():
            self._add(f"{name} look: {step}", after - clock_before.get(step, 0.0))

    def _add(self, name: str, seconds: float) -> None:
        self._spent[name] = self._spent.get(name, 0.0) + seconds


def synthetic_shard(count: int, model_id: str) -> Shard:
    """A shard of `count` synthetic segments, 15 per video; the vectors of one video are similar."""
    rng = np.random.default_rng(7)
    shard = Shard(SearcherSettings())
    videos = -(-count // _SEGMENTS_PER_VIDEO)
    centres = unit(rng.normal(size=(videos, VECTOR_DIMENSION)).astype(np.float32))
    embeddings: list[Embedding] = []
    graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
    for number in range(count):
        video, part = divmod(number, _SEGMENTS_PER_VIDEO)
        noise = rng.normal(0, _NOISE, VECTOR_DIMENSION).astype(np.float32)
        start = _SEGMENT_SECONDS * part
        ref = SegmentRef(f"synthetic-{video:06}", start, start + _SEGMENT_SECONDS)
        embeddings.append(Embedding(ref, unit(centres[video] + noise), graph, True, model_id))
    shard.add(embeddings)
    shard.wait_for_build()
    return shard


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
