"""Every generation a searcher follows, and which of them answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import NotReadyError, UsageError
from searcher.api.protocols import ServingIndex
from searcher.generations import (
    current_generation,
    drop_generation,
    known_generations,
    make_current,
    make_folder,
)
from searcher.local_index import LocalIndex
from searcher.storage.staged_videos import StagedVideo
from storyhash.services.background import ThreadWatch, end_all
from storyhash.services.index_follower import IndexFollower

_log = logging.getLogger("storyhash.search")


class FollowedCatalogue:
    """The catalogue behind the API of the searcher over Kafka."""

    def __init__(
        self,
        data_dir: Path,
        make: Callable[[str, Callable[[], bool]], IndexFollower],
        also: str = "",
        *,
        check: Callable[[str], None] = lambda name: None,
    ) -> None:
        """make: a follower of a generation by its name, and whether that one answers now. also: a
        generation that is to be followed though there is nothing of it here yet. check: raises what is
        wrong with a generation's topics; only what was asked for, or answers, is refused for it."""
        self._data_dir = data_dir
        self._make = make
        self._check = check
        self._watch: ThreadWatch | None = None
        self._lock = threading.Lock()
        self._current = current_generation(data_dir)
        self._followers: dict[str, IndexFollower] = {}
        for name in sorted({self._current, also}):
            check(name)
        for name in sorted({self._current, also, *known_generations(data_dir)}):
            self._add(name)

    def __iter__(self) -> Iterator[IndexFollower]:
        return iter(list(self._followers.values()))

    def watched_by(self, watch: ThreadWatch) -> None:
        """Make the threads of all followers watched, also of those to come."""
        self._watch = watch
        for follower in self:
            watch.measure(follower)

    def follower(self) -> IndexFollower:
        """The one whose generation answers."""
        return self._followers[self._current]

    def current(self) -> ServingIndex:
        answering = self.follower().answering
        if answering is None:
            raise self._not_ready()
        return answering

    def answering_index(self) -> LocalIndex | None:
        """The index of the generation that answers, once it is open."""
        opened = self.follower().opened
        return None if opened is None else opened.index

    def merge_trouble(self) -> str:
        """See `Shard.merge_trouble`, of the generation that answers."""
        index = self.answering_index()
        return "" if index is None else index.merge_trouble

    def delete_video(self, video_id: str) -> bool:
        """In every generation, one after the other; asked again it does what is left."""
        self._opened()
        known = [follower.delete_video(video_id) for follower in self]
        return any(known)

    def staged(self, after: str, limit: int) -> tuple[list[StagedVideo], str | None]:
        """A page of the videos that are not complete yet."""
        return self._opened().index.staging.staged(after=after, limit=limit)

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        """Give up versions of a video that are not complete, in the log, then here; which ones."""
        self._opened()
        return self.follower().drop_staged(video_id, version)

    def follow(self, name: str) -> dict[str, Any]:
        """Follow a further generation from now on, also after a restart; one whose follower died is
        tried again. Raises UsageError for one that is followed already, what `check` raises, StorageError
        where its folder cannot be made; then nothing has changed."""
        with self._lock:
            before = self._followers.get(name)
            if before is not None and not before.ended:
                raise UsageError(f"generation {name!r} is already followed")
            self._check(name)
            make_folder(self._data_dir, name)
            follower = self._add(name)
            follower.start()
            _log.info("following generation %r", name)
        return self._told(follower)

    def activate(self, name: str) -> dict[str, Any]:
        """Have another generation answer, from the next query on; the one before stays and is followed.
        What was deleted in the one before is deleted in it first.

        Raises UsageError for one that is not followed or not level with its log.
        """
        with self._lock:
            follower = self._known(name)
            reasons = follower.health.reasons()
            if reasons:
                raise UsageError(f"generation {name!r} is not ready: {'; '.join(reasons.values())}")
            before = self.follower().opened
            if before is not None:
                follower.delete(before.index.staging.deletions())
            make_current(self._data_dir, name)
            _log.info("generation %r is now active, %r before", name, self._current)
            self._current = name
        return self._told(follower)

    def drop(self, name: str) -> None:
        """Follow a generation no more and delete its index. Its topics stay. Raises UsageError for the
        first, and for the one that answers."""
        with self._lock:
            follower = self._known(name)
            if not name or name == self._current:
                raise UsageError(
                    f"generation {name!r} is active or is the first one; it cannot be dropped"
                )
            del self._followers[name]
            if self._watch is not None:
                self._watch.forget(follower.name)
            end_all([follower])
            drop_generation(self._data_dir, name)
            _log.info("dropped generation %r", name)

    def generations(self) -> Sequence[dict[str, Any]]:
        """Every one, as the API and the command line tell it."""
        return [self._told(follower) for follower in self]

    def _add(self, name: str) -> IndexFollower:
        follower = self._make(name, lambda: name == self._current)
        self._followers[name] = follower
        if self._watch is not None:
            self._watch.measure(follower)
        return follower

    def _known(self, name: str) -> IndexFollower:
        follower = self._followers.get(name)
        if follower is None:
            known = ", ".join(repr(one) for one in self._followers)
            raise UsageError(f"generation {name!r} is not followed here; expected one of {known}")
        return follower

    def _opened(self) -> ServingIndex:
        opened = self.follower().opened
        if opened is None:
            raise self._not_ready()
        return opened

    def _not_ready(self) -> NotReadyError:
        reasons = "; ".join(self.follower().health.reasons().values())
        return NotReadyError(f"the index is not ready: {reasons or 'it is being opened'}")

    def _told(self, follower: IndexFollower) -> dict[str, Any]:
        opened = follower.opened
        counts = opened.index.videos.counts() if opened else {}
        return {
            "generation": follower.generation,
            "answers": follower.generation == self._current,
            "model_id": opened.model_id if opened else None,
            "videos": counts.get("ready", 0),
            "vectors": opened.index.stats.live if opened else 0,
            "waiting_for": follower.health.reasons(),
            "error": follower.trouble or None,
        }
