"""The part of the catalogue behind the API that answers, once its index is open."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import NotReadyError
from common.types import OnDecoded
from searcher.serving import OpenedQuery, ServingIndex
from storyhash.query.local import LocalQueries


@dataclass(frozen=True, slots=True)
class Opened:
    """The objects that exist once the index is open."""

    answering: ServingIndex
    queries: LocalQueries


OpenedT = TypeVar("OpenedT", bound=Opened)


class OpenedCatalogue(Generic[OpenedT]):
    """Created before the index is open, so that health is available meanwhile."""

    def __init__(self) -> None:
        self._opened: OpenedT | None = None

    def open(self, opened: OpenedT) -> None:
        """Start to answer."""
        self._opened = opened

    @property
    def opened(self) -> OpenedT:
        """Raises NotReadyError until the index is open."""
        if self._opened is None:
            raise NotReadyError("the index is being opened; try again later")
        return self._opened

    def current(self) -> ServingIndex:
        return self.opened.answering

    def embed(
        self,
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> AbstractContextManager[OpenedQuery]:
        """Open a query; the only model here is that of the index."""
        return self.opened.queries.opened(source, name, cancellation, on_decoded)
