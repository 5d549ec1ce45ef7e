"""Compares the pictures of a report's matches, within a time budget: tells the transform of each match,
and verifies the doubtful ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import StorageError, VideoError
from common.tracing import step
from common.types import Match, UInt8Array
from searcher.matching.match_report import MatchReport
from searcher.matching.policy import Policies
from searcher.transform.description import transform_json
from searcher.transform.estimate import NOTHING_SHARED, Moment, PictureComparison, compare
from searcher.transform.pictures import (
    QUERY_SIDE,
    REFERENCE_SIDE,
    Pictures,
    PictureSource,
    Times,
    times_of,
)
from searcher.transform.verification import is_doubtful, verified

Comparer: TypeAlias = Callable[[Sequence[Moment]], PictureComparison]

MOST_COMPARED = 8
"""Matches of one query whose pictures are compared: the best ones."""
_SETTING = "STORYHASH_MATCHING__TRANSFORM_SECONDS"


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
    ) -> None:
        """seconds: the most time per report; 0 compares no picture. only_doubtful: no picture of other
        matches is compared, and they get no transform. comparer: `compare`, or one that remembers."""
        self._source = source
        self._seconds = seconds
        self._clock = clock
        self._only_doubtful = only_doubtful
        self._comparer = comparer

    def of_uri(self, uri: str) -> Pictures | None:
        """See `PictureSource.of_uri`."""
        return self._source.of_uri(uri)

    @step("compare pictures")
    def add_to(
        self,
        report: MatchReport,
        query: Pictures | None,
        uri_of: Callable[[str], str],
        policies: Policies,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """The report with the field `transform` in every copy and every match to review, after doubtful
        matches were verified.

        query: the query's pictures; None if its file is not on this machine. uri_of: the URI of a
        reference. policies: decide again. Raises CancelledError.
        """
        end = self._clock() + self._seconds

        def check() -> None:
            cancellation.check()
            if self._clock() > end:
                raise _TimeOverError

        compared = 0
        runs: list[Match] = []
        for run, decision in report.judged:
            if decision == "no_match" and not is_doubtful(run):
                runs.append(run)
                continue
            comparison: PictureComparison | None = None
            if self._only_doubtful and not is_doubtful(run):
                reason = "only doubtful matches are compared"
            elif compared >= MOST_COMPARED:
                reason = f"only the best {MOST_COMPARED} matches are compared"
            else:
                comparison, reason = self._compared(run, query, uri_of, check)
            compared += 1
            picture = None if comparison is None else comparison.transform
            made = transform_json(run.evidence.get("tempo"), picture, reason)
            run = replace(run, transform=made)
            runs.append(run if comparison is None else verified(run, comparison))
        return report.with_matches(runs, policies)

    def _compared(
        self,
        match: Match,
        query: Pictures | None,
        uri_of: Callable[[str], str],
        check: Callable[[], None],
    ) -> tuple[PictureComparison | None, str]:
        """The comparison, None if the pictures were not compared; and why no transform is told."""
        if not self._seconds:
            return None, f"pictures are not compared ({_SETTING} is 0)"
        if query is None:
            return None, "the query's file is not on this machine"
        reference = self._source.of_uri(uri_of(match.video_id))
        if reference is None:
            return None, "the reference's file is not on this machine"
        try:
            check()
            moments = _moments(times_of(match), query, reference, check)
            check()
        except _TimeOverError:
            return None, f"there was not enough time ({_SETTING})"
        except (VideoError, StorageError):
            return None, "the pictures cannot be read"
        comparison = self._comparer(moments) if moments else NOTHING_SHARED
        return comparison, "" if comparison.transform else "no transform of the picture is certain"


def _moments(
    times: Sequence[Times], query: Pictures, reference: Pictures, check: Callable[[], None]
) -> list[Moment]:
    """The pictures at these times; those that were read where the time is over."""
    wanted = sorted({seconds for one in times for seconds in one.reference_seconds})
    seen = list(query.at([one.query_seconds for one in times], QUERY_SIDE, check))
    known: dict[float, UInt8Array] = {}
    try:
        for picture in reference.at(wanted, REFERENCE_SIDE, check):
            known[wanted[len(known)]] = picture
    except _TimeOverError:
        if not known:
            raise
    return list(_complete(times, seen, known))


def _complete(
    times: Sequence[Times], seen: Sequence[UInt8Array], known: dict[float, UInt8Array]
) -> Iterator[Moment]:
    for one, picture in zip(times, seen, strict=True):
        shown = [known[seconds] for seconds in one.reference_seconds if seconds in known]
        if shown:
            yield Moment(picture, tuple(shown))
