"""Continuous ingestion in one process: decoders, embedder and index joined by bounded queues."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from common.errors import StoryHashError, VideoError
from common.types import CatalogEntry, Embedding
from embedder.stage import EmbedderStage
from ingest.pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from searcher.index import LocalIndex

# Segments waiting for the embedder, for each of its threads.
_AHEAD = 4
_SNAPSHOT_SECONDS = 60.0


@dataclass(slots=True)
class IndexReport:
    """What an `index` run did. Seconds are of video; `elapsed_seconds` is of the clock."""

    indexed: int = 0
    segments: int = 0
    video_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def realtime_factor(self) -> float:
        """Seconds of video indexed in one second of the clock."""
        return self.video_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0
