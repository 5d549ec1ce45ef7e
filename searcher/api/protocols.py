"""What the API needs of the process it runs in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import TakeLook
from searcher.local_index import LocalIndex
from searcher.matching.matcher import Matcher


@dataclass(frozen=True, slots=True)
class ServingIndex:
    """What answers now: one generation's index, and the matcher over it. `notices` go with answers."""

    generation: str
    index: LocalIndex
    matcher: Matcher

    @property
    def model_id(self) -> str:
        return self.index.manifest.model_id


class Catalogue(Protocol):
    """The index behind the API; what answers may be swapped between two calls."""

    def current(self) -> ServingIndex:
        """What answers now. Raises NotReadyError while there is nothing to answer with."""
        ...

    def delete_video(self, video_id: str) -> bool:
        """Have a video forgotten for good, in every generation; False if it is unknown. When it
        returns no search finds it any more."""
        ...


class EmbedQuery(Protocol):
    """How queries become vectors."""

    def __call__(
        self,
        source: Path | str,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> AbstractContextManager[TakeLook]:
        """A video file (or an address), called `name` in the answer, as a query of the model with this
        id that can be looked at for as long as the block lasts.

        Entering it or looking raises VideoError for one that cannot be used, EmbedderUnavailableError,
        and CancelledError.
        """
        ...
