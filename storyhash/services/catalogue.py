"""Every generation a searcher follows, and which of them answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import NotReadyError, UsageError
from searcher.api.base import Answering
from searcher.generations import current_generation, make_current
from storyhash.services.following import Follower

_log = logging.getLogger("storyhash.search")


class FollowedCatalogue:
    """The catalogue behind the API of the searcher over Kafka."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._current = current_generation(data_dir)
        self._followers: dict[str, Follower] = {}

    def add(self, follower: Follower) -> None:
        self._followers[follower.generation] = follower

    def __iter__(self) -> Iterator[Follower]:
        return iter(list(self._followers.values()))

    @property
    def current_name(self) -> str:
        return self._current

    def follower(self) -> Follower:
        """The one whose generation answers."""
        return self._followers[self._current]

    def current(self) -> Answering:
        answering = self.follower().answering
        if answering is None:
            reasons = "; ".join(self.follower().health.reasons().values())
            raise NotReadyError(f"the index is not there yet: {reasons or 'it is being opened'}")
        return answering

    def delete_video(self, video_id: str) -> bool:
        """In every generation, one after the other; asked again it does what is left."""
        self.current()
        known = [follower.delete_video(video_id) for follower in self]
        return any(known)

    def activate(self, name: str) -> None:
        """Have another generation answer, from the next query on; the one before stays and is followed.

        Raises UsageError for one that is not followed or not level with its log.
        """
        with self._lock:
            follower = self._followers.get(name)
            if follower is None:
                known = ", ".join(repr(one) for one in self._followers)
                raise UsageError(f"no generation {name!r} is followed here; there are {known}")
            reasons = follower.health.reasons()
            if reasons:
                raise UsageError(
                    f"generation {name!r} cannot answer yet: {'; '.join(reasons.values())}"
                )
            make_current(self._data_dir, name)
            _log.info("generation %r answers from now on, %r before", name, self._current)
            self._current = name

    def generations(self) -> Sequence[dict[str, Any]]:
        """Every one, as the API and the command line tell it."""
        return [self._told(follower) for follower in self]

    def _told(self, follower: Follower) -> dict[str, Any]:
        answering = follower.answering
        counts = answering.index.videos.counts() if answering else {}
        return {
            "generation": follower.generation,
            "answers": follower.generation == self._current,
            "model_id": answering.model_id if answering else None,
            "videos": counts.get("ready", 0),
            "vectors": answering.index.stats.live if answering else 0,
            "waiting_for": follower.health.reasons(),
        }
