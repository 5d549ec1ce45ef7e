"""The register: one small point per video that says which version is searchable.

A search reads segments of every version and keeps those of the registered one, so one write makes a
new version visible and hides the old one. The write is conditional: an older entry never replaces a newer
one, whatever the order in which nodes apply requests that were repeated or held up.

A node that was paused answers for a moment with what it held before. So an entry is read from more than
half of the nodes, and the newest answer counts. With each write an epoch, a time, is written too: a node
whose epoch is older than that of another node lacks writes, and its answer to a search is not used.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qdrant_client import QdrantClient, models

from common.errors import ModelMismatchError
from common.settings import QdrantSettings
from common.uris import public_uri
from searcher.qdrant.collections import create_collection
from searcher.qdrant.nodes import Node, Nodes
from searcher.qdrant.points import equals, version_below, video_point_id
from searcher.storage.video import Video

_EPOCH_ID = video_point_id("")
_LIVE, _DELETED, _EPOCH = 0, 1, 2
_PAGE = 1000
_BATCH = 100
_INDEXES = {
    "version": models.PayloadSchemaType.INTEGER,
    "deleted": models.PayloadSchemaType.INTEGER,
    "bank": models.PayloadSchemaType.KEYWORD,
    "state": models.PayloadSchemaType.KEYWORD,
}
_ENTRY_FIELDS = ["version", "deleted", "searchable"]


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """What the register says of a video. deleted: every version up to this one is. searchable: number of
    segments of the version that a search can return."""

    version: int = 0
    deleted: int = _LIVE
    searchable: int = 0

    @property
    def current(self) -> int:
        """The searchable version, 0 if there is none."""
        return 0 if self.deleted else self.version


ABSENT = Entry()


class Register:
    """The collection of entries."""

    def __init__(self, nodes: Nodes, settings: QdrantSettings) -> None:
        self._nodes = nodes
        self._settings = settings
        self.name = f"{settings.collection}-videos"
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
                _INDEXES,
                # Each node has a copy of its own, so that an answer of a node is that of its copy.
                shard_number=1,
                replication_factor=copies,
                write_consistency_factor=copies // 2 + 1,
                metadata={"model_id": model_id},
            )
        found = self.model_id()
        if found != model_id:
            raise ModelMismatchError(
                f"{self._nodes.where}: collection {self.name} is of model {found}, not of {model_id}; "
                "set STORYHASH_QDRANT__COLLECTION to another"
            )

    def model_id(self) -> str | None:
        """The model of the index."""
        info = self._nodes.ask(lambda client: client.get_collection(self.name), reading=True)
        found = (info.config.metadata or {}).get("model_id")
        return None if found is None else str(found)

    def write(self, rows: Sequence[Video], deleted: Iterable[tuple[str, int]] = ()) -> None:
        """Make these versions searchable, and note these deletions of all versions up to the given ones.
        A newer entry stays as it is."""
        points = [(_row_point(row), row.version, False) for row in rows]
        points += [(_tombstone(name, version), version, True) for name, version in deleted]
        for start in range(0, len(points), _BATCH):
            operations: list[Any] = [
                _upsert(point, _is_older(version, gone=gone))
                for point, version, gone in points[start : start + _BATCH]
            ]
            epoch = self._next_epoch()
            mark = models.PointStruct(
                id=_EPOCH_ID, vector={}, payload={"version": epoch, "deleted": _EPOCH}
            )
            operations.append(
                _upsert(mark, models.Filter(must=[version_below(epoch, equal=False)]))
            )
            self._update(operations)

    def forget(self, video_id: str) -> None:
        """Remove the entry of a video, whatever its version."""
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
            chosen: list[Any] = [*ids[start : start + _PAGE], _EPOCH_ID]

            def read(client: QdrantClient, chosen: list[Any] = chosen) -> list[models.Record]:
                return client.retrieve(self.name, chosen, with_payload=_ENTRY_FIELDS)

            answers = self._nodes.ask_several(read, self._nodes.majority, node)
            epochs = []
            for records in answers:
                epoch = 0
                for record in records:
                    entry = _entry(record)
                    if record.id == _EPOCH_ID:
                        epoch = entry.version
                        continue
                    name = names[str(record.id)]
                    found[name] = max(found[name], entry)
                epochs.append(epoch)
            behind |= epochs[0] < max(epochs)
        return found, behind

    def versions(self) -> dict[str, int]:
        """The searchable version of each video."""
        fields = ["video_id", "version"]
        return {
            str(payload["video_id"]): int(payload["version"])
            for page in self.pages(_live(), fields)
            for payload in page
        }

    def rows(self, only: models.Filter | None = None, after: str = "") -> Iterator[Video]:
        """The rows of the searchable videos, in the order of the ids of their entries; those after the
        video `after`."""
        for page in self.pages(only or _live(), ["video"], after):
            yield from (_row(payload) for payload in page)

    def row(self, video_id: str) -> Video | None:
        """The row of a searchable video."""
        wanted: list[Any] = [video_point_id(video_id)]
        answers = self._nodes.ask_several(
            lambda client: client.retrieve(self.name, wanted, with_payload=True),
            self._nodes.majority,
        )
        found = [record for records in answers for record in records]
        newest = max(found, key=_entry, default=None)
        if newest is None or not _entry(newest).current:
            return None
        return _row(newest.payload or {})

    def count(self, only: models.Filter) -> int:
        """Number of entries of a selection."""
        return self._nodes.ask(
            lambda client: client.count(self.name, only, exact=True), reading=True
        ).count

    def values(self, field: str) -> dict[str, int]:
        """The values of a payload field among the searchable videos, with their numbers."""
        answer = self._nodes.ask(
            lambda client: client.facet(self.name, field, _live(), limit=10_000, exact=True),
            reading=True,
        )
        return {str(hit.value): hit.count for hit in answer.hits}

    def pages(
        self, only: models.Filter, fields: list[str], after: str = ""
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Payloads, page after page."""
        offset: Any = video_point_id(after) if after else None
        skipped = after
        while True:
            records, offset = self._nodes.ask(
                _scroll(self.name, only, offset, fields), reading=True
            )
            payloads = [record.payload or {} for record in records]
            if skipped and records and str(records[0].id) == video_point_id(skipped):
                payloads = payloads[1:]
            skipped = ""
            if payloads:
                yield payloads
            if offset is None:
                return

    def _next_epoch(self) -> int:
        with self._lock:
            self._epoch = max(self._epoch + 1, time.time_ns() // 1000)
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
    return models.Filter(must=[equals("deleted", _LIVE), *conditions])


def _live() -> models.Filter:
    return live_filter()


def _scroll(name: str, only: models.Filter, offset: Any, fields: list[str]) -> Any:
    def scroll(client: QdrantClient) -> tuple[list[models.Record], Any]:
        return client.scroll(name, only, _PAGE, offset=offset, with_payload=fields)

    return scroll


def _count_nodes(client: QdrantClient) -> int:
    try:
        status = client.cluster_status()
    except NotImplementedError:
        # Local mode.
        return 1
    return max(1, len(getattr(status, "peers", None) or {}))


def _row_point(row: Video) -> models.PointStruct:
    public = replace(row, uri=public_uri(row.uri))
    return models.PointStruct(
        id=video_point_id(row.video_id),
        vector={},
        payload={
            "video_id": row.video_id,
            "version": row.version,
            "deleted": _LIVE,
            "bank": row.bank,
            "state": row.state,
            "searchable": row.segments - row.uninformative_segments,
            "video": json.dumps(asdict(public)),
        },
    )


def _tombstone(video_id: str, version: int) -> models.PointStruct:
    return models.PointStruct(
        id=video_point_id(video_id),
        vector={},
        payload={"video_id": video_id, "version": version, "deleted": _DELETED, "searchable": 0},
    )


def _is_older(version: int, *, gone: bool) -> models.Filter:
    """What an entry may replace: an older version; a deletion also its own version, and a row its own
    version unless that was deleted."""
    if gone:
        return models.Filter(must=[version_below(version, equal=True)])
    same = models.Filter(must=[equals("version", version), equals("deleted", _LIVE)])
    return models.Filter(should=[version_below(version, equal=False), same])


def _upsert(point: models.PointStruct, only: models.Filter) -> models.UpsertOperation:
    return models.UpsertOperation(upsert=models.PointsList(points=[point], update_filter=only))


def _entry(record: models.Record) -> Entry:
    payload = record.payload or {}
    return Entry(payload["version"], payload["deleted"], payload.get("searchable", 0))


def _row(payload: Mapping[str, Any]) -> Video:
    return Video(**json.loads(payload["video"]))
