"""The index in Qdrant: segments in one collection, the register of videos in another.

Every version of a video has points of its own. A change of a video has three idempotent steps: write the
points of the new version, write the register, delete the points of older versions. A process that dies
between two of them leaves points that no search returns.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from qdrant_client import QdrantClient, models

from common.settings import QdrantSettings, SearcherSettings
from common.types import (
    VECTOR_DIMENSION,
    Embedding,
    Float32Array,
    Hit,
)
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.qdrant.collections import create_collection, vector_params
from searcher.qdrant.nodes import Call, Nodes
from searcher.qdrant.points import (
    SEGMENT_INDEXES,
    equals,
    segment_of,
    segment_point,
    version_below,
)
from searcher.qdrant.register import Register
from searcher.qdrant.segment_search import SegmentSearch, SegmentSource
from searcher.storage.video import Video

Item = TypeVar("Item")

# Segments with vectors per page; videos per deletion.
_PAGE, _VIDEOS_AT_ONCE = 200, 50
# Attempts to read every segment of a version.
_ATTEMPTS = 3


class QdrantStore:
    """Writes and finds segments. Any thread and any process may search; all writes are idempotent.

    It is a `SegmentIndex` (`searcher.matching.protocols`) without any state of its own.
    """

    def __init__(
        self, nodes: Nodes, settings: QdrantSettings, searcher: SearcherSettings, model_id: str
    ) -> None:
        """Open the collections, or create them. Raises ModelMismatchError for those of another model,
        DependencyError."""
        self._nodes = nodes
        self._settings = settings
        self._ef = searcher.ef_search
        self._name = f"{settings.collection}-segments"
        self.register = Register(nodes, settings)
        # The register comes last, so that whoever finds it finds the segments too.
        if not self.register.exists():
            create_collection(
                nodes,
                self._name,
                settings,
                vector_params(settings),
                SEGMENT_INDEXES,
                hnsw_config=models.HnswConfigDiff(
                    m=searcher.hnsw_m, ef_construct=searcher.ef_construction
                ),
            )
        self.register.open(model_id)
        # Apart, so that no search waits for all writes of a large change.
        self._searching, self._writing = (
            ThreadPoolExecutor(settings.requests_in_flight, thread_name_prefix=f"qdrant-{work}")
            for work in ("search", "write")
        )
        self._search = SegmentSearch(
            SegmentSource(nodes, self._name, settings.read_consistency, self._ef), self.register
        )

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`."""
        return self._found(vectors, k, only, exact=False)

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """Exact search, to measure `search` against it."""
        return self._found(vectors, k, only, exact=True)

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        found: list[Embedding] = []
        for _ in range(_ATTEMPTS):
            entries, _behind = self.register.entries([video_id])
            entry = entries[video_id]
            if not entry.current:
                return _in_order([])
            found = [one for one in self.segments(video_id, entry.current) if one.informative]
            # A node that was paused may lack some, and a version may just have been replaced.
            if len(found) >= entry.searchable:
                break
        return _in_order(found)

    def segments(self, video_id: str, version: int) -> list[Embedding]:
        """Every segment of one version, including low-information ones, in any order."""
        only = models.Filter(must=[equals("video_id", video_id), equals("version", version)])
        return [segment_of(record) for page in self._scroll(only) for record in page]

    def count(self, only: models.Filter | None = None) -> int:
        """Number of points, of older versions too."""
        return self._nodes.ask(
            lambda client: client.count(self._name, only, exact=True), reading=True
        ).count

    def count_version(self, video_id: str, version: int) -> int:
        """Number of segments of one version."""
        return self.count(
            models.Filter(must=[equals("video_id", video_id), equals("version", version)])
        )

    def __len__(self) -> int:
        return self._nodes.ask(
            lambda client: client.count(self._name, exact=False), reading=True
        ).count

    def some_videos(self, count: int, rng: random.Random) -> list[str]:
        """Ids of up to `count` searchable videos, chosen at random."""
        start = f"{rng.random()}"
        rows = [*self.register.rows(after=start), *self.register.rows()] if count else []
        return list(dict.fromkeys(row.video_id for row in islice(rows, 10 * count)))[:count]

    def upsert(self, embeddings: Sequence[Embedding]) -> None:
        """Write segments. No search finds a new version of a video before `show`."""
        batches = _parts(embeddings, self._settings.batch_points)
        for _ in self._writing.map(self._write, batches):
            pass

    def show(self, rows: Sequence[Video], deleted: Iterable[tuple[str, int]] = ()) -> None:
        """Make these versions searchable and hide these deleted videos, each in one step, and delete the
        points that no search needs any more. Points of newer versions are kept."""
        gone = list(deleted)
        self.register.write(rows, gone)
        names = [row.video_id for row in rows] + [video_id for video_id, _ in gone]
        for some in _parts(list(dict.fromkeys(names)), _VIDEOS_AT_ONCE):
            entries, _ = self.register.entries(some)
            old: list[Any] = [
                models.Filter(
                    must=[
                        equals("video_id", video_id),
                        version_below(entry.version, equal=bool(entry.deleted)),
                    ]
                )
                for video_id, entry in entries.items()
            ]
            self._delete(models.Filter(should=old))

    def forget(self, video_id: str) -> None:
        """Remove a video and what is noted of it, whatever its version."""
        self.register.forget(video_id)
        self._delete(models.Filter(must=[equals("video_id", video_id)]))

    def clear(self, video_id: str, version: int) -> None:
        """Delete what an interrupted change left of a version that is not searchable."""
        entries, _ = self.register.entries([video_id])
        if entries[video_id].current != version:
            self._delete(
                models.Filter(must=[equals("video_id", video_id), equals("version", version)])
            )

    def close(self) -> None:
        """Close the connections."""
        self._searching.shutdown()
        self._writing.shutdown()
        self._nodes.close()

    def _found(
        self, vectors: Float32Array, k: int, only: Filter, *, exact: bool
    ) -> list[list[Hit]]:
        if not len(vectors) or k < 1 or (only.banks is not None and not only.banks):
            return [[] for _ in vectors]
        size = self._settings.batch_queries
        parts = [vectors[start : start + size] for start in range(0, len(vectors), size)]
        find = partial(self._search.nearest, k=k, only=only, exact=exact)
        found = [find(parts[0])] if len(parts) == 1 else self._searching.map(find, parts)
        return [hits for part in found for hits in part]

    def _write(self, embeddings: Sequence[Embedding]) -> None:
        points = [segment_point(one) for one in embeddings]
        # The order does not matter: a point is always written with the same content. Through a leader,
        # as stronger orders need, writes would fail while the leader is paused.
        self._nodes.ask(
            lambda client: client.upsert(
                self._name, points, wait=True, ordering=models.WriteOrdering.WEAK
            )
        )

    def _delete(self, only: models.Filter) -> None:
        self._nodes.ask(
            lambda client: client.delete(
                self._name,
                models.FilterSelector(filter=only),
                wait=True,
                ordering=models.WriteOrdering.WEAK,
            )
        )

    def _scroll(self, only: models.Filter) -> Iterator[list[models.Record]]:
        offset: Any = None
        while True:

            def page(client: QdrantClient, at: Any = offset) -> tuple[list[models.Record], Any]:
                return client.scroll(
                    self._name, only, _PAGE, offset=at, with_payload=True, with_vectors=True
                )

            call: Call[tuple[list[models.Record], Any]] = page
            records, offset = self._nodes.ask(call, reading=True)
            yield records
            if offset is None:
                return


def _parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _in_order(found: list[Embedding]) -> VideoSegments:
    ordered = sorted(found, key=lambda one: one.ref.start_seconds)
    vectors = np.zeros((len(ordered), VECTOR_DIMENSION), dtype=np.float32)
    for row, one in enumerate(ordered):
        vectors[row] = one.vector
    return VideoSegments([one.ref for one in ordered], vectors, [one.frames for one in ordered])
