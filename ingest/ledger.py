"""What a producer has sent, so that a run that was stopped or killed goes on where it was.

A version is a moment of the log's clock: that at which the run began that first meant to send it. So
versions grow whatever this machine's clock says, and a deletion, which is a moment too, covers every run
that began before it. What has not changed keeps its version on every lane, so that a backfill brings back
nothing that was deleted since it was first sent.

What was sent is acknowledged by the log. Whether it became searchable only the catalogue knows: `plan` is
told what is known of it when producer and catalogue are reconciled.
"""

from __future__ import annotations

import fcntl
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from common.atomic_write import make_private, private_folder
from common.errors import DataFolderError, StorageError
from common.messaging.wire import latest_version
from common.sqlite import Database
from common.types import CatalogEntry
from ingest.fingerprint import entry_fingerprint, same_cut, same_source

SentState: TypeAlias = Literal["begun", "sent", "searchable", "failed"]
# Fingerprint, version, state, error code and message of a video on one lane.
_Held: TypeAlias = tuple[str, int, SentState, str, str]
# Version, its fingerprint and state.
_Newest: TypeAlias = tuple[int, str, SentState]
# A video's id and one version of it.
_Version: TypeAlias = tuple[str, int]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  lane TEXT, video_id TEXT, fingerprint TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
  error_code TEXT NOT NULL, error_message TEXT NOT NULL, PRIMARY KEY (lane, video_id));
