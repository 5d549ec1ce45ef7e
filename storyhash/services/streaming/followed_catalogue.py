"""The generations that a searcher follows, and the one that answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import NotReadyError, UsageError
from searcher.generations import (
    current_generation,
    drop_generation,
    known_generations,
    make_current,
    make_folder,
)
from searcher.matching.second_opinion import as_second_opinion
from searcher.serving import SecondIndex, ServingIndex
from searcher.storage.staged_videos import StagedVideo
from searcher.storage.video import Video
from searcher.video_index import VideoIndex
from storyhash.second_index import covered_by
from storyhash.services.background import ThreadWatch, end_all
from storyhash.services.streaming.index_follower import IndexFollower

_log = logging.getLogger("storyhash.search")
_UNSET = "change STORYHASH_SECOND_OPINION__GENERATION and restart first"


class FollowedCatalogue:
    """The catalogue behind the API of the searcher over Kafka."""

    def __init__(
        self,
        data_dir: Path,
        make: Callable[[str, Callable[[], bool]], IndexFollower],
        also: str = "",
        *,
        second: str | None = None,
        check: Callable[[str], None] = lambda name: None,
    ) -> None:
        """make: returns the follower of a generation, from its name and whether it answers now. also: a
        generation to follow although it has no folder here yet. second: the generation of the second
        opinion, None if there is none. check: raises an error if a generation's topics are wrong; only
        these and the answering generation are rejected for it. Raises UsageError if the answering
        generation is the second one too."""
        self._data_dir = data_dir
        self._make = make
        self._check = check
        self._watch: ThreadWatch | None = None
        self._lock = threading.Lock()
        self._current = current_generation(data_dir)
        self._followers: dict[str, IndexFollower] = {}
        self._second = second
        if second == self._current:
            raise UsageError(
                f"STORYHASH_SECOND_OPINION__GENERATION: generation {second!r} answers already; name "
                "another one"
            )
        wanted = {self._current, also, *([] if second is None else [second])}
        for name in sorted(wanted):
            check(name)
        for name in sorted({*wanted, *known_generations(data_dir)}):
            self._add(name)

    def __iter__(self) -> Iterator[IndexFollower]:
        return iter(list(self._followers.values()))

    def watched_by(self, watch: ThreadWatch) -> None:
        """Report the threads of all followers, also of later ones."""
        self._watch = watch
        for follower in self:
            watch.measure(follower)

    def follower(self) -> IndexFollower:
        """The follower of the generation that answers."""
        return self._followers[self._current]

    def second(self) -> IndexFollower | None:
        """The follower of the generation of the second opinion; None if there is none."""
        return None if self._second is None else self._followers[self._second]

    def reasons(self) -> dict[str, str]:
        """Why the catalogue does not answer, by condition; empty if it does."""
        reasons = dict(self.follower().health.reasons())
        second = self.second()
        if second is None:
            return reasons
        for condition, reason in second.health.reasons().items():
            reasons[f"second opinion: {condition}"] = reason
        opened, other = self.follower().opened, second.opened
        if opened is not None and other is not None and opened.model_id == other.model_id:
            reasons["second opinion"] = f"generation {self._second!r} has the same model"
        elif second.answering is None and not reasons:
            reasons["second opinion"] = "it is being opened"
        return reasons

    def current(self) -> ServingIndex:
        answering = self.answering()
        if answering is None:
            raise self._not_ready()
        return answering

    def answering(self) -> ServingIndex | None:
        """The generation that answers, with the second opinion; None before both are ready."""
        answering = self.follower().answering
        second = self.second()
        if answering is None or second is None:
            return answering
        if second.answering is None:
            return None
        index, matcher = second.answering.index, as_second_opinion(second.answering.matcher)
        covers = covered_by(answering.index.videos, index.videos)
        return replace(answering, second=SecondIndex(index, matcher, covers))

    def answering_index(self) -> VideoIndex | None:
        """The index of the generation that answers, None before it is open."""
        opened = self.follower().opened
        return None if opened is None else opened.index

    def caught_up(self) -> VideoIndex | None:
        """The index of the generation that answers when it has everything that was in its log at the
        start; None before."""
        behind = "log" in self.follower().health.reasons()
        return None if behind else self.answering_index()

    def answering_indexes(self) -> list[VideoIndex]:
        """The indexes of the generation that answers and of the second opinion, as far as they are
        open."""
        followers = [one for one in (self.follower(), self.second()) if one is not None]
        return [opened.index for one in followers if (opened := one.opened) is not None]

    def delete_video(self, video_id: str) -> bool:
        """Delete it in every generation, in order; after a failure, a second call does the rest."""
        self._check_open()
        known = [follower.delete_video(video_id) for follower in self]
        return any(known)

    def describe_video(self, video_id: str, changes: Mapping[str, Any]) -> Video | None:
        """Change bank, title or metadata of a video in every generation, in order; after a failure, a
        second call does the rest. Returns its row where it is answered from; None if it is unknown.
        Raises UsageError."""
        self._check_open()
        rows = {follower: follower.describe_video(video_id, changes) for follower in self}
        return rows[self.follower()]

    def staged(self, after: str, limit: int) -> tuple[list[StagedVideo], str | None]:
        """A page of the videos that are not complete yet."""
        return self._opened().index.staging.staged(after=after, limit=limit)

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        """Drop incomplete versions of a video, in the log, then here; returns them."""
        self._opened()
        return self.follower().drop_staged(video_id, version)

    def follow(self, name: str) -> dict[str, Any]:
        """Follow another generation from now on, also after a restart; a follower that died is restarted,
        and one that works is left alone. Raises errors of `check`, StorageError if its folder cannot be
        created; after an error nothing has changed."""
        with self._lock:
            before = self._followers.get(name)
            if before is not None and not before.ended:
                return self._to_json(before)
            self._check(name)
            make_folder(self._data_dir, name)
            follower = self._add(name)
            follower.start()
            _log.info("following generation %r", name)
        return self._to_json(follower)

    def activate(self, name: str) -> dict[str, Any]:
        """Let another generation answer from the next query on; the old one is still followed. First,
        videos that were deleted in the old one are deleted in the new one.

        Raises UsageError if it is not followed or has not caught up with its log.
        """
        with self._lock:
            follower = self._known(name)
            if name == self._second:
                raise UsageError(f"generation {name!r} gives the second opinion; {_UNSET}")
            reasons = follower.health.reasons()
            if reasons:
                raise UsageError(f"generation {name!r} is not ready: {_listed(reasons)}")
            before = self.follower().opened
            if before is not None:
                follower.delete(before.index.staging.deletions())
            make_current(self._data_dir, name)
            _log.info("generation %r is now active, %r before", name, self._current)
            self._current = name
        return self._to_json(follower)

    def drop(self, name: str) -> None:
        """Stop following a generation and delete its index, not its topics. Raises UsageError for the
        first generation and for the one that answers."""
        with self._lock:
            follower = self._known(name)
            if not name or name == self._current:
                raise UsageError(
                    f"generation {name!r} is active or is the first one; it cannot be dropped"
                )
            if name == self._second:
                raise UsageError(f"generation {name!r} gives the second opinion; {_UNSET}")
            del self._followers[name]
            if self._watch is not None:
                self._watch.forget(follower.name)
            end_all([follower])
            drop_generation(self._data_dir, name)
            _log.info("dropped generation %r", name)

    def generations(self) -> Sequence[dict[str, Any]]:
        """All generations, in the form of the API and the command line."""
        return [self._to_json(follower) for follower in self]

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

    def _check_open(self) -> None:
        """A change must be made in both generations that answer: nothing brings it in later."""
        self._opened()
        second = self.second()
        if second is not None and second.opened is None:
            raise self._not_ready()

    def _not_ready(self) -> NotReadyError:
        reasons = _listed(self.reasons())
        return NotReadyError(f"the index is not ready: {reasons or 'it is being opened'}")

    def _to_json(self, follower: IndexFollower) -> dict[str, Any]:
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


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{condition}: {reason}" for condition, reason in reasons.items())
