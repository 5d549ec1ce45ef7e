"""The register: one small point per video that says which version is searchable.

A search reads segments of every version and keeps those of the registered one, so one write makes a
new version visible and hides the old one. The write is conditional: an older entry never replaces a newer
one, whatever the order in which nodes apply requests that were repeated or held up.

A node that was paused answers for a moment with what it held before. So an entry is read from more than
half of the nodes, and the newest answer counts. With each write an epoch, a time, is written too: a node
whose epoch is older than that of another node lacks writes, and its answer to a search is not used.
Lists and counts are read from a node whose epoch is the newest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from qdrant_client import QdrantClient, models

from common.errors import DependencyError, ModelMismatchError
from common.settings import QdrantSettings
from common.slices import slices
from searcher.qdrant.collections import check_collection, create_collection
from searcher.qdrant.entries import (
    ABSENT,
    DELETED,
    ENTRY_FIELDS,
    EPOCH,
    EPOCH_ID,
    LIVE,
    Entry,
    entry_of,
    epoch_of,
    is_older,
    row_of,
    row_point,
    tombstone,
    upsert_if,
)
from searcher.qdrant.nodes import Answer, Call, Node, Nodes
from searcher.qdrant.points import equals, version_below, video_point_id
from searcher.storage.video import Video

# A cluster in strict mode may refuse larger limits.
_PAGE = _MOST_VALUES = 1000
_BATCH = 100
# Attempts to read from a node that lacks no write.
_ATTEMPTS = 4
_INDEXES = {
    "version": models.PayloadSchemaType.INTEGER,
    "deleted": models.PayloadSchemaType.INTEGER,
    "bank": models.PayloadSchemaType.KEYWORD,
    "state": models.PayloadSchemaType.KEYWORD,
}


class Register:
    """The collection of entries."""

    def __init__(self, nodes: Nodes, settings: QdrantSettings) -> None:
        self._nodes = nodes
        self._settings = settings
        self.name = f"{settings.collection}-videos"
        # Copies of the collection, known when it is open.
        self.copies = 0
        self._lock = threading.Lock()
        self._epoch = 0

    def exists(self) -> bool:
        """Whether the collection is there."""
        return self._nodes.ask(lambda client: client.collection_exists(self.name), reading=True)

    def open(self, model_id: str) -> None:
        """Create the collection if it is not there. Raises ModelMismatchError."""
        if not self.exists():
            copies = self._nodes.ask(_count_nodes, reading=True)
            create_collection(
                self._nodes,
                self.name,
                self._settings,
                {},
                # Each node has a copy of its own, so that an answer of a node is that of its copy.
                shard_number=1,
                replication_factor=copies,
                write_consistency_factor=copies // 2 + 1,
                metadata={"model_id": model_id},
            )
        info = check_collection(self._nodes, self.name, {}, _INDEXES)
        found = _model_of(info)
        if found is None:
            raise ModelMismatchError(
                f"{self._nodes.where}: collection {self.name} does not say of which model it is, so this "
                "version did not make it; set STORYHASH_QDRANT__COLLECTION to another name"
            )
        if found != model_id:
            raise ModelMismatchError(
                f"{self._nodes.where}: collection {self.name} is of model {found}, not of {model_id}; "
                "set STORYHASH_QDRANT__COLLECTION to another"
            )
        self.copies = info.config.params.replication_factor or 1

    def model_id(self) -> str | None:
        """The model of the index."""
        return _model_of(
            self._nodes.ask(lambda client: client.get_collection(self.name), reading=True)
        )

    def write(self, rows: Sequence[Video], deleted: Iterable[tuple[str, int]] = ()) -> None:
        """Make these versions searchable, and note these deletions of all versions up to the given ones.
        A newer entry stays as it is."""
        points = [(row_point(row), row.version, False) for row in rows]
        points += [(tombstone(name, version), version, True) for name, version in deleted]
        for some in slices(points, _BATCH):
            operations: list[Any] = [
                upsert_if(point, is_older(version, gone=gone)) for point, version, gone in some
            ]
            epoch = self._next_epoch()
            mark = models.PointStruct(
                id=EPOCH_ID, vector={}, payload={"version": epoch, "deleted": EPOCH}
            )
            operations.append(
                upsert_if(mark, models.Filter(must=[version_below(epoch, equal=False)]))
            )
            self._update(operations)

    def forget(self, video_id: str) -> None:
        """Remove the entry of a video, whatever its version. A node that was paused may show it until it
        hears from the others."""
        names: list[Any] = [video_point_id(video_id)]
        self._nodes.ask(lambda client: client.delete(self.name, names, wait=True))

    def entries(
        self, video_ids: Iterable[str], node: Node | None = None
    ) -> tuple[dict[str, Entry], bool]:
        """The entries of these videos, and whether `node` lacks writes that another node has."""
        names = {video_point_id(name): name for name in video_ids}
        found = dict.fromkeys(names.values(), ABSENT)
        behind = False
        ids = [*names]
        for start in range(0, max(len(ids), 1), _PAGE):
            chosen: list[Any] = [*ids[start : start + _PAGE], EPOCH_ID]

            def read(client: QdrantClient, chosen: list[Any] = chosen) -> list[models.Record]:
                return client.retrieve(self.name, chosen, with_payload=ENTRY_FIELDS)

            answers = self._nodes.ask_several(read, self._nodes.majority, node)
            epochs = {other: epoch_of(records) for other, records in answers.items()}
            for record in chain.from_iterable(answers.values()):
                if record.id != EPOCH_ID:
                    name = names[str(record.id)]
                    found[name] = max(found[name], entry_of(record))
            # A node that did not answer in time may lack writes.
            behind |= node is not None and epochs.get(node, -1) < max(epochs.values())
        return found, behind

    def versions(self) -> dict[str, int]:
        """The searchable version of each video."""
        return self._versions(_live())

    def deleted(self) -> dict[str, int]:
        """The deleted videos; every version up to the one given is deleted."""
        return self._versions(models.Filter(must=[equals("deleted", DELETED)]))

    def rows(self, only: models.Filter | None = None, after: str = "") -> Iterator[Video]:
        """The rows of the searchable videos, in the order of the ids of their entries; those after the
        video `after`."""
        for page in self.pages(only or _live(), ["video"], after):
            yield from (row_of(payload) for payload in page)

    def row(self, video_id: str) -> Video | None:
        """The row of a searchable video."""
        wanted: list[Any] = [video_point_id(video_id)]
        answers = self._nodes.ask_several(
            lambda client: client.retrieve(self.name, wanted, with_payload=True),
            self._nodes.majority,
        )
        found = list(chain.from_iterable(answers.values()))
        newest = max(found, key=entry_of, default=None)
        if newest is None or not entry_of(newest).current:
            return None
        return row_of(newest.payload or {})

    def count(self, only: models.Filter) -> int:
        """Number of entries of a selection."""
        return self._up_to_date(lambda client: client.count(self.name, only, exact=True)).count

    def values(self, field: str) -> dict[str, int]:
        """The values of a payload field among the searchable videos, with their numbers."""
        answer = self._up_to_date(
            lambda client: client.facet(self.name, field, _live(), limit=_MOST_VALUES, exact=True)
        )
        if len(answer.hits) < _MOST_VALUES:
            return {str(hit.value): hit.count for hit in answer.hits}
        # There may be more, and facets have no pages.
        pages = self.pages(_live(), [field])
        return dict(Counter(str(payload[field]) for page in pages for payload in page))

    def some(self, count: int, start: str) -> list[str]:
        """Ids of up to `count` searchable videos; another `start` gives others."""
        pages = chain(
            self.pages(_live(), ["video_id"], start, most=count),
            self.pages(_live(), ["video_id"], most=count),
        )
        names: dict[str, None] = {}
        for page in pages:
            names |= dict.fromkeys(str(payload["video_id"]) for payload in page)
            if len(names) >= count:
                break
        return list(names)[:count]

    def pages(
        self, only: models.Filter, fields: list[str], after: str = "", most: int = _PAGE
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Payloads, page after page. most: the most per page."""
        if most < 1:
            return
        offset: Any = video_point_id(after) if after else None
        skipped = after
        while True:
            scroll = _scroll(self.name, only, offset, fields, min(most, _PAGE))
            records, offset = self._up_to_date(scroll)
            payloads: list[Mapping[str, Any]] = [record.payload or {} for record in records]
            if skipped and records and str(records[0].id) == video_point_id(skipped):
                payloads = payloads[1:]
            skipped = ""
            if payloads:
                yield payloads
            if offset is None:
                return

    def _versions(self, only: models.Filter) -> dict[str, int]:
        return {
            str(payload["video_id"]): int(payload["version"])
            for page in self.pages(only, ["video_id", "version"])
            for payload in page
        }

    def _up_to_date(self, call: Call[Answer]) -> Answer:
        """The answer of a node that has every write that was acknowledged before. Raises
        DependencyError."""
        if len(self._nodes) == 1:
            return self._nodes.ask(call, reading=True)
        for _ in range(_ATTEMPTS):
            epochs = self._epochs()
            newest = max(epochs, key=epochs.__getitem__)
            for node, epoch in epochs.items():
                if epoch < epochs[newest]:
                    self._nodes.set_aside(node)
            answer, node = self._nodes.ask_node(call, reading=True, first=newest)
            if epochs.get(node) == epochs[newest]:
                return answer
        raise DependencyError(
            f"Qdrant at {self._nodes.where}: no node answers that has all of {self.name}; start the "
            "nodes that are missing, or try again"
        )

    def _epochs(self) -> dict[Node, int]:
        """The epochs of more than half of the nodes."""
        mark: list[Any] = [EPOCH_ID]
        answers = self._nodes.ask_several(
            lambda client: client.retrieve(self.name, mark, with_payload=ENTRY_FIELDS),
            self._nodes.majority,
        )
        return {node: epoch_of(records) for node, records in answers.items()}

    def _next_epoch(self) -> int:
        with self._lock:
            # The clock of the machine that wrote before may have been ahead.
            before = self._epoch or max(self._epochs().values())
            self._epoch = max(before + 1, time.time_ns() // 1000)
            return self._epoch

    def _update(self, operations: list[Any]) -> None:
        self._nodes.ask(lambda client: client.batch_update_points(self.name, operations, wait=True))


def stored_model(settings: QdrantSettings) -> str | None:
    """The model of the index in Qdrant; None if there is none. Raises DependencyError."""
    nodes = Nodes.connect(settings)
    try:
        register = Register(nodes, settings)
        return register.model_id() if register.exists() else None
    finally:
        nodes.close()


def live_filter(*conditions: Any) -> models.Filter:
    """Searchable videos that meet the conditions."""
    return models.Filter(must=[equals("deleted", LIVE), *conditions])


def _live() -> models.Filter:
    return live_filter()


def _scroll(
    name: str, only: models.Filter, offset: Any, fields: list[str], limit: int
) -> Call[tuple[list[models.Record], Any]]:
    def scroll(client: QdrantClient) -> tuple[list[models.Record], Any]:
        return client.scroll(name, only, limit, offset=offset, with_payload=fields)

    return scroll


def _model_of(info: models.CollectionInfo) -> str | None:
    found = (info.config.metadata or {}).get("model_id")
    return None if found is None else str(found)


def _count_nodes(client: QdrantClient) -> int:
    try:
        status = client.cluster_status()
    except NotImplementedError:
        # Local mode.
        return 1
    return max(1, len(getattr(status, "peers", None) or {}))
