"""Finds the nearest segments of the versions that the register names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_client import QdrantClient, models

from common.errors import DependencyError
from common.types import Float32Array, Hit
from searcher.index.state import Filter
from searcher.qdrant.entries import Entry
from searcher.qdrant.nodes import Node, Nodes
from searcher.qdrant.payload import VECTOR_NAME
from searcher.qdrant.points import REF_FIELDS, any_of, hit_of, of_version, search_filter
from searcher.qdrant.register import Register

# A search is repeated at most so often because versions changed or a node was behind.
_ATTEMPTS = 8
_DEEPER = 2
# More hits are not read at once, unless the caller asks for more: a cluster in strict mode may refuse it.
_MOST_DEPTH = 1280


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """The collection of segments. consistency: see `QdrantSettings.read_consistency`. ef: number of
    candidates, or Qdrant's own choice."""

    nodes: Nodes
    name: str
    consistency: str
    ef: int | None

    def nearest(
        self, vectors: Float32Array, depth: int, only: Filter, hidden: list[Any], *, exact: bool
    ) -> tuple[list[list[Hit]], Node]:
        """The nearest segments of any version, except those that meet a condition of `hidden`, and the
        node that answered."""
        conditions = search_filter(only, hidden)
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
    that is not searchable is dropped too; if too few are left, the server leaves out all such versions
    that were found, and more hits are read.
    """

    def __init__(self, source: SegmentSource, register: Register) -> None:
        self._source = source
        self._register = register

    def nearest(
        self, vectors: Float32Array, k: int, only: Filter, *, exact: bool
    ) -> list[list[Hit]]:
        """The k nearest searchable segments of each vector, best first; fewer only if there are fewer.
        Raises DependencyError."""
        depth, attempts = k, 0
        # Every version that was found, and the entries of these videos at the last look.
        seen: set[tuple[str, int]] = set()
        before: dict[str, Entry] = {}
        while attempts < _ATTEMPTS:
            hidden = {one for one in seen if not _is_current(one, before)}
            found, node = self._source.nearest(
                vectors, depth, only, _conditions(hidden, before), exact=exact
            )
            seen |= {(hit.ref.video_id, hit.ref.version) for hits in found for hit in hits}
            entries, behind = self._register.entries({name for name, _ in seen}, node)
            changed = any(
                version < entries[name].current and before.get(name) != entries[name]
                for name, version in seen
            )
            shown = any(_is_current(one, entries) for one in hidden)
            before = entries
            if behind:
                self._source.nodes.set_aside(node)
            if behind or changed or shown:
                attempts += 1
                continue
            kept = [
                [hit for hit in hits if _is_current((hit.ref.video_id, hit.ref.version), entries)]
                for hits in found
            ]
            # A full answer with too few hits has a version that was not hidden yet, so this ends.
            if all(
                len(some) >= k or len(hits) < depth for some, hits in zip(kept, found, strict=True)
            ):
                return [some[:k] for some in kept]
            depth = max(k, min(_DEEPER * depth, _MOST_DEPTH))
        raise DependencyError(
            f"Qdrant at {self._source.nodes.where}: the index changed, or nodes lacked changes, during "
            f"each of {_ATTEMPTS} attempts to search; try again"
        )


def _is_current(version: tuple[str, int], entries: Mapping[str, Entry]) -> bool:
    """Whether this version of a video is the searchable one."""
    video_id, number = version
    return entries[video_id].current == number


def _conditions(hidden: set[tuple[str, int]], entries: Mapping[str, Entry]) -> list[Any]:
    """Conditions that each segment of these versions meets one of: a single one for all videos of which
    no version is searchable."""
    absent = {name for name, _ in hidden if not entries[name].current}
    others = [of_version(name, version) for name, version in hidden if name not in absent]
    return [any_of("video_id", absent), *others] if absent else others
