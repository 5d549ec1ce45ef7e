"""Compares the pictures of a report's matches, within a time budget. It finds the transform of each match
and verifies the doubtful ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import StorageError, VideoError
from common.tracing import step
from common.types import Match, UInt8Array
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Policies
from searcher.transform.description import transform_json
from searcher.transform.estimate import (
    NOTHING_SHARED,
    KeypointsOf,
    Moment,
    PictureComparison,
    compare,
)
from searcher.transform.picture_memory import MOST_TOGETHER, RememberedKeypoints, RememberedPictures
from searcher.transform.pictures import (
    QUERY_SIDES,
    REFERENCE_SIDE,
    PictureKind,
    Pictures,
    PictureSource,
    References,
    ThumbnailDecoder,
    Times,
    times_of,
)
from searcher.transform.verification import IMPROBABLE, is_doubtful, verified

Comparer: TypeAlias = Callable[[Sequence[Moment], KeypointsOf], PictureComparison]

MOST_COMPARED = 16
"""Matches of one query whose pictures are compared."""
MOST_IMPROBABLE = 3
"""How many of them may be improbable non-matches; see `IMPROBABLE`."""
_SETTING = "STORYHASH_MATCHING__TRANSFORM_SECONDS"
_NO_THUMBNAILS = "it has no thumbnails (STORYHASH_THUMBNAILS__ENABLED keeps those of new videos)"


class _TimeOverError(Exception):
    """The time budget of a query is used up."""


class TransformFinder:
    """Compares pictures of the query with pictures of the references it matches. Thread-safe.

    Nothing is read where no match is a copy, a match to review, or doubtful.
    """

    def __init__(
        self,
        source: PictureSource,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        only_doubtful: bool = False,
        comparer: Comparer = compare,
        thumbnails: ThumbnailDecoder | None = None,
    ) -> None:
        """seconds: the most time per report; 0 compares no picture. only_doubtful: no picture of other
        matches is compared, and they get no transform. comparer: `compare`, or one that remembers.
        thumbnails: opens those of videos without a file; None if they are not used."""
        self._source = source
        self._seconds = seconds
        self._clock = clock
        self._only_doubtful = only_doubtful
        self._comparer = comparer
        self._thumbnails = thumbnails

    def of_uri(self, uri: str) -> Pictures | None:
        """See `PictureSource.of_uri`."""
        return self._source.of_uri(uri)

    def of_video(self, video_id: str, references: References) -> Pictures | None:
        """The pictures of a video of the catalogue: of its file, otherwise its thumbnails; None if it has
        neither."""
        pictures = self._source.of_uri(references.uri_of(video_id))
        if pictures is not None or self._thumbnails is None:
            return pictures
        stored = references.thumbnails_of(video_id)
        return None if stored is None else self._thumbnails.of_thumbnails(stored)

    @step("compare pictures")
    def add_to(
        self,
        report: MatchReport,
        query: Pictures | None,
        references: References,
        policies: Policies,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """The report with the field `transform` in every copy and every match to review, after doubtful
        matches were verified.

        query: the query's pictures; None if it has none on this machine. references: thumbnails are
        used where a file is not on this machine. policies: decide again. Raises CancelledError.
        """
        end = self._clock() + self._seconds

        def check() -> None:
            cancellation.check()
            if self._clock() > end:
                raise _TimeOverError

        worth = _worth_comparing(report)
        runs = [run for run, _ in report.judged]
        best = [runs[number] for number in worth[:MOST_COMPARED]]
        chosen = [run for run in best if is_doubtful(run) or not self._only_doubtful]

        opened = partial(self.of_video, references=references)
        memory = _Memory.of(chosen, query, opened) if self._seconds else None
        for place, number in enumerate(worth):
            run = runs[number]
            comparison: PictureComparison | None = None
            if self._only_doubtful and not is_doubtful(run):
                reason = "only doubtful matches are compared"
            elif place >= MOST_COMPARED:
                reason = f"only {MOST_COMPARED} matches of a query are compared"
            else:
                comparison, reason = self._compared(run, memory, check)
            picture = None if comparison is None else comparison.transform
            made = transform_json(run.evidence.get("tempo"), picture, reason)
            run = replace(run, transform=made)
            if comparison is not None and memory is not None:
                policy = policies.of(run.bank)
                run = verified(run, comparison, policy, memory.kind_of(run))
                memory.forget(run)
            runs[number] = run
        return report.with_matches(runs, policies)

    def _compared(
        self, match: Match, memory: _Memory | None, check: Callable[[], None]
    ) -> tuple[PictureComparison | None, str]:
        """The comparison, None if the pictures were not compared; and why no transform is reported."""
        if memory is None:
            return None, f"pictures are not compared ({_SETTING} is 0)"
        if memory.query is None:
            return None, f"the query's file is not on this machine, and {_NO_THUMBNAILS}"
        reference = memory.references.get(match.video_id)
        if reference is None:
            return None, f"the reference's file is not on this machine, and {_NO_THUMBNAILS}"
        times = times_of(match)
        # An improbable match seldom shares a point with the first guesses; others cannot change that.
        first_guesses = [replace(one, reference_seconds=one.reference_seconds[:1]) for one in times]
        comparison = NOTHING_SHARED
        try:
            for some in (first_guesses, times) if match.probability < IMPROBABLE else (times,):
                check()
                moments = _moments(some, memory.query, reference, check)
                check()
                if not moments:
                    return None, "no moment of it is known at which both can be compared"
                comparison = self._comparer(moments, memory.keypoints)
                if not comparison.fitting:
                    break
        except _TimeOverError:
            return None, f"there was not enough time ({_SETTING})"
        except (VideoError, StorageError):
            return None, "the pictures cannot be read"
        return comparison, "" if comparison.transform else "no transform of the picture is certain"


def _worth_comparing(report: MatchReport) -> list[int]:
    """The numbers of the matches to compare: judged `copy` or `review`, or doubtful; of improbable
    doubtful ones only the best. Those that pictures may decide come first, since the time may not be
    enough for all, and improbable ones last."""
    judged = report.judged
    numbers, improbable = [], 0
    for number, (run, decision) in enumerate(judged):
        if decision == "no_match":
            improbable += run.probability < IMPROBABLE
            if not is_doubtful(run) or improbable > MOST_IMPROBABLE:
                continue
        numbers.append(number)

    def order(number: int) -> tuple[bool, bool]:
        run, _ = judged[number]
        return run.probability < IMPROBABLE, not is_doubtful(run)

    return sorted(numbers, key=order)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What one report reads: the pictures of the query and of the references, by video id. None, or
    missing, where there are none."""

    query: RememberedPictures | None
    references: dict[str, RememberedPictures]
    keypoints: RememberedKeypoints
    waiting: Counter[str]

    @classmethod
    def of(
        cls,
        matches: Sequence[Match],
        query: Pictures | None,
        opened: Callable[[str], Pictures | None],
    ) -> _Memory:
        """For the matches that are compared. opened: the pictures of a reference. Nothing is read yet."""
        waiting = Counter(match.video_id for match in matches)
        keypoints = RememberedKeypoints()
        if query is None:
            return cls(None, {}, keypoints, waiting)
        times: dict[str, list[Times]] = {match.video_id: [] for match in matches}
        for match in matches:
            times[match.video_id] += times_of(match)
        query_seconds = {one.query_seconds for some in times.values() for one in some}
        room = MOST_TOGETHER - len(query_seconds)
        references: dict[str, RememberedPictures] = {}
        for name, some in times.items():
            pictures = opened(name)
            wanted = {seconds for one in some for seconds in one.reference_seconds}
            together = waiting[name] > 1 and len(wanted) <= room
            room -= len(wanted) if together else 0
            if pictures is not None:
                references[name] = RememberedPictures(
                    pictures, REFERENCE_SIDE, wanted if together else ()
                )
        return cls(
            RememberedPictures(query, QUERY_SIDES[query.kind], query_seconds),
            *(references, keypoints, waiting),
        )

    def kind_of(self, match: Match) -> PictureKind:
        """Where the pictures come from that were compared for a match: thumbnails if one side's did."""
        sides = self.query, self.references.get(match.video_id)
        kinds = [one.kind for one in sides if one is not None]
        return "thumbnails" if "thumbnails" in kinds else "file"

    def forget(self, match: Match) -> None:
        """A match was compared: after the last one of a video, its pictures are let go."""
        self.waiting[match.video_id] -= 1
        if not self.waiting[match.video_id]:
            self.references.pop(match.video_id, None)


def _moments(
    times: Sequence[Times],
    query: RememberedPictures,
    reference: RememberedPictures,
    check: Callable[[], None],
) -> list[Moment]:
    """The pictures at these times; those that were read where the time is over."""
    try:
        query.at([one.query_seconds for one in times], check)
        reference.at([seconds for one in times for seconds in one.reference_seconds], check)
    except _TimeOverError:
        moments = list(_complete(times, query.known, reference.known))
        if not moments:
            raise
        return moments
    return list(_complete(times, query.known, reference.known))


def _complete(
    times: Sequence[Times], seen: Mapping[float, UInt8Array], known: Mapping[float, UInt8Array]
) -> Iterator[Moment]:
    for one in times:
        shown = [known[seconds] for seconds in one.reference_seconds if seconds in known]
        if shown and one.query_seconds in seen:
            yield Moment(seen[one.query_seconds], tuple(shown))
