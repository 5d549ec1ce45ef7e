"""Queries in one process: decoded in children, embedded and matched in the order they were given."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import (
    CancelledError,
    CorruptIndexError,
    StoryHashError,
    UsageError,
    VideoError,
)
from common.spool import SegmentSpool
from common.types import CatalogEntry, LookName, QueryEmbedding, TakeLook
from common.uris import absolute, is_remote
from embedder.query.embedder import QueryEmbedder
from embedder.query.passes import LOOKS
from ingest.catalogue import check_argument, list_catalog
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from searcher.matching.cascade import match_cascade
from searcher.matching.matcher import MatchReport
from storyhash.video_errors import SHARED, as_video_error
from storyhash.wiring import QueryServices

_TICK_SECONDS = 0.2
# Clips of queries that wait for their turn, on disk; no further video is begun while there are more.
_AHEAD_BYTES = 1 << 30
# What no other query would be spared: a wrong setting or model, an index that cannot be read.
_OF_ALL = (*SHARED, UsageError, CorruptIndexError, CancelledError)


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """One query's report, or the error that kept it from having one."""

    uri: str
    report: MatchReport | None
    error: StoryHashError | None


@dataclass(slots=True)
class Queries:
    """The videos to match; `refused`: what folders have in them that cannot be looked at, and why."""

    uris: list[str] = field(default_factory=list)
    refused: list[tuple[str, VideoError]] = field(default_factory=list)


def list_queries(arguments: Sequence[str]) -> Queries:
    """The videos named by files, folders and addresses, in the order given.

    A path that is not there stays in the list: it gets its own answer. Raises UsageError for an empty
    path and for a folder without a video.
    """
    queries = Queries()
    for given in arguments:
        argument = check_argument(given)
        if not is_remote(argument) and Path(argument).is_dir():
            listing = list_catalog([argument])
            queries.uris += [one.entry.uri for one in listing.videos]
            queries.refused += [(one.uri, VideoError(one.message)) for one in listing.refused]
        else:
            queries.uris.append(argument)
    if not queries.uris and not queries.refused:
        raise UsageError("no video to match")
    return queries


class LocalEmbedding:
    """Embeds queries in this process, decoded in a child: one step of one query at a time."""

    def __init__(self, pool: DecoderPool, embedder: QueryEmbedder) -> None:
        self._pool = pool
        self._embedder = embedder
        self._turn = threading.Lock()

    @contextmanager
    def opened(
        self, source: Path | str, name: str, cancellation: Cancellation = NEVER_CANCELLED
    ) -> Iterator[TakeLook]:
        """A file or an address as a query, called `name`, to be looked at while the block lasts: it is
        decoded once, and its clips lie on disk meanwhile.

        Entering and looking raise VideoError and its kin, StorageError and CancelledError.
        """
        with SegmentSpool() as segments:
            with self._my_turn(cancellation):
                done = self._decoded(source, segments, cancellation)

            def look(kind: LookName) -> Iterator[QueryEmbedding]:
                pieces = query_pieces(self._embedder, name, done, segments, kind, cancellation)
                while True:
                    with self._my_turn(cancellation):
                        piece = next(pieces, None)
                    if piece is None:
                        return
                    yield piece

            yield look

    def _decoded(
        self, source: Path | str, segments: SegmentSpool, cancellation: Cancellation
    ) -> VideoDone:
        gone = threading.Event()
        work = [(CatalogEntry("query", absolute(str(source))), 1)]

        def check() -> None:
            if cancellation.cancelled:
                # A child that is in the middle of something is killed.
                gone.set()

        with closing(self._pool.run(work, gone, check)) as events:
            for event in events:
                check()
                cancellation.check()
                if isinstance(event, SegmentReady):
                    segments.add(event.segment)
                elif isinstance(event, VideoFailed):
                    raise event.error
                else:
                    return event
        cancellation.check()
        raise VideoError("the query ended half-way")

    @contextmanager
    def _my_turn(self, cancellation: Cancellation) -> Iterator[None]:
        while not self._turn.acquire(timeout=_TICK_SECONDS):
            cancellation.check()
        try:
            cancellation.check()
            yield
        finally:
            self._turn.release()


def query_pieces(
    embedder: QueryEmbedder,
    name: str,
    done: VideoDone,
    segments: SegmentSpool,
    look: LookName,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> Iterator[QueryEmbedding]:
    """The pieces of a query that was decoded, as a look sees them."""
    for piece in embedder.pieces(name, done.duration_seconds, segments, LOOKS[look], cancellation):
        yield replace(piece, damaged=done.damaged or "")


def run_queries(
    services: QueryServices, uris: Sequence[str], *, thorough: bool = False
) -> Iterator[QueryOutcome]:
    """Match every video; outcomes come in the order given, each as soon as it is its turn. What goes
    wrong with one video is its own outcome, whatever it is.

    Raises what no other video mends: DependencyError and its kin, UsageError such as another model,
    CorruptIndexError.
    """
    entries = {
        f"query-{number}": CatalogEntry(f"query-{number}", uri) for number, uri in enumerate(uris)
    }
    spools: dict[str, SegmentSpool] = {}
    finished: dict[str, VideoEvent] = {}
    turn = iter(entries)
    due = next(turn, None)

    def work() -> Iterator[tuple[CatalogEntry, int] | None]:
        for name, entry in entries.items():
            # Decoders go on ahead of the one whose turn it is, but do not fill the disk.
            while sum(spool.size_bytes for spool in [*spools.values()]) > _AHEAD_BYTES:
                yield None
            yield CatalogEntry(name, absolute(entry.uri)), 1

    try:
        for event in services.pool.run(work()):
            name = event.entry.video_id
            spool = spools.setdefault(name, SegmentSpool())
            if isinstance(event, SegmentReady):
                spool.add(event.segment)
                continue
            finished[name] = event
            while due is not None and due in finished:
                yield _outcome(services, entries[due].uri, finished.pop(due), spools[due], thorough)
                spools.pop(due).close()
                due = next(turn, None)
    finally:
        for spool in spools.values():
            spool.close()


def _outcome(
    services: QueryServices,
    uri: str,
    event: VideoEvent,
    segments: SegmentSpool,
    thorough: bool,
) -> QueryOutcome:
    try:
        if isinstance(event, VideoFailed):
            raise event.error
        if not isinstance(event, VideoDone):
            raise VideoError("the query ended half-way")
        look = partial(query_pieces, services.embedder, uri, event, segments)
        return QueryOutcome(uri, match_cascade(services.matcher, look, thorough=thorough), None)
    except _OF_ALL:
        raise
    except Exception as error:
        return QueryOutcome(uri, None, as_video_error(error))
