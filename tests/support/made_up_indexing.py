"""A decoder pool and an embedder stage for tests of indexing: made-up segments, random vectors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence

import numpy as np

from common.errors import VideoError
from common.types import CatalogEntry, Embedding, Segment, SegmentRef
from embedder.encoders import StageClock
from ingest.decoder_pool import SegmentReady, VideoDone, VideoEvent, VideoFailed
from tests.support.embeddings import embedding, unit_rows

SEGMENTS = 3


class MadeUpPool:
    """Every video has three segments. `half_way` is called, with its id, when two of them are out.
    `decoded`: ids of videos, in order."""

    def __init__(self) -> None:
        self.decoded: list[str] = []
        self.half_way: Callable[[str], object] = lambda video_id: None
        self.unreadable: set[str] = set()

    def run(
        self,
        work: Iterable[tuple[CatalogEntry, int] | None],
        stopping: threading.Event | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> Generator[VideoEvent, None, None]:
        for job in work:
            if stopping is not None and stopping.is_set():
                return
            if job is None:
                on_idle()
                time.sleep(0.001)
                continue
            entry, version = job
            self.decoded.append(entry.video_id)
            if entry.video_id in self.unreadable:
                yield VideoFailed(entry, VideoError("not a film"))
                continue
            for number in range(SEGMENTS):
                if number == SEGMENTS - 1:
                    self.half_way(entry.video_id)
                ref = SegmentRef(
                    entry.video_id, 4.0 * number, 4.0 * number + 4.0, version, entry.bank
                )
                yield SegmentReady(entry, Segment(ref, b"clip"))
            yield VideoDone(entry, 4.0 * SEGMENTS, SEGMENTS, None, {"decode": 0.1})


class MadeUpStage:
    """Every segment gets a random vector; those of the videos named `refused` raise what they should."""

    segments_at_once = 2

    def __init__(self) -> None:
        self.encoders: dict[str, str] = {}
        self.clock = StageClock()
        self.refused: dict[str, Exception] = {}
        self._rng = np.random.default_rng(7)

    def process(self, segments: Sequence[Segment]) -> list[Embedding]:
        for one in segments:
            if one.ref.video_id in self.refused:
                raise self.refused[one.ref.video_id]
        return [
            embedding(
                one.ref.video_id,
                int(one.ref.start_seconds // 4),
                vector,
                version=one.ref.version,
                bank=one.ref.bank,
            )
            for one, vector in zip(segments, unit_rows(self._rng, len(segments)), strict=True)
        ]
