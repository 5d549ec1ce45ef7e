"""What the API needs of the process it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from common.types import LookName, QueryEmbedding
from searcher.index import LocalIndex
from searcher.matching.matcher import Matcher


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers now: one generation's index, and the matcher over it. `notices` go with answers."""

    generation: str
    index: LocalIndex
    matcher: Matcher

    @property
    def model_id(self) -> str:
        return self.index.manifest.model_id


class Catalogue(Protocol):
    """The index behind the API; what answers may be swapped between two calls."""

    def current(self) -> Answering:
        """What answers now. Raises NotReadyError while there is nothing to answer with."""
        ...

    def delete_video(self, video_id: str) -> bool:
        """Have a video forgotten for good, in every generation; False if it is unknown. When it
        returns no search finds it any more."""
        ...


# A video file (or an address) and how to call it in the answer, as an embedded query of the model with
# this id, looked at so closely. Raises VideoError for one that cannot be used, EmbedderUnavailableError.
EmbedQuery: TypeAlias = Callable[[Path | str, str, str, LookName], QueryEmbedding]
