"""Queries in one process: decoded in child processes, embedded and matched in this one."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import (
    CancelledError,
    CorruptIndexError,
    ModelMismatchError,
    StoryHashError,
    UsageError,
    VideoError,
)
from common.spool import DecodedVideo
from common.tracing import step
from common.types import OnDecoded, Segment, TakePass
from common.uris import is_remote
from embedder.query.embedder import QueryEmbedder
from embedder.query.session import QuerySession
from ingest.catalogue import check_argument, list_catalog
from ingest.exclusion import NOTHING, Exclusion
from ingest.query_decoder import QueryDecoder
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.cascade import has_copy, match_cascade
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.second_opinion import with_second_opinion
from searcher.serving import OpenedQuery, SecondIndex
from searcher.transform.pictures import Pictures
from storyhash.query.pictures import ClipPictures, PictureReader
from storyhash.video_errors import SHARED, as_video_error

ComparePictures: TypeAlias = Callable[[Pictures | None, MatchReport], MatchReport]
"""The report after the query's pictures were compared with those of its matches."""

_TICK_SECONDS = 0.2
# Most bytes of clips of waiting queries on disk; above it, no further query is decoded.
_AHEAD_BYTES = 1 << 30
# Errors that would concern every query: a wrong setting or model, an unreadable index.
_OF_ALL = (*SHARED, UsageError, CorruptIndexError, CancelledError)


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The report of one query, or its error."""

    uri: str
    report: MatchReport | None
    error: StoryHashError | None


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """The index of another profile, which is asked where the first one finds no copy. compare: see
    `run_queries`."""

    index: SecondIndex
    compare: ComparePictures | None = None


@dataclass(slots=True)
class Queries:
    """The videos to match. refused: paths in folders that cannot be read, and why."""

    uris: list[str] = field(default_factory=list)
    refused: list[tuple[str, VideoError]] = field(default_factory=list)
    excluded: int = 0


def list_queries(arguments: Sequence[str], exclusion: Exclusion = NOTHING) -> Queries:
    """The videos of files, folders and URLs, in the given order.

    A missing path stays in the list and gets an error of its own. Raises UsageError for an empty path and
    for a folder without videos.
    """
    queries = Queries()
    for path in arguments:
        argument = check_argument(path)
        # `os.path`, because `Path` raises for a path that may not be looked at.
        if not is_remote(argument) and os.path.isdir(argument):
            listing = list_catalog([argument], exclusion=exclusion)
            queries.excluded += listing.passed_over.excluded
            queries.uris += [item.entry.uri for item in listing.videos]
            queries.refused += [(item.uri, VideoError(item.message)) for item in listing.refused]
        elif os.path.exists(argument) and not os.path.isfile(argument):
            # A pipe would be waited for, and a query is read more than once.
            error = VideoError("neither a file nor a folder; save the video as a file")
            queries.refused.append((argument, error))
        else:
            queries.uris.append(argument)
    if not queries.uris and not queries.refused:
        raise UsageError("no video to match")
    return queries


class LocalQueries:
    """Opens queries in this process: each is decoded once, in a child. Thread-safe."""

    def __init__(
        self,
        decoder: QueryDecoder,
        embedder: QueryEmbedder,
        reader: PictureReader | None = None,
        second: QueryEmbedder | None = None,
    ) -> None:
        """reader: of the pictures of queries; None if nobody asks for them. second: of the second
        opinion; None if there is none."""
        self._decoder = decoder
        self._embedder = embedder
        self._reader = reader
        self._second = second

    @property
    def decoders(self) -> int:
        """Number of queries that are decoded at once."""
        return self._decoder.workers

    @step("decode query")
    def open(
        self,
        source: Path | str,
        name: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> QuerySession:
        """Open a file or URL as a query with a name; the caller closes it.

        The first pass is made meanwhile. Raises VideoError and its subclasses, StorageError and
        CancelledError.
        """

        def decode(on_segment: Callable[[Segment], None]) -> DecodedVideo:
            def decoded(segment: Segment) -> None:
                on_segment(segment)
                if on_decoded is not None:
                    on_decoded(segment.ref.end_seconds)

            return self._decoder.decode(source, cancellation, decoded)

        return QuerySession.decoding(self._embedder, name, decode, cancellation)

    @contextmanager
    def opened(
        self,
        source: Path | str,
        name: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> Iterator[OpenedQuery]:
        """As `open`, in the form in which the API takes queries."""
        with self.open(source, name, cancellation, on_decoded) as session:
            take_pass = partial(session.pieces, cancellation=cancellation)
            for_model = partial(self.for_model, session, cancellation=cancellation)
            yield OpenedQuery(take_pass, self.pictures_of(session), for_model)

    def for_model(
        self, session: QuerySession, model_id: str, cancellation: Cancellation = NEVER_CANCELLED
    ) -> TakePass:
        """The passes of an open query for the model of the second opinion. Raises ModelMismatchError for
        any other model."""
        if self._second is None or self._second.model_id != model_id:
            raise ModelMismatchError(f"no embedder of {model_id} is open in this process")
        return partial(session.seen_by(self._second).pieces, cancellation=cancellation)

    def pictures_of(self, session: QuerySession) -> ClipPictures | None:
        """The pictures of an open query, from its clips; None without a reader."""
        return None if self._reader is None else ClipPictures(self._reader, session.segments)


def run_queries(
    queries: LocalQueries,
    matcher: Matcher,
    uris: Sequence[str],
    *,
    only: Filter = EVERYTHING,
    decided: Callable[[MatchReport], bool] = has_copy,
    thorough: bool = False,
    compare: ComparePictures | None = None,
    second: SecondOpinion | None = None,
) -> Iterator[QueryOutcome]:
    """Match every video; yields outcomes in the given order, each as soon as possible. An error of one
    video is its outcome. only, decided: see match_cascade. compare: compares the pictures of matches;
    None compares none. second: asked where no copy is found.

    Raises errors that concern all videos: DependencyError and its subclasses, UsageError, for example for
    another model, CorruptIndexError.
    """

    def report_of(
        session: QuerySession,
        take_pass: TakePass,
        matcher: Matcher,
        compare: ComparePictures | None,
    ) -> MatchReport:
        return match_cascade(
            matcher,
            take_pass,
            only=only,
            decided=decided,
            thorough=thorough,
            compare=partial(compare, queries.pictures_of(session)) if compare else None,
        )

    def ask(other: SecondOpinion, session: QuerySession) -> MatchReport:
        take_pass = queries.for_model(session, other.index.model_id)
        return report_of(session, take_pass, other.index.matcher, other.compare)

    with _OpenedAhead(queries, uris) as opened:
        for uri, future in opened:
            try:
                with future.result() as session:
                    report = report_of(session, session.pieces, matcher, compare)
                    if second is not None:
                        report = with_second_opinion(
                            report,
                            partial(ask, second, session),
                            decided=decided,
                            covers=second.index.covers,
                        )
            except _OF_ALL:
                raise
            except Exception as error:
                yield QueryOutcome(uri, None, as_video_error(error))
            else:
                yield QueryOutcome(uri, report, None)


class _OpenedAhead:
    """Queries opened in threads, in the order given, while others are matched."""

    def __init__(self, queries: LocalQueries, uris: Sequence[str]) -> None:
        self._queries = queries
        self._cancellation = Cancellation()
        self._room = threading.Condition()
        self._waiting_bytes = 0
        self._due = 0
        self._threads = ThreadPoolExecutor(queries.decoders, thread_name_prefix="decode")
        self._opened: deque[tuple[str, Future[QuerySession]]] = deque(
            (uri, self._threads.submit(self._open, number, uri)) for number, uri in enumerate(uris)
        )

    def __enter__(self) -> _OpenedAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancellation.cancel()
        self._threads.shutdown(cancel_futures=True)
        for _uri, future in self._opened:
            if not future.cancelled() and future.exception() is None:
                future.result().close()

    def __iter__(self) -> Iterator[tuple[str, Future[QuerySession]]]:
        while self._opened:
            uri, future = self._opened[0]
            # Its own error is for whoever takes it.
            size = 0 if future.exception() else future.result().size_bytes
            self._opened.popleft()
            with self._room:
                self._due += 1
                self._waiting_bytes -= size
                self._room.notify_all()
            yield uri, future

    def _open(self, number: int, uri: str) -> QuerySession:
        with self._room:
            # The one that is due never waits for those behind it.
            while self._waiting_bytes > _AHEAD_BYTES and number != self._due:
                self._cancellation.check()
                self._room.wait(_TICK_SECONDS)
        session = self._queries.open(uri, uri, self._cancellation)
        with self._room:
            self._waiting_bytes += session.size_bytes
        return session
