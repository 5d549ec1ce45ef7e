"""The state of a producer's videos in the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ingest.sending_plan import CatalogueState

# Asks the catalogue for `{"video_id", "version", "deleted_version", "waiting_version"}` of each id.
AskStates: TypeAlias = Callable[[Sequence[str]], list[dict[str, Any]]]
# What embedders have just finished is searchable by then.
_SETTLE_SECONDS = 5.0


def known_videos(
    ask: AskStates, video_ids: Sequence[str], stopping: threading.Event
) -> Mapping[str, CatalogueState]:
    """The state of each video; videos that are not searchable are checked again a few seconds later.
    Raises ServiceError."""
    known = _known(ask(video_ids))
    lacking = [video_id for video_id in video_ids if not known[video_id].version]
    if lacking and not stopping.wait(_SETTLE_SECONDS):
        known |= _known(ask(lacking))
    return known


def _known(states: Sequence[Mapping[str, Any]]) -> dict[str, CatalogueState]:
    return {
        str(one["video_id"]): CatalogueState(
            int(one["version"]), int(one["deleted_version"]), int(one["waiting_version"])
        )
        for one in states
    }
