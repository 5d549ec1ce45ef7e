"""Queries in one process: decoded in children, embedded and matched in the order they were given."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import StoryHashError, UsageError, VideoError
from common.types import CatalogEntry, LookName, QueryEmbedding, Segment
from common.uris import absolute, is_remote
from embedder.looks import LOOKS
from embedder.query import QueryEmbedder
from ingest.catalog import read_catalog
from ingest.pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from searcher.matching.looking import match_looking
from searcher.matching.matcher import MatchReport
from storyhash.wiring import QueryServices


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """One query's report, or the error that kept it from having one."""

    uri: str
    report: MatchReport | None
    error: StoryHashError | None


def list_queries(arguments: Sequence[str]) -> list[str]:
    """The videos named by files, folders and addresses, in the order given.

    A path that is not there stays in the list: it gets its own answer.
    """
    uris: list[str] = []
    for argument in arguments:
        if not is_remote(argument) and Path(argument).is_dir():
            uris += [one.entry.uri for one in read_catalog([argument])]
        else:
            uris.append(argument)
    if not uris:
        raise UsageError("no video to match")
    return uris


class LocalEmbedding:
    """Embeds one query after the other in this process, decoded in a child."""

    def __init__(self, pool: DecoderPool, embedder: QueryEmbedder) -> None:
        self._pool = pool
        self._embedder = embedder
        self._turn = threading.Lock()

    def embed(self, source: Path | str, name: str, look: LookName = "first") -> QueryEmbedding:
        """A file or an address as a query, called `name`. Raises VideoError and its kin."""
        segments: list[Segment] = []
        work = [(CatalogEntry("query", absolute(str(source))), 1)]
        with self._turn:
            for event in self._pool.run(work):
                if isinstance(event, SegmentReady):
                    segments.append(event.segment)
                elif isinstance(event, VideoFailed):
                    raise event.error
                else:
                    duration_seconds = event.duration_seconds
            return self._embedder.embed(name, duration_seconds, segments, LOOKS[look])


def run_queries(
    services: QueryServices, uris: Sequence[str], *, thorough: bool = False
) -> Iterator[QueryOutcome]:
    """Match every video; outcomes come in the order given, each as soon as it is its turn."""
    entries = {
        f"query-{number}": CatalogEntry(f"query-{number}", uri) for number, uri in enumerate(uris)
    }
    segments: dict[str, list[Segment]] = {name: [] for name in entries}
    finished: dict[str, VideoEvent] = {}
    turn = iter(entries)
    due = next(turn, None)
    work = [(CatalogEntry(name, absolute(entry.uri)), 1) for name, entry in entries.items()]
    for event in services.pool.run(work):
        name = event.entry.video_id
        if isinstance(event, SegmentReady):
            segments[name].append(event.segment)
            continue
        finished[name] = event
        while due is not None and due in finished:
            event, shown = finished.pop(due), segments.pop(due)
            yield _outcome(services, entries[due].uri, event, shown, thorough)
            due = next(turn, None)


def _outcome(
    services: QueryServices,
    uri: str,
    event: VideoEvent,
    segments: list[Segment],
    thorough: bool,
) -> QueryOutcome:
    try:
        if isinstance(event, VideoFailed):
            raise event.error
        if not isinstance(event, VideoDone):
            raise VideoError("the query ended half-way")
        seconds = event.duration_seconds

        def look(name: LookName) -> QueryEmbedding:
            return services.embedder.embed(uri, seconds, segments, LOOKS[name])

        report = match_looking(services.matcher, look, thorough=thorough)
        return QueryOutcome(uri, report, None)
    except VideoError as error:
        return QueryOutcome(uri, None, error)
