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
import logging
import socket
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from common.atomic_write import make_private, private_folder
from common.errors import DataFolderError, StorageError
from common.messaging.wire import latest_version
from common.printable import printable
from common.sqlite import Database
from common.types import CatalogEntry
from common.uris import is_remote, public_uri
from ingest.catalogue import RejectedVideo, taken
from ingest.fingerprint import is_gone, same_content, same_size, source_fingerprint
from ingest.sending_plan import (
    SENT_COMPLETELY,
    CatalogueState,
    Planning,
    SendingPlan,
    SendTask,
    SentBefore,
    SentState,
    SentVideo,
)

_log = logging.getLogger("storyhash.ingest")

# The column `lane` is the topic.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  lane TEXT, video_id TEXT, fingerprint TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
  error_code TEXT NOT NULL, error_message TEXT NOT NULL, PRIMARY KEY (lane, video_id));
CREATE TABLE IF NOT EXISTS place (video_id TEXT PRIMARY KEY, uri TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS origin (number INTEGER PRIMARY KEY CHECK (number = 1), name TEXT NOT NULL);
"""


class ProducerLedger:
    """What a producer has sent, in a small database in its data folder. One process at a time."""

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
            self.database = Database(
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
        self.database.close()
        self._lock.close()

    @property
    def origin(self) -> str:
        """The producer's name, which it sends with each video: the host where the ledger was created, and
        12 random hexadecimal digits."""
        return self._origin

    def plan(
        self,
        topic: str,
        entries: Sequence[CatalogEntry],
        *,
        again: bool = False,
        cut: str = "",
        known: Mapping[str, CatalogueState] | None = None,
        level: bool = True,
        chosen: Collection[str] = (),
    ) -> SendingPlan:
        """Plan what to send on a topic, and record it as begun.

        again: also unchanged videos that were sent before. cut: `cut_of` of the settings; videos that
        were sent with another cut are sent again from the start, as a new version. known: the state of
        each video in the catalogue, to reconcile with it. level: whether embedders have processed
        everything that was sent, so that what the catalogue lacks is lost. chosen: ids that the user
        chose, which another file may take over.
        """
        now = self._moment()
        planning = Planning(again, cut, level, now, self._sent_before(topic, latest_version(now)))
        places = dict(self.database.query("SELECT video_id, uri FROM place"))
        for entry in entries:
            other = places.get(entry.video_id, entry.uri)
            refused = None if entry.video_id in chosen else _refusal(entry, other)
            if refused is not None:
                planning.plan.refused.append((entry, refused.code, refused.message))
                continue
            sent = planning.before.newest.get(entry.video_id)
            if sent is not None and other != entry.uri and entry.video_id not in chosen:
                _tell_replaced(entry, other, sent)
            state = None if known is None else known.get(entry.video_id, CatalogueState())
            planning.add(entry, state)
        self._note(
            topic,
            [
                *((task, "begun", "", "") for task in planning.plan.work),
                *((task, "searchable", "", "") for task in planning.arrived),
            ],
        )
        return planning.plan

    def _prepare(self) -> str:
        name = f"{socket.gethostname()[:64]}/{uuid.uuid4().hex[:12]}"
        try:
            with self.database.change() as execute:
                # Earlier releases had one state for `sent` and `searchable`.
                execute("UPDATE sent SET state = 'sent' WHERE state = 'done'")
                execute("INSERT OR IGNORE INTO origin VALUES (1, ?)", name)
            ((origin,),) = self.database.query("SELECT name FROM origin")
        except BaseException:
            self.database.close()
            raise
        return str(origin)

    def _sent_before(self, topic: str, latest: int) -> SentBefore:
        """What was sent before. A version after `latest`, from a time when this machine's clock was
        wrong, was rejected, so it counts as never sent."""
        rows = self.database.query(
            "SELECT lane, video_id, fingerprint, version, state, error_code, error_message "
            "FROM sent WHERE version <= ? ORDER BY version",
            latest,
        )
        on_topic: dict[str, SentVideo] = {}
        newest: dict[str, SentVideo] = {}
        complete: set[tuple[str, int]] = set()
        for row_topic, video_id, *columns in rows:
            sent = newest[video_id] = SentVideo(*columns)
            if row_topic == topic:
                on_topic[video_id] = sent
            elif sent.state in SENT_COMPLETELY:
                complete.add((video_id, sent.version))
        return SentBefore(on_topic, newest, complete)

    def done(self, topic: str, sent: Iterable[SendTask]) -> None:
        """Record that the log has acknowledged all of these videos."""
        self._note(topic, ((task, "sent", "", "") for task in sent))

    def failed(self, topic: str, task: SendTask, code: str, message: str) -> None:
        """Record that this video cannot be used."""
        self._note(topic, [(task, "failed", code, message)])

    def _note(self, topic: str, rows: Iterable[tuple[SendTask, SentState, str, str]]) -> None:
        with self.database.change() as execute:
            for task, state, code, message in rows:
                execute(
                    "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?)",
                    topic,
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


def _tell_replaced(entry: CatalogEntry, other: str, sent: SentVideo) -> None:
    """Warn if a file takes the id of another one that is gone: it may be on a disk that is not there."""
    if is_gone(other) and not same_size(source_fingerprint(entry.uri), sent.fingerprint):
        _log.warning(
            "%r: %s replaces the video that was sent from %s, which is gone; to keep both, give each a "
            "video_id of its own in a manifest",
            entry.video_id,
            printable(public_uri(entry.uri)),
            printable(other),
        )


def _refusal(entry: CatalogEntry, other: str) -> RejectedVideo | None:
    """Why a video cannot have its id: another file, which still exists, was sent under it. None if it
    can: it is this file, or the other one is gone or has the same content."""
    if other == entry.uri or is_remote(entry.uri) or is_gone(other):
        return None
    other_fingerprint = source_fingerprint(other)
    if same_content(entry.uri, source_fingerprint(entry.uri), other, other_fingerprint):
        return None
    return taken(entry, other)
