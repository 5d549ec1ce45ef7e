"""The index that answers queries, and the interfaces behind the API."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import ModelMismatchError
from common.types import OnDecoded, TakePass
from searcher.matching.matcher import Matcher
from searcher.matching.second_opinion import Covers
from searcher.transform.pictures import Pictures
from searcher.video_index import VideoIndex


@dataclass(frozen=True, slots=True)
class SecondIndex:
    """The index of another profile over the same videos, and its matcher."""

    index: VideoIndex
    matcher: Matcher
    covers: Covers

    @property
    def model_id(self) -> str:
        return self.index.manifest.model_id


@dataclass(frozen=True, slots=True)
class ServingIndex:
    """The index and the matcher that answer now. second: asked where they find no copy."""

    generation: str
    index: VideoIndex
    matcher: Matcher
    second: SecondIndex | None = None

    @property
    def model_id(self) -> str:
        return self.index.manifest.model_id


class Catalogue(Protocol):
    """The index behind the API; what answers may be swapped between two calls."""

    def current(self) -> ServingIndex:
        """The index that answers now. Raises NotReadyError if there is none."""
        ...

    def delete_video(self, video_id: str) -> bool:
        """Delete a video in every generation; False if it is unknown. After the return no search finds
        it."""
        ...


def _no_other_model(model_id: str) -> TakePass:
    raise ModelMismatchError(f"the query cannot be embedded with {model_id} too")


@dataclass(frozen=True, slots=True)
class OpenedQuery:
    """A query that can be embedded. pictures: None where only its source can give them. for_model: the
    passes of the same query for the model of the second opinion, by its id; raises ModelMismatchError for
    another model."""

    take_pass: TakePass
    pictures: Pictures | None = None
    for_model: Callable[[str], TakePass] = _no_other_model


class EmbedQuery(Protocol):
    """Embeds queries."""

    def __call__(
        self,
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> AbstractContextManager[OpenedQuery]:
        """A context with a query from a video file or URL, for the model with this id; `name`: its name
        in the answer. on_decoded: called if the query is decoded in this process.

        Entering it and embedding a pass raise VideoError for an unusable video, EmbedderUnavailableError
        and CancelledError.
        """
        ...
