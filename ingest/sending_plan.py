"""Plans what to send, per video, from what was sent before and what the catalogue has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from common.types import CatalogEntry
from ingest.fingerprint import entry_fingerprint, same_cut, same_source

SentState: TypeAlias = Literal["begun", "sent", "searchable", "failed"]
SENT_COMPLETELY: frozenset[SentState] = frozenset({"sent", "searchable"})
"""The log has all of the video."""
WORTH_A_RETRY = frozenset({"timeout", "decoder_crashed", "fetch"})
"""Error codes whose cause may be gone the next time; other errors lie in the file itself."""


class SentVideo(NamedTuple):
    """The entry of a video in the ledger."""

    fingerprint: str
    version: int
    state: SentState
    error_code: str = ""
    error_message: str = ""


_NEVER_SENT = SentVideo("", 0, "failed")


@dataclass(frozen=True, slots=True)
class SentBefore:
    """What was sent before. on_topic: by video id, on the topic that is planned. newest: by video id, the
    newest version on any topic. complete: (video id, version) of all that was sent completely on another
    topic."""

    on_topic: Mapping[str, SentVideo]
    newest: Mapping[str, SentVideo]
    complete: Collection[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class SendTask:
    """A video to send, with its version. whole: the version was already sent completely on another topic,
    so a failure now must not revoke it."""

    entry: CatalogEntry
    version: int
    fingerprint: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """The state of a video in the catalogue: the searchable version, the version up to which it was
    deleted, and the newest incomplete version; 0 for none."""

    version: int = 0
    deleted: int = 0
    waiting: int = 0


@dataclass(slots=True)
class SendingPlan:
    """What to send. refused: videos that failed before and have not changed since, and videos whose id
    another video has, with code and message.

    Ids of reconciled videos: `lacking` were sent before but are missing, and are part of `work`;
    `under_way` are not there yet, but embedders still have segments to process; `deleted` are excluded
    because they were deleted and have not changed since; `stale` are excluded because the catalogue has
    a newer version, from another producer or another ledger.
    """

    work: list[SendTask] = field(default_factory=list)
    unchanged: int = 0
    lacking: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    refused: list[tuple[CatalogEntry, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Planning:
    """A plan that is being made. again, cut, level: see `ProducerLedger.plan`. now: version of what is
    sent anew. arrived: tasks of videos that are searchable in the version that was sent.
    """

    again: bool
    cut: str
    level: bool
    now: int
    before: SentBefore
    plan: SendingPlan = field(default_factory=SendingPlan)
    arrived: list[SendTask] = field(default_factory=list)

    def add(self, entry: CatalogEntry, state: CatalogueState | None) -> None:
        """Decide about one video. state: in the catalogue; None if the caller does not reconcile."""
        fingerprint = entry_fingerprint(entry, self.cut)
        sent = self.before.on_topic.get(entry.video_id)
        newest = self.before.newest.get(entry.video_id, _NEVER_SENT)
        last = newest.version
        # A video that changed, or was sent after the deletion, is a new one.
        is_deleted = state is not None and not state.version and 0 < state.deleted >= last
        stays_deleted = is_deleted and (not last or same_source(newest.fingerprint, fingerprint))
        if stays_deleted and not self.again:
            self.plan.deleted.append(entry.video_id)
            return
        if (
            sent is not None
            and not self.again
            and _is_same(sent, fingerprint)
            and self._add_unchanged(entry, fingerprint, sent, state)
        ):
            return
        # The log is deleting the segments of a failed version, so its keys are not used again.
        is_unchanged = newest.state != "failed" and _is_same(newest, fingerprint)
        # A new ledger does not know what another one sent.
        last_anywhere = max(last, 0 if state is None else state.version)
        keeps_version = is_unchanged and sent is None and not self.again
        version = last if keeps_version else max(self.now, last_anywhere + 1)
        self.plan.work.append(self._task(entry, version, fingerprint))

    def _add_unchanged(
        self,
        entry: CatalogEntry,
        fingerprint: str,
        sent: SentVideo,
        in_catalogue: CatalogueState | None,
    ) -> bool:
        """Decide about a video that was sent before in this form; False if it needs a new version."""
        task = self._task(entry, sent.version, fingerprint)
        if sent.state in SENT_COMPLETELY:
            if in_catalogue is None or in_catalogue.version == sent.version:
                self.plan.unchanged += 1
                self.arrived += [] if in_catalogue is None else [task]
            elif in_catalogue.version > sent.version:
                self.plan.stale.append(entry.video_id)
            elif self.level:
                self.plan.lacking.append(entry.video_id)
                self.plan.work.append(task)
            else:
                self.plan.under_way.append(entry.video_id)
            return True
        if sent.state == "failed" and sent.error_code not in WORTH_A_RETRY:
            self.plan.refused.append((entry, sent.error_code, sent.error_message))
            return True
        if sent.state == "begun":
            self.plan.work.append(task)
            return True
        return False

    def _task(self, entry: CatalogEntry, version: int, fingerprint: str) -> SendTask:
        whole = (entry.video_id, version) in self.before.complete
        return SendTask(entry, version, fingerprint, whole)


def _is_same(sent: SentVideo, fingerprint: str) -> bool:
    """Whether the record is of the same video with the same cut.

    An older version recorded no cut: what it sent completely stays valid; an incomplete video is sent
    again, because its cut is unknown.
    """
    if sent.fingerprint == fingerprint:
        return True
    cut = same_cut(sent.fingerprint, fingerprint)
    return same_source(sent.fingerprint, fingerprint) and (
        sent.state != "begun" if cut is None else cut
    )
