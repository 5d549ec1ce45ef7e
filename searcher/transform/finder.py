"""Finds the transform of each match of a report, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import StorageError, VideoError
from common.tracing import step
from common.types import Match, UInt8Array
from searcher.matching.match_report import MatchReport
from searcher.transform.description import transform_json
from searcher.transform.estimate import Moment, PictureTransform, estimate
from searcher.transform.pictures import (
    QUERY_SIDE,
    REFERENCE_SIDE,
    Pictures,
    PictureSource,
    Times,
    times_of,
)

MOST_COMPARED = 5
"""Matches of one query whose pictures are compared: the best ones."""
_SETTING = "STORYHASH_MATCHING__TRANSFORM_SECONDS"


class _TimeOverError(Exception):
    """The time budget of a query is used up."""


class TransformFinder:
    """Compares pictures of the query with pictures of the references it matches. Thread-safe.

    Nothing is read where no match is a copy or a match to review.
    """

    def __init__(
        self, source: PictureSource, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """seconds: the most time per query; 0 compares no picture."""
        self._source = source
        self._seconds = seconds
        self._clock = clock

    def of_uri(self, uri: str) -> Pictures | None:
        """See `PictureSource.of_uri`."""
        return self._source.of_uri(uri)

    @step("compare pictures")
    def add_to(
        self,
        report: MatchReport,
        query: Pictures | None,
        uri_of: Callable[[str], str],
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """The report with the field `transform` in every copy and every match to review.

        query: the query's pictures; None if its file is not on this machine. uri_of: the URI of a
        reference. Raises CancelledError.
        """
        end = self._clock() + self._seconds

        def check() -> None:
            cancellation.check()
            if self._clock() > end:
                raise _TimeOverError

        compared = 0
        matches: list[Match] = []
        for match, decision in zip(report.matches, report.decisions, strict=True):
            if decision == "no_match":
                matches.append(match)
                continue
            picture: PictureTransform | None = None
            if compared >= MOST_COMPARED:
                reason = f"only the best {MOST_COMPARED} matches are compared"
            else:
                picture, reason = self._compared(match, query, uri_of, check)
                compared += 1
            speed = match.evidence.get("tempo")
            matches.append(replace(match, transform=transform_json(speed, picture, reason)))
        return replace(report, matches=tuple(matches))

    def _compared(
        self,
        match: Match,
        query: Pictures | None,
        uri_of: Callable[[str], str],
        check: Callable[[], None],
    ) -> tuple[PictureTransform | None, str]:
        """What was done to the picture, or why nothing is said."""
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
        picture = estimate(moments) if moments else None
        return picture, "" if picture else "no transform of the picture is certain"


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
