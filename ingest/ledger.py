"""The ledger: what a producer has sent, so that an interrupted run resumes.

A version is a moment of the log's clock: the start of the run that first sent it. So versions grow
independent of this machine's clock, and a deletion, which is also a moment, covers every run that began
before it. An unchanged video keeps its version on every topic, so a backfill does not restore a video
that was deleted after it was first sent.

The log acknowledges what was sent. Only the catalogue knows whether it became searchable; to reconcile
both, `plan` gets the state of the catalogue.
"""

from __future__ import annotations

import fcntl
import socket
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from common.atomic_write import make_private, private_folder
from common.errors import DataFolderError, StorageError
from common.messaging.wire import latest_version
from common.sqlite import Database
from common.types import CatalogEntry
from common.uris import is_remote
from ingest.catalogue import RejectedVideo, taken
from ingest.fingerprint import (
    entry_fingerprint,
    same_content,
    same_cut,
    same_source,
    source_fingerprint,
)

SentState: TypeAlias = Literal["begun", "sent", "searchable", "failed"]
# Fingerprint, version, state, error code and message of a video on one lane.
_SentVideo: TypeAlias = tuple[str, int, SentState, str, str]
# Version, its fingerprint and state.
_NewestVersion: TypeAlias = tuple[int, str, SentState]
# A video's id and one version of it.
_Version: TypeAlias = tuple[str, int]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  lane TEXT, video_id TEXT, fingerprint TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
  error_code TEXT NOT NULL, error_message TEXT NOT NULL, PRIMARY KEY (lane, video_id));
