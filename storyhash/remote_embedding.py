"""Queries embedded by the embedders that run elsewhere, for a searcher that has no models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import DependencyError, EmbedderUnavailableError, ModelMismatchError, UsageError
from common.types import LookName, QueryEmbedding
from common.wire import decode_query
from storyhash.remote import RemoteService


class RemoteEmbedding:
    """Asks one embedder after the other, in the order of their addresses. Any thread may call it."""

    def __init__(self, urls: Sequence[str], *, timeout_seconds: float) -> None:
        self._embedders = [RemoteService(url, timeout_seconds=timeout_seconds) for url in urls]

    def close(self) -> None:
        """Let go of connections."""
        for embedder in self._embedders:
            embedder.close()

    def __call__(
        self, source: Path | str, name: str, model_id: str, look: LookName
    ) -> QueryEmbedding:
        """A file or an address as a query of this model, called `name`, looked at so closely.

        Raises VideoError for one that cannot be used, EmbedderUnavailableError when no embedder of the
        model answers.
        """
        reasons = []
        for embedder in self._embedders:
            try:
                return self._ask(embedder, source, name, model_id, look)
            except DependencyError as error:
                reasons.append(str(error))
            except UsageError as error:
                if error.code != ModelMismatchError.code:
                    raise
                reasons.append(f"{embedder.url}: {error}")
        why = "; ".join(reasons) or "none is named"
        raise EmbedderUnavailableError(
            f"no embedder of {model_id} answers ({why}); start one with `storyhash embed`, or name it in "
            "STORYHASH_SERVICE__EMBEDDER_URLS"
        )

    def _ask(
        self,
        embedder: RemoteService,
        source: Path | str,
        name: str,
        model_id: str,
        look: LookName,
    ) -> QueryEmbedding:
        params = {"name": name, "model_id": model_id, "look": look}
        if isinstance(source, str):
            answer = embedder.ask("POST", "/v1/embed", params=params, json={"uri": source})
        else:
            with source.open("rb") as file:
                answer = embedder.ask(
                    "POST",
                    "/v1/embed",
                    params=params,
                    content=file,
                    headers={"Content-Type": "application/octet-stream"},
                )
        return decode_query(answer.content)
