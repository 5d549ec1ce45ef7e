"""The index in Qdrant: segments in one collection, the register of videos in another.

Every version of a video has points of its own. A change of a video has three idempotent steps: write the
points of the new version, write the register, delete the points of older versions. A process that dies
between two of them leaves points that no search returns.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from common.errors import DependencyError
from common.settings import QdrantSettings, SearcherSettings
from common.slices import slices
from common.types import VECTOR_DIMENSION, Embedding, Float32Array, Hit, SegmentRef
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.qdrant.collections import (
    check_collection,
    create_collection,
    differences,
    vector_params,
)
from searcher.qdrant.nodes import Call, Node, Nodes
from searcher.qdrant.payload import to_ref
from searcher.qdrant.points import (
    REF_FIELDS,
    SEGMENT_INDEXES,
    equals,
    of_version,
    segment_of,
    segment_point,
    segment_point_id,
    version_below,
)
from searcher.qdrant.register import Register
from searcher.qdrant.segment_search import SegmentSearch, SegmentSource
from searcher.storage.video import Video

# Segments with and without vectors per page; videos per deletion.
_PAGE, _SMALL_PAGE, _VIDEOS_AT_ONCE = 200, 1000, 50
_log = logging.getLogger("storyhash.qdrant")


class QdrantStore:
    """Writes and finds segments. Any thread and any process may search; all writes are idempotent.

    It is a `SegmentIndex` (`searcher.matching.protocols`) without any state of its own.
    """

    def __init__(
        self,
        nodes: Nodes,
        settings: QdrantSettings,
        searcher: SearcherSettings,
        model_id: str,
        *,
        create: bool = True,
    ) -> None:
        """Open the collections. create: if they are not there. Raises ModelMismatchError for those of
        another model, DependencyError."""
        self._nodes = nodes
        self._settings = settings
        self._ef = searcher.ef_search
        self._name = f"{settings.collection}-segments"
        self.register = Register(nodes, settings)
        # The register comes last, so that whoever finds it finds the segments too.
        if not self.register.exists():
            if not create:
                raise DependencyError(
                    f"Qdrant at {nodes.where} has no collection {self.register.name}: set "
                    "STORYHASH_QDRANT__URL and STORYHASH_QDRANT__COLLECTION to those of the index; if it "
                    "is lost, restore it from a snapshot of Qdrant, or run `storyhash index`"
                )
            create_collection(
                nodes,
                self._name,
                settings,
                vector_params(settings),
                hnsw_config=models.HnswConfigDiff(
                    m=searcher.hnsw_m, ef_construct=searcher.ef_construction
                ),
            )
            # One of another kind is refused before anything is left beside it.
            check_collection(nodes, self._name, vector_params(settings), SEGMENT_INDEXES)
        self.register.open(model_id)
        info = check_collection(nodes, self._name, vector_params(settings), SEGMENT_INDEXES)
        self.notices = self._notices(info)
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
        for _ in range(1 + len(self._nodes)):
            entries, _behind = self.register.entries([video_id])
            entry = entries[video_id]
            if not entry.current:
                return _in_order([])
            whole, nodes = self._read(of_version(video_id, entry.current))
            found = [one for one in whole if one.informative]
            if len(found) >= entry.searchable:
                return _in_order(found)
            # A node that was paused may lack some, and the version may just have been replaced.
            self._set_aside(nodes)
        _log.warning(
            "Qdrant has %d of %d searchable segments of %s; index it again",
            len(found),
            entry.searchable,
            video_id,
        )
        return _in_order(found)

    def segments(self, video_id: str, version: int, expected: int) -> list[Embedding]:
        """Every segment of one version, including low-information ones, in any order. While a node has
        fewer than `expected`, another is asked, because a node that was paused may lack some."""
        for _ in self._nodes.nodes:
            found, nodes = self._read(of_version(video_id, version))
            if len(found) >= expected:
                break
            self._set_aside(nodes)
        return found

    def segments_of_any_version(self, video_id: str) -> list[SegmentRef]:
        """Every segment of a video, of versions that no search returns too."""
        only = models.Filter(must=[equals("video_id", video_id)])
        return [
            to_ref(record.payload or {})
            for records, _ in self._pages(only, payload=REF_FIELDS)
            for record in records
        ]

    def count(self, only: models.Filter | None = None) -> int:
        """Number of points, of older versions too."""
        return self._nodes.ask(
            lambda client: client.count(self._name, only, exact=True), reading=True
        ).count

    def has_version(self, video_id: str, version: int, segments: int) -> bool:
        """Whether so many segments of a version are there; other nodes are asked as in `segments`."""
        only = of_version(video_id, version)
        for _ in self._nodes.nodes:
            answer, node = self._nodes.ask_node(
                lambda client: client.count(self._name, only, exact=True), reading=True
            )
            if answer.count >= segments:
                return True
            self._set_aside({node})
        return False

    def __len__(self) -> int:
        return self._nodes.ask(
            lambda client: client.count(self._name, exact=False), reading=True
        ).count

    def some_videos(self, count: int, rng: random.Random) -> list[str]:
        """Ids of up to `count` searchable videos, chosen at random."""
        return self.register.some(count, f"{rng.random()}")

    def upsert(self, embeddings: Sequence[Embedding]) -> None:
        """Write segments. No search finds a new version of a video before `show`."""
        batches = slices(embeddings, self._settings.batch_points)
        for _ in self._writing.map(self._write, batches):
            pass

    def show(self, rows: Sequence[Video], deleted: Iterable[tuple[str, int]] = ()) -> None:
        """Make these versions searchable and hide these deleted videos, each in one step, and delete the
        points that no search needs any more. Points of newer versions are kept."""
        gone = list(deleted)
        self.register.write(rows, gone)
        self.delete_older([row.video_id for row in rows] + [video_id for video_id, _ in gone])

    def delete_older(self, video_ids: Iterable[str]) -> None:
        """Delete the points of these videos that are older than the searchable version or deleted. A node
        may do it late: no such version comes again."""
        for some in slices(list(dict.fromkeys(video_ids)), _VIDEOS_AT_ONCE):
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

    def keep_only(self, video_id: str, version: int, embeddings: Sequence[Embedding]) -> None:
        """Delete what an interrupted change left of a version that is not searchable, except these
        segments, which are all of it. Called after they are written: a node that deletes late must not
        delete them."""
        entries, _ = self.register.entries([video_id])
        if entries[video_id].current != version:
            kept = models.HasIdCondition(has_id=[segment_point_id(one.ref) for one in embeddings])
            whole = of_version(video_id, version)
            self._delete(models.Filter(must=whole.must, must_not=[kept]))

    def held_versions(self) -> Iterator[tuple[str, int]]:
        """The video and the version of every point."""
        for records, _ in self._pages(None, payload=["video_id", "version"]):
            for record in records:
                payload = record.payload or {}
                yield payload["video_id"], payload["version"]

    def check(self) -> None:
        """Raises DependencyError unless a majority of the nodes answers now. Nothing is tried again, so
        this takes no longer than one time-out."""
        self._nodes.check(lambda client: client.count(self._name, exact=False))

    def close(self) -> None:
        """Close the connections."""
        self._searching.shutdown()
        self._writing.shutdown()
        self._nodes.close()

    def _found(
        self, vectors: Float32Array, k: int, only: Filter, *, exact: bool
    ) -> list[list[Hit]]:
        no_bank = only.banks is not None and not only.banks - only.exclude_banks
        if not len(vectors) or k < 1 or no_bank:
            return [[] for _ in vectors]
        parts = list(slices(vectors, self._settings.batch_queries))
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

    def _read(self, only: models.Filter) -> tuple[list[Embedding], set[Node]]:
        """Segments with everything of them, and the nodes that answered."""
        found: list[Embedding] = []
        nodes: set[Node] = set()
        for records, node in self._pages(only):
            found += [segment_of(record) for record in records]
            nodes.add(node)
        return found, nodes

    def _pages(
        self, only: models.Filter | None, payload: list[str] | None = None
    ) -> Iterator[tuple[list[models.Record], Node]]:
        """Points, and the node that answered. payload: these fields and no vectors (default:
        everything)."""
        size = _PAGE if payload is None else _SMALL_PAGE
        offset: Any = None
        while True:

            def page(client: QdrantClient, at: Any = offset) -> tuple[list[models.Record], Any]:
                return client.scroll(
                    self._name,
                    only,
                    size,
                    offset=at,
                    with_payload=payload or True,
                    with_vectors=payload is None,
                )

            call: Call[tuple[list[models.Record], Any]] = page
            (records, offset), node = self._nodes.ask_node(call, reading=True)
            yield records, node
            if offset is None:
                return

    def _set_aside(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._nodes.set_aside(node)

    def _notices(self, info: models.CollectionInfo) -> list[str]:
        """What an operator should know of the collections."""
        found = []
        other = differences(info, self._settings)
        if other:
            found.append(
                f"the collection {self._name} keeps the settings that it was made with: "
                f"STORYHASH_QDRANT__{', '.join(other)}; change it with Qdrant's API, or the settings"
            )
        copies, nodes = self.register.copies, len(self._nodes)
        if copies < nodes:
            found.append(
                f"the collection {self.register.name} has {copies} copies for {nodes} nodes: give each "
                "node one with Qdrant's API (replicate_shard)"
            )
        return found


def _in_order(found: list[Embedding]) -> VideoSegments:
    ordered = sorted(found, key=lambda one: one.ref.start_seconds)
    vectors = np.zeros((len(ordered), VECTOR_DIMENSION), dtype=np.float32)
    for row, one in enumerate(ordered):
        vectors[row] = one.vector
    return VideoSegments([one.ref for one in ordered], vectors, [one.frames for one in ordered])