CREATE TABLE IF NOT EXISTS origin (number INTEGER PRIMARY KEY CHECK (number = 1), name TEXT NOT NULL);
"""
# The log has all of it.
_OUT = ("sent", "searchable")
# What made these fail may be gone the next time; other errors lie in the file itself.
WORTH_A_RETRY = frozenset({"timeout", "decoder_crashed", "fetch"})


@dataclass(frozen=True, slots=True)
class SendTask:
    """A video to send, as a version. `whole`: that version is out already, on another lane; failing to
    send it once more takes nothing back."""

    entry: CatalogEntry
    version: int
    fingerprint: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """What the catalogue knows of a video: the version that is searchable and the one up to which it was
    deleted, 0 for none, and the newest of which something has come without being whole yet."""

    version: int = 0
    deleted: int = 0
    waiting: int = 0


@dataclass(slots=True)
class SendingPlan:
    """`refused`: failed before and have not changed since, with code and message.

    Of the videos that were reconciled, by id: `searchable` are in the catalogue; `lacking` were sent
    before but are not, and are part of `work`; `under_way` are not there yet, while embedders still have
    segments to take; `deleted` are left out because they were deleted and have not changed since; `stale`
    are left out because the catalogue has a newer version, from another producer or another ledger.
    """

    work: list[SendTask] = field(default_factory=list)
    unchanged: int = 0
    searchable: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    refused: list[tuple[CatalogEntry, str, str]] = field(default_factory=list)


class ProducerLedger:
    """A small database beside the producer; one process at a time."""

    def __init__(self, folder: Path, moment: Callable[[], int]) -> None:
        """Open it, or make it. moment: asks the log's clock.

        Raises DataFolderError while another producer has it, StorageError.
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
        """Let another producer have it."""
        self._db.close()
        self._lock.close()

    @property
    def origin(self) -> str:
        """This producer's name, which it tells with each video: the host where the ledger was made, and
        12 hex digits that no other ledger has."""
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
    ) -> SendingPlan:
        """What is to be sent on a lane, noted as begun before anything of it is.

        again: also what was sent before and has not changed. cut: how segments are cut, `cut_of` the
        settings; what was sent, or begun, cut another way is sent again from the start, as a new version.
        known: what the catalogue knows of each video, to reconcile with it. level: whether embedders have
        taken all that was sent, so that what the catalogue lacks by then is lost.
        """
        plan = SendingPlan()
        now = self._moment()
        held, newest, whole = self._held(lane, latest_version(now))
        arrived: list[SendTask] = []
        for entry in entries:
            fingerprint = entry_fingerprint(entry, cut)
            before = held.get(entry.video_id)
            there = None if known is None else known.get(entry.video_id, CatalogueState())
            last, last_fingerprint, last_state = newest.get(entry.video_id, (0, "", "failed"))
            # What has changed since, or was sent after the deletion, is another film to the log.
            gone = there is not None and not there.version and 0 < there.deleted >= last
            if gone and not again and (not last or same_source(last_fingerprint, fingerprint)):
                plan.deleted.append(entry.video_id)
                continue
            same = before is not None and _is_same(before[0], fingerprint, before[2])
            if before is not None and same and not again:
                _, version, state, code, message = before
                if state in _OUT:
                    one = _sending(entry, version, fingerprint, whole)
                    if there is None or there.version == version:
                        plan.unchanged += 1
                        arrived += [] if there is None else [one]
                    elif there.version > version:
                        plan.stale.append(entry.video_id)
                    elif level:
                        plan.lacking.append(entry.video_id)
                        plan.work.append(one)
                    else:
                        plan.under_way.append(entry.video_id)
                    continue
                if state == "failed" and code not in WORTH_A_RETRY:
                    plan.refused.append((entry, code, message))
                    continue
                if state == "begun":
                    plan.work.append(_sending(entry, version, fingerprint, whole))
                    continue
            # What failed as a version is being taken out of the log under its keys.
            kept = _is_same(last_fingerprint, fingerprint, last_state) and last_state != "failed"
            # A ledger that is new may not know what another one sent.
            last_anywhere = max(last, 0 if there is None else there.version)
            version = last if kept and before is None and not again else max(now, last_anywhere + 1)
            plan.work.append(_sending(entry, version, fingerprint, whole))
        plan.searchable = [one.entry.video_id for one in arrived]
        self._note(
            lane,
            [
                *((one, "begun", "", "") for one in plan.work),
                *((one, "searchable", "", "") for one in arrived),
            ],
        )
        return plan

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

    def _held(
        self, lane: str, latest: int
    ) -> tuple[dict[str, _Held], dict[str, _Newest], set[_Version]]:
        """By video, what is noted on this lane, and the newest version on any; and all that is out whole
        on another lane. What was sent as a version after `latest`, while this machine's clock was wrong,
        was refused: it counts as never sent."""
        rows = self._db.query(
            "SELECT lane, video_id, fingerprint, version, state, error_code, error_message "
            "FROM sent WHERE version <= ? ORDER BY version",
            latest,
        )
        held: dict[str, _Held] = {}
        newest: dict[str, _Newest] = {}
        whole: set[_Version] = set()
        for where, video_id, fingerprint, version, state, code, message in rows:
            newest[video_id] = (version, fingerprint, state)
            if where == lane:
                held[video_id] = (fingerprint, version, state, code, message)
            elif state in _OUT:
                whole.add((video_id, version))
        return held, newest, whole

    def done(self, lane: str, sent: Iterable[SendTask]) -> None:
        """These are acknowledged by the log, whole."""
        self._note(lane, ((one, "sent", "", "") for one in sent))

    def failed(self, lane: str, one: SendTask, code: str, message: str) -> None:
        """This one cannot be used."""
        self._note(lane, [(one, "failed", code, message)])

    def _note(self, lane: str, rows: Iterable[tuple[SendTask, SentState, str, str]]) -> None:
        with self._db.change() as execute:
            for one, state, code, message in rows:
                execute(
                    "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(lane, one.entry.video_id, one.fingerprint, one.version, state, code, message),
                )


def _is_same(held: str, fingerprint: str, state: SentState) -> bool:
    """Whether what is noted is the same video, cut the same way.

    An older version noted no cut: what it sent whole stays as it is; what it left half sent is not gone
    on with, as nobody knows how it was cut.
    """
    if held == fingerprint:
        return True
    cut = same_cut(held, fingerprint)
    return same_source(held, fingerprint) and (state != "begun" if cut is None else cut)


def _sending(entry: CatalogEntry, version: int, fingerprint: str, whole: set[_Version]) -> SendTask:
    return SendTask(entry, version, fingerprint, (entry.video_id, version) in whole)
