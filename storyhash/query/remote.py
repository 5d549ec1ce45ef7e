"""Queries decoded and embedded by embedders that run elsewhere, for a searcher that has no models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import (
    DependencyError,
    EmbedderUnavailableError,
    ModelMismatchError,
    StoryHashError,
    UsageError,
    WireError,
)
from common.http.query_parameters import UNKNOWN_PARAMETER
from common.messaging.wire import QueryReader
from common.types import EVERYWHERE, OnDecoded, PassName, QueryEmbedding, TakePass, TimeSpans
from embedder.query.open_queries import UNKNOWN_QUERY
from embedder.server import QUERY_HEADER
from searcher.serving import OpenedQuery
from storyhash.client.call import Call
from storyhash.client.calls.embedder import delete_query, embed
from storyhash.client.refusals import KEY_REFUSALS
from storyhash.client.retries import NO_RETRIES
from storyhash.client.transport import SyncTransport

# Deleting is a courtesy: a query that is not deleted expires.
_DELETE_SECONDS = 5.0


class RemoteQueries:
    """Tries one embedder after the other, in the order of their addresses. Thread-safe."""

    def __init__(
        self, urls: Sequence[str], *, timeout_seconds: float, key: SecretStr | None = None
    ) -> None:
        """key: sent to each of them."""
        self._embedders = [
            SyncTransport(
                url,
                key,
                timeout_seconds=timeout_seconds,
                keep_alive=False,
                key_setting="STORYHASH_SERVICE__EMBEDDER_API_KEY",
                # The next embedder is tried instead.
                retries=NO_RETRIES,
            )
            for url in urls
        ]

    def close(self) -> None:
        """Let go of connections."""
        for embedder in self._embedders:
            embedder.close()

    @contextmanager
    def open(
        self,
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> Iterator[OpenedQuery]:
        """Open a file or URL as a query of this model, with a name. The first pass sends it; the first
        pass for another model sends it again, to an embedder of that model. on_decoded: never called,
        because an embedder does not tell how far it is.

        A pass raises VideoError if it cannot be used, EmbedderUnavailableError if no embedder of the
        model answers, CancelledError.
        """
        with ExitStack() as opened:

            def for_model(model_id: str) -> TakePass:
                query = _RemoteQuery(self._embedders, source, name, model_id, cancellation)
                opened.callback(query.close)
                return query.pieces

            yield OpenedQuery(for_model(model_id), for_model=for_model)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The embedder that has a decoded query, and the query's id there."""

    embedder: SyncTransport
    query_id: str


class _RemoteQuery:
    """One query. The embedder that decoded it also does the next passes. Use from one thread."""

    def __init__(
        self,
        embedders: Sequence[SyncTransport],
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation,
    ) -> None:
        self._embedders = embedders
        self._source = source
        self._name = name
        self._model_id = model_id
        self._cancellation = cancellation
        self._kept: _Kept | None = None

    def pieces(self, pass_name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        """From the first embedder that answers; where it breaks off, the rest from the next."""
        reasons = []
        last_number = 0
        holder = None if self._kept is None else self._kept.embedder
        # The one that has decoded it is asked first.
        for embedder in sorted(self._embedders, key=lambda embedder: embedder is not holder):
            try:
                for piece in self._from_any_version(embedder, pass_name, within):
                    if piece.number > last_number:
                        last_number = piece.number
                        yield piece
                return
            except DependencyError as error:
                self._cancellation.check()
                self._kept = None
                reasons.append(str(error))
            except UsageError as error:
                # The searcher's key, and not its caller's, is what an embedder refuses.
                if error.code not in (ModelMismatchError.code, *KEY_REFUSALS):
                    raise
                reasons.append(f"{embedder.service.url}: {error}")
            except WireError as error:
                # Not an embedder, or one of a newer version.
                self._kept = None
                reasons.append(f"{embedder.service.url}: {error}")
        problems = "; ".join(reasons) or "none is configured"
        raise EmbedderUnavailableError(
            f"no embedder with model {self._model_id} responds ({problems}); start one with "
            "`storyhash embed`, or add it to STORYHASH_SERVICE__EMBEDDER_URLS"
        )

    def close(self) -> None:
        """Delete the query at the embedder; if this fails, it expires there."""
        open_query, self._kept = self._kept, None
        if open_query is not None:
            with suppress(StoryHashError):
                call = delete_query(open_query.query_id)
                open_query.embedder.answer(replace(call, timeout_seconds=_DELETE_SECONDS))

    def _from_any_version(
        self, embedder: SyncTransport, pass_name: PassName, within: TimeSpans
    ) -> Iterator[QueryEmbedding]:
        """As `_from`; an embedder of an earlier version embeds all moments of the query."""
        try:
            yield from self._from(embedder, pass_name, within)
        except UsageError as error:
            if error.code != UNKNOWN_PARAMETER or within == EVERYWHERE:
                raise
            yield from self._from(embedder, pass_name, EVERYWHERE)

    def _from(
        self, embedder: SyncTransport, pass_name: PassName, within: TimeSpans
    ) -> Iterator[QueryEmbedding]:
        """All pieces from one embedder, without sending the video if it already has it."""
        embedded = partial(
            embed, name=self._name, model_id=self._model_id, pass_name=pass_name, within=within
        )
        open_query, self._kept = self._kept, None
        if open_query is not None and open_query.embedder is embedder:
            try:
                yield from self._read(embedder, embedded(query_id=open_query.query_id))
                return
            except UsageError as error:
                if error.code != UNKNOWN_QUERY:
                    raise
        if isinstance(self._source, str):
            yield from self._read(embedder, embedded(uri=self._source))
        else:
            yield from self._read(embedder, embedded(file=self._source))

    def _read(self, embedder: SyncTransport, call: Call[Any]) -> Iterator[QueryEmbedding]:
        """The pieces in one answer. Raises WireError for invalid data."""
        self._cancellation.check()
        reader = QueryReader()
        with embedder.stream(call, self._cancellation) as answer:
            query_id = answer.headers.get(QUERY_HEADER)
            self._kept = _Kept(embedder, query_id) if query_id else None
            for block in answer.iter_raw():
                self._cancellation.check()
                yield from reader.feed(block)
            reader.end()