CREATE TABLE IF NOT EXISTS place (video_id TEXT PRIMARY KEY, uri TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS origin (number INTEGER PRIMARY KEY CHECK (number = 1), name TEXT NOT NULL);
"""
# The log has all of it.
_SENT_COMPLETELY = ("sent", "searchable")
# What made these fail may be gone the next time; other errors lie in the file itself.
WORTH_A_RETRY = frozenset({"timeout", "decoder_crashed", "fetch"})


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
class _Planning:
    """A plan that is being made; the parameters are those of `ProducerLedger.plan`.

    sent_videos, newest, complete: see `ProducerLedger._sent_videos`. arrived: tasks of videos that are
    searchable in the version that was sent.
    """

    again: bool
    cut: str
    level: bool
    now: int
    sent_videos: Mapping[str, _SentVideo]
    newest: Mapping[str, _NewestVersion]
    complete: Collection[_Version]
    plan: SendingPlan = field(default_factory=SendingPlan)
    arrived: list[SendTask] = field(default_factory=list)

    def add(self, entry: CatalogEntry, state: CatalogueState | None) -> None:
        """Decide about one video. state: in the catalogue; None if the caller does not reconcile."""
        fingerprint = entry_fingerprint(entry, self.cut)
        sent = self.sent_videos.get(entry.video_id)
        last, last_fingerprint, last_state = self.newest.get(entry.video_id, (0, "", "failed"))
        # What has changed since, or was sent after the deletion, is another video to the log.
        is_deleted = state is not None and not state.version and 0 < state.deleted >= last
        stays_deleted = is_deleted and (not last or same_source(last_fingerprint, fingerprint))
        if stays_deleted and not self.again:
            self.plan.deleted.append(entry.video_id)
            return
        same = sent is not None and _is_same(sent[0], fingerprint, sent[2])
        if (
            sent is not None
            and same
            and not self.again
            and self._add_unchanged(entry, fingerprint, sent, state)
        ):
            return
        # What failed as a version is being taken out of the log under its keys.
        is_unchanged = (
            _is_same(last_fingerprint, fingerprint, last_state) and last_state != "failed"
        )
        # A ledger that is new may not know what another one sent.
        last_anywhere = max(last, 0 if state is None else state.version)
        keeps_version = is_unchanged and sent is None and not self.again
        version = last if keeps_version else max(self.now, last_anywhere + 1)
        self.plan.work.append(self._task(entry, version, fingerprint))

    def _add_unchanged(
        self,
        entry: CatalogEntry,
        fingerprint: str,
        sent: _SentVideo,
        in_catalogue: CatalogueState | None,
    ) -> bool:
        """Decide about a video that was sent before in this form; False if it needs a new version."""
        _, version, state, code, message = sent
        task = self._task(entry, version, fingerprint)
        if state in _SENT_COMPLETELY:
            if in_catalogue is None or in_catalogue.version == version:
                self.plan.unchanged += 1
                self.arrived += [] if in_catalogue is None else [task]
            elif in_catalogue.version > version:
                self.plan.stale.append(entry.video_id)
            elif self.level:
                self.plan.lacking.append(entry.video_id)
                self.plan.work.append(task)
            else:
                self.plan.under_way.append(entry.video_id)
            return True
        if state == "failed" and code not in WORTH_A_RETRY:
            self.plan.refused.append((entry, code, message))
            return True
        if state == "begun":
            self.plan.work.append(task)
            return True
        return False

    def _task(self, entry: CatalogEntry, version: int, fingerprint: str) -> SendTask:
        whole = (entry.video_id, version) in self.complete
        return SendTask(entry, version, fingerprint, whole)


class ProducerLedger:
    """A small database beside the producer; one process at a time."""

    def __init__(self, folder: Path, moment: Callable[[], int]) -> None:
        """Open or create it. moment: reads the log's clock.

        Raises DataFolderError while another producer uses it, StorageError.
        """
        self._moment = moment
        try:
            private_folder(folder)
            make_private(folder.glob("producer.*"))
            self._lock = (folder / "producer.lock").open("a")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise DataFolderError(
                    f"another `storyhash ingest` uses {folder}; wait for it, or choose another --data"
                ) from None
        except OSError as error:
            raise StorageError(
                f"{folder}: {error.strerror}; choose another folder with --data"
            ) from None
        try:
            self._db = Database(
                folder / "producer.sqlite",
                _SCHEMA,
                remedy="delete it: every video is then sent again, which is safe",
            )
            self._origin = self._prepare()
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Release it for another producer."""
        self._db.close()
        self._lock.close()

    @property
    def origin(self) -> str:
        """The producer's name, which it sends with each video: the host where the ledger was created, and
        12 random hexadecimal digits."""
        return self._origin

    def plan(
        self,
        lane: str,
        entries: Sequence[CatalogEntry],
        *,
        again: bool = False,
        cut: str = "",
        known: Mapping[str, CatalogueState] | None = None,
        level: bool = True,
        chosen: Collection[str] = (),
    ) -> SendingPlan:
        """What to send on a topic; it is recorded as begun before anything is sent.

        again: also unchanged videos that were sent before. cut: `cut_of` of the settings; videos that
        were sent with another cut are sent again from the start, as a new version. known: the state of
        each video in the catalogue, to reconcile with it. level: whether embedders have processed
        everything that was sent, so that what the catalogue lacks is lost. chosen: ids that the user
        chose, which another file may take over.
        """
        now = self._moment()
        planning = _Planning(again, cut, level, now, *self._sent_videos(lane, latest_version(now)))
        places = dict(self._db.query("SELECT video_id, uri FROM place"))
        for entry in entries:
            other = places.get(entry.video_id, entry.uri)
            refused = None if entry.video_id in chosen else _refusal(entry, other)
            if refused is not None:
                planning.plan.refused.append((entry, refused.code, refused.message))
                continue
            state = None if known is None else known.get(entry.video_id, CatalogueState())
            planning.add(entry, state)
        self._note(
            lane,
            [
                *((task, "begun", "", "") for task in planning.plan.work),
                *((task, "searchable", "", "") for task in planning.arrived),
            ],
        )
        return planning.plan

    def _prepare(self) -> str:
        name = f"{socket.gethostname()[:64]}/{uuid.uuid4().hex[:12]}"
        try:
            with self._db.change() as execute:
                # Before producers reconciled there was one word for both.
                execute("UPDATE sent SET state = 'sent' WHERE state = 'done'")
                execute("INSERT OR IGNORE INTO origin VALUES (1, ?)", name)
            ((origin,),) = self._db.query("SELECT name FROM origin")
        except BaseException:
            self._db.close()
            raise
        return str(origin)

    def _sent_videos(
        self, lane: str, latest: int
    ) -> tuple[dict[str, _SentVideo], dict[str, _NewestVersion], set[_Version]]:
        """By video, the record of this topic and the newest version on any topic; and everything that was
        completely sent on another topic. A version after `latest`, from a time when this machine's clock
        was wrong, was rejected, so it counts as never sent."""
        rows = self._db.query(
            "SELECT lane, video_id, fingerprint, version, state, error_code, error_message "
            "FROM sent WHERE version <= ? ORDER BY version",
            latest,
        )
        sent_videos: dict[str, _SentVideo] = {}
        newest: dict[str, _NewestVersion] = {}
        complete: set[_Version] = set()
        for row_lane, video_id, fingerprint, version, state, code, message in rows:
            newest[video_id] = (version, fingerprint, state)
            if row_lane == lane:
                sent_videos[video_id] = (fingerprint, version, state, code, message)
            elif state in _SENT_COMPLETELY:
                complete.add((video_id, version))
        return sent_videos, newest, complete

    def done(self, lane: str, sent: Iterable[SendTask]) -> None:
        """Record that the log has acknowledged all of these videos."""
        self._note(lane, ((task, "sent", "", "") for task in sent))

    def failed(self, lane: str, task: SendTask, code: str, message: str) -> None:
        """Record that this video cannot be used."""
        self._note(lane, [(task, "failed", code, message)])

    def _note(self, lane: str, rows: Iterable[tuple[SendTask, SentState, str, str]]) -> None:
        with self._db.change() as execute:
            for task, state, code, message in rows:
                execute(
                    "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?)",
                    lane,
                    task.entry.video_id,
                    task.fingerprint,
                    task.version,
                    state,
                    code,
                    message,
                )
                if not is_remote(task.entry.uri):
                    execute(
                        "INSERT OR REPLACE INTO place VALUES (?, ?)",
                        task.entry.video_id,
                        task.entry.uri,
                    )


def _refusal(entry: CatalogEntry, other: str) -> RejectedVideo | None:
    """Why a video cannot have its id: another file, which still exists, was sent under it. None if it
    can: it is this file, or the other one is gone or has the same content."""
    if other == entry.uri or is_remote(entry.uri) or not Path(other).exists():
        return None
    other_fingerprint = source_fingerprint(other)
    if same_content(entry.uri, source_fingerprint(entry.uri), other, other_fingerprint):
        return None
    return taken(entry, other)


def _is_same(before: str, fingerprint: str, state: SentState) -> bool:
    """Whether the record is of the same video with the same cut.

    An older version recorded no cut: what it sent completely stays valid; an incomplete video is sent
    again, because its cut is unknown.
    """
    if before == fingerprint:
        return True
    cut = same_cut(before, fingerprint)
    return same_source(before, fingerprint) and (state != "begun" if cut is None else cut)
