"""Queries embedded by the embedders that run elsewhere, for a searcher that has no models."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import DependencyError, EmbedderUnavailableError, ModelMismatchError, UsageError
from common.messaging.wire import QueryReader
from common.types import LookName, QueryEmbedding, TakeLook
from storyhash.client.http_client import RemoteService


class RemoteEmbedding:
    """Asks one embedder after the other, in the order of their addresses. Any thread may call it."""

    def __init__(self, urls: Sequence[str], *, timeout_seconds: float) -> None:
        self._embedders = [RemoteService(url, timeout_seconds=timeout_seconds) for url in urls]

    def close(self) -> None:
        """Let go of connections."""
        for embedder in self._embedders:
            embedder.close()

    @contextmanager
    def __call__(
        self,
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[TakeLook]:
        """A file or an address as a query of this model, called `name`.

        Looking raises VideoError for one that cannot be used, EmbedderUnavailableError when no embedder
        of the model answers, CancelledError.
        """

        def look(kind: LookName) -> Iterator[QueryEmbedding]:
            params = {"name": name, "model_id": model_id, "look": kind}
            return self._pieces(source, params, cancellation)

        yield look

    def _pieces(
        self, source: Path | str, params: Mapping[str, str], cancellation: Cancellation
    ) -> Iterator[QueryEmbedding]:
        """From the first that answers; where it breaks off, the rest from the next."""
        reasons = []
        given = 0
        for embedder in self._embedders:
            try:
                with closing(_asked(embedder, source, params)) as blocks:
                    for piece in _read(blocks, cancellation):
                        if piece.number > given:
                            given = piece.number
                            yield piece
                return
            except DependencyError as error:
                reasons.append(str(error))
            except UsageError as error:
                if error.code != ModelMismatchError.code:
                    raise
                reasons.append(f"{embedder.url}: {error}")
        why = "; ".join(reasons) or "none is named"
        raise EmbedderUnavailableError(
            f"no embedder of {params['model_id']} answers ({why}); start one with `storyhash embed`, or "
            "name it in STORYHASH_SERVICE__EMBEDDER_URLS"
        )


def _asked(
    embedder: RemoteService, source: Path | str, params: Mapping[str, str]
) -> Generator[bytes]:
    if isinstance(source, str):
        yield from embedder.blocks("POST", "/v1/embed", params=params, json={"uri": source})
        return
    with source.open("rb") as file:
        yield from embedder.blocks(
            "POST",
            "/v1/embed",
            params=params,
            content=file,
            headers={"Content-Type": "application/octet-stream"},
        )


def _read(blocks: Iterable[bytes], cancellation: Cancellation) -> Iterator[QueryEmbedding]:
    """The pieces of an answer. Raises WireError for what is none."""
    reader = QueryReader()
    for block in blocks:
        cancellation.check()
        yield from reader.feed(block)
    reader.end()
