"""What people have set, applied to pairs of videos of the catalogue. A pair has no direction, so an
exception or a verdict counts from either side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from common.settings import Settings
from common.state.curation import NOTHING, Curation
from common.state.exceptions import StoredException
from common.state.video_names import query_of_video
from searcher.curation.rules import Negative, rule
from searcher.curation.scope_and_policy import filter_of, policies_under
from searcher.decisions import Decision
from searcher.index.state import Filter
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Policies
from searcher.storage.video import Video
from storyhash.open_state import has_state, open_state

# The exceptions of these references, by video id.
ExceptionsOf: TypeAlias = Callable[[Collection[str]], Mapping[str, list[StoredException]]]
# The other videos of pairs with this video that people judged "not a copy".
NotCopiesOf: TypeAlias = Callable[[str], Collection[str]]


@dataclass(frozen=True, slots=True)
class PairRules:
    """All that people have set, at one moment. The default: nothing."""

    curation: Curation = NOTHING
    exceptions: ExceptionsOf = lambda _: {}
    not_copies: NotCopiesOf = lambda _: ()

    @property
    def only(self) -> Filter:
        """What a comparison may find: nothing that is disabled."""
        return filter_of(self.curation, None)

    def policies(self, policies: Policies) -> Policies:
        """The policies with what is set about banks."""
        return policies_under(policies, self.curation.banks)

    def listed(self, video: Video) -> bool:
        """Whether a video may be in a group: it is not disabled, and not of a negative bank."""
        without, banks = self.only.exclude_videos, self.only.exclude_banks
        hidden = video.video_id in without or video.bank in banks
        return not hidden and video.bank not in self.curation.negative_banks

    def applied(self, report: MatchReport, video: Video, policies: Policies) -> MatchReport:
        """The report of a video of the catalogue under the rules. Raises StateError."""
        numbers: dict[str, list[int]] = {}
        for number, match in enumerate(report.matches):
            numbers.setdefault(match.video_id, []).append(number)
        if not numbers:
            return report
        exceptions = self.exceptions([video.video_id, *numbers])
        own = [one for one in exceptions.get(video.video_id, ()) if one.bank == video.bank]
        pairs = {one.fingerprint for one in own if one.kind == "pair"}
        rejected = self.not_copies(video.video_id)
        negatives = [*_excepted(own, video), *self._negative_ranges(report)]
        decisions: list[Decision] = list(report.decisions)
        for other, some in numbers.items():
            if other in rejected or query_of_video(other) in pairs:
                ruled: list[str] = ["no_match"] * len(some)
            else:
                bank = report.matches[some[0]].bank
                ruled = rule(
                    [_range(report, number) for number in some],
                    exceptions.get(other, []),
                    fingerprint=query_of_video(video.video_id),
                    bank=bank,
                    policy=policies.of(bank),
                    query_seconds=report.duration_seconds,
                    negatives=[one for one in negatives if one.video_id != other],
                ).decisions
            for number, decision in zip(some, ruled, strict=True):
                decisions[number] = cast(Decision, decision)
        return replace(report, decisions=tuple(decisions))

    def _negative_ranges(self, report: MatchReport) -> Iterator[Negative]:
        """The ranges that show a video of a negative bank."""
        banks = self.curation.negative_banks
        for match, decision in zip(report.matches, report.decisions, strict=True):
            if match.bank in banks and decision == "copy":
                start, end = match.query_start_seconds, match.query_end_seconds
                yield Negative(match.video_id, match.bank, start, end)


NO_RULES = PairRules()


@contextmanager
def opened_pair_rules(settings: Settings) -> Iterator[PairRules]:
    """What people have set about the videos of a data folder; nothing without a state database. Raises
    what `open_state` raises."""
    if not has_state(settings):
        yield NO_RULES
        return
    with open_state(settings) as state:
        yield PairRules(
            state.curation.current, state.exceptions.of_references, state.matches.not_copies_of
        )


def _excepted(own: Collection[StoredException], video: Video) -> Iterator[Negative]:
    """The excepted ranges of the video that is compared."""
    for one in own:
        if one.start_seconds is not None and one.end_seconds is not None:
            yield Negative(video.video_id, video.bank, one.start_seconds, one.end_seconds)


def _range(report: MatchReport, number: int) -> dict[str, object]:
    match = report.matches[number]
    return {
        "decision": report.decisions[number],
        "query_start_seconds": match.query_start_seconds,
        "query_end_seconds": match.query_end_seconds,
        "ref_start_seconds": match.ref_start_seconds,
        "ref_end_seconds": match.ref_end_seconds,
    }
