"""Finds the nearest segments of the versions that the register names."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_client import QdrantClient, models

from common.types import Float32Array, Hit
from searcher.index.state import Filter
from searcher.mirror.base import VECTOR_NAME
from searcher.qdrant.nodes import Node, Nodes
from searcher.qdrant.points import REF_FIELDS, hit_of, search_filter
from searcher.qdrant.register import Entry, Register

# A search is repeated, because versions changed or too many hits were of other versions, at most so
# often.
_ATTEMPTS = 8
_DEEPER = 2
_MOST_DEPTH = 20_000


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """The collection of segments. consistency: see `QdrantSettings.read_consistency`. ef: number of
    candidates, or Qdrant's own choice."""

    nodes: Nodes
    name: str
    consistency: str
    ef: int | None

    def nearest(
        self, vectors: Float32Array, depth: int, only: Filter, *, exact: bool
    ) -> tuple[list[list[Hit]], Node]:
        """The nearest segments of any version, and the node that answered."""
        conditions = search_filter(only)
        requests = [
            models.QueryRequest(
                query=vector,
                using=VECTOR_NAME,
                filter=conditions,
                limit=depth,
                params=models.SearchParams(hnsw_ef=self.ef, exact=exact),
                with_payload=REF_FIELDS,
            )
            for vector in vectors.tolist()
        ]
        consistency = (
            None if self.consistency == "one" else models.ReadConsistencyType(self.consistency)
        )

        def ask(client: QdrantClient) -> list[models.QueryResponse]:
            return client.query_batch_points(self.name, requests, consistency=consistency)

        answers, node = self.nodes.ask_node(ask, reading=True)
        return [[hit_of(point) for point in answer.points] for answer in answers], node


class SegmentSearch:
    """Keeps the hits whose version is searchable.

    The register is read after the segments. A hit of a version that was replaced meanwhile is dropped and
    the search repeated, because it may have begun before the new version was written. A hit of a version
    that is not searchable yet is dropped, and more hits are read instead.
    """

    def __init__(self, source: SegmentSource, register: Register) -> None:
        self._source = source
        self._register = register

    def nearest(
        self, vectors: Float32Array, k: int, only: Filter, *, exact: bool
    ) -> list[list[Hit]]:
        """The k nearest searchable segments of each vector, best first. Raises DependencyError."""
        depth = k
        before: dict[str, Entry] = {}
        kept: list[list[Hit]] = []
        for _ in range(_ATTEMPTS):
            found, node = self._source.nearest(vectors, depth, only, exact=exact)
            names = {hit.ref.video_id for hits in found for hit in hits}
            entries, behind = self._register.entries(names, node)
            kept = [
                [hit for hit in hits if entries[hit.ref.video_id].current == hit.ref.version][:k]
                for hits in found
            ]
            replaced = _replaced(found, entries)
            if behind or any(before.get(name) != entries[name] for name in replaced):
                if behind:
                    self._source.nodes.set_aside(node)
                before = entries
                continue
            lacking = any(
                len(some) < min(k, len(hits)) and len(hits) == depth
                for some, hits in zip(kept, found, strict=True)
            )
            if not lacking or depth >= _MOST_DEPTH:
                break
            depth = min(_DEEPER * depth, _MOST_DEPTH)
        return kept


def _replaced(found: list[list[Hit]], entries: dict[str, Entry]) -> set[str]:
    """Videos with a hit of a version that a newer searchable one replaced."""
    return {
        hit.ref.video_id
        for hits in found
        for hit in hits
        if hit.ref.version < entries[hit.ref.video_id].current
    }
