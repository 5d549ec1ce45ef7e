"""Puts a video into the second index as soon as the first one has it, from the same clips.

This only saves work. What is not written here, for example because the process was killed in between, is
found by `plan_second` and indexed from its file.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from common.types import Embedding
from embedder.stage import EmbedderStage
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.pipeline.second_plan import work_item

_log = logging.getLogger("storyhash.index")


class SecondWriter:
    """Writes embeddings of the second profile into its index."""

    def __init__(self, first: VideoStore, index: VideoIndex, stage: EmbedderStage) -> None:
        """first: the catalogue that the second index follows. stage: of the second profile."""
        self.stage = stage
        self._first = first
        self._index = index

    def write(
        self, video_id: str, version: int, embeddings: Sequence[Embedding]
    ) -> VideoOutcome | None:
        """Make a video searchable, with the description that the first catalogue has now. version: of the
        first catalogue; all embeddings have it.

        None if the first catalogue has no such version any more, or if the video could not be written,
        which is logged.
        """
        try:
            return self._write(video_id, version, embeddings)
        except Exception as error:
            _log.warning(
                "%r: not in the index of the second opinion yet, it is indexed again for it: %s",
                video_id,
                error,
            )
            return None

    def _write(
        self, video_id: str, version: int, embeddings: Sequence[Embedding]
    ) -> VideoOutcome | None:
        # Under the lock: a deletion comes to the first catalogue first, and then waits for this.
        with self._index.changing:
            row = self._first.get(video_id)
            if row is None or (row.state, row.version) != ("ready", version):
                return None
            item = work_item(row, self._index.videos)
            with self.stage.clock.measure("index"):
                self._index.replace_video(
                    item.row(row.duration_seconds),
                    [
                        replace(one, ref=replace(one.ref, bank=row.bank, version=item.version))
                        for one in embeddings
                    ],
                )
        return VideoOutcome(item, segments=len(embeddings), duration_seconds=row.duration_seconds)
