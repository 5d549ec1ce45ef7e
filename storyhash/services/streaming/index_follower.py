"""Keeps one generation of the index up to date with its log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from common.errors import DependencyError, StoryHashError
from common.http.errors import not_here
from common.http.health import Health
from common.messaging.log_model import log_model
from common.messaging.priority_consumers import PriorityConsumer
from common.messaging.topics import TopicNames
from common.messaging.transport import LogConsumer, Publisher, Transport
from common.messaging.worker import Worker
from common.metrics import Metrics
from common.settings import Settings
from common.work_in_progress import WorkInProgress
from searcher.generations import generation_folder
from searcher.log.consumer import IndexHandler
from searcher.log.offset_consumer import OffsetConsumer
from searcher.matching.matcher import Matcher
from searcher.mirror.factory import mirrored_model
from searcher.opening import open_reader, open_writer, stored_manifest
from searcher.serving import ServingIndex
from searcher.storage.data_dir import FolderManifest, read_manifest
from searcher.storage.video import Video
from searcher.video_index import VideoIndex
from storyhash.profiles import PROFILES
from storyhash.query.matchers import matcher_over
from storyhash.services.background import Background
from storyhash.services.streaming.log_editor import LogEditor

_log = logging.getLogger("storyhash.search")
# Longer than any step takes; opening an index without a snapshot is the longest.
_STUCK_SECONDS = 1800.0
# Seconds between two looks for what is not there yet.
_WAIT_SECONDS = 1.0

Found = TypeVar("Found")


class IndexFollower(Background):
    """Finds the log's model, opens the index and reads the log, in a thread of its own."""

    def __init__(
        self,
        generation: str,
        settings: Settings,
        transport: Transport,
        metrics: Metrics,
        *,
        match_new_videos: Callable[[], bool],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """check: raises DependencyError while the topics are wrong; the follower then waits."""
        super().__init__(f"follow-{generation or 'first'}", _log)
        self.generation = generation
        self.health = Health(None, ("index", "log"), _STUCK_SECONDS)
        self.health.watch("thread", lambda: self.trouble)
        self.health.watch("merge", self._merge_trouble)
        self._check = check
        self._settings = generation_settings(settings, generation)
        self._transport = transport
        self._metrics = metrics
        self._match_new_videos = match_new_videos
        self._worker: Worker | None = None
        self._editor: LogEditor | None = None
        self._opened: ServingIndex | None = None
        self._whole = threading.Event()

    @cached_property
    def topics(self) -> TopicNames:
        return TopicNames.of(self._settings.kafka)

    @property
    def opened(self) -> ServingIndex | None:
        """The index, None before it is open."""
        return self._opened

    @property
    def answering(self) -> ServingIndex | None:
        """The index for answers, None until it has caught up with its log. While it is rebuilt from the
        log, it has only a part of the catalogue, and videos that were deleted later."""
        return self._opened if self._whole.is_set() else None

    def stop(self) -> None:
        """Finish the present batch; `join` waits for it and for the index to close."""
        super().stop()
        if self._worker is not None:
            self._worker.stop()

    def save_snapshot(self) -> None:
        """Write the shard to disk; snapshots that still hold what was deleted go."""
        opened = self._opened
        if opened is None:
            return
        try:
            if opened.index.videos.unpurged():
                opened.index.finish_deletions()
            else:
                opened.index.save_snapshot()
        except Exception as error:
            # Whatever it was, answers go on; an index that is closed meanwhile is no failure.
            if self._opened is opened:
                self.health.unmet("snapshot", f"the snapshot could not be saved: {error}")
                foreseen = isinstance(error, StoryHashError)
                _log.warning("the snapshot could not be saved: %s", error, exc_info=not foreseen)
        else:
            self.health.met("snapshot")

    def delete_video(self, video_id: str) -> bool:
        """See `LogEditor.delete_video`; false until the index is open. Raises ApiError (501) if this
        process only answers."""
        if self._settings.searcher.read_only:
            raise not_here(
                f"{video_id!r} is not deleted: this searcher only answers; delete it at the one that "
                "indexes"
            )
        editor = self._editor
        return editor is not None and editor.delete_video(video_id)

    def describe_video(self, video_id: str, changes: Mapping[str, Any]) -> Video | None:
        """See `LogEditor.describe_video`; None until the index is open. Raises ApiError (501) if this
        process only answers."""
        if self._settings.searcher.read_only:
            raise not_here(
                f"{video_id!r} is not changed: this searcher only answers; change it at the one that "
                "indexes"
            )
        editor = self._editor
        return None if editor is None else editor.describe_video(video_id, changes)

    def delete(self, versions: Mapping[str, int]) -> None:
        """See `LogEditor.delete`; nothing until the index is open."""
        if (editor := self._editor) is not None:
            editor.delete(versions)

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        """See `LogEditor.drop_staged`; nothing until the index is open."""
        editor = self._editor
        return [] if editor is None else editor.drop_staged(video_id, version)

    def work(self) -> None:
        """Open the index and take the log in."""
        if self._settings.searcher.read_only:
            self._only_answer()
            return
        model_id = self._wait_for(self._checked_model)
        index = self._wait_for(lambda: self._open(model_id)) if model_id else None
        if index is None:
            return
        with index:
            try:
                self._follow(index)
                index.save_snapshot()
            finally:
                # Nobody is to look into an index that is being closed.
                self._opened = self._editor = None

    def _only_answer(self) -> None:
        """Open the index that another process writes, and leave the log alone."""
        index = self._wait_for(self._open_shared)
        if index is None:
            return
        with index:
            self._opened = ServingIndex(self.generation, index, self._matcher(index))
            self._whole.set()
            self.health.met("index")
            self.health.met("log")
            try:
                while not self._stopping.wait(_WAIT_SECONDS):
                    self.health.beat()
            finally:
                self._opened = None

    def _open_shared(self) -> VideoIndex | None:
        manifest = stored_manifest(self._settings)
        if manifest is None:
            self.health.unmet(
                "index", "there is no index in Qdrant yet; start the searcher that indexes"
            )
            return None
        return open_reader(self._settings.data_dir, manifest, self._settings)

    def _checked_model(self) -> str | None:
        self._check()
        return self._find_model()

    def _merge_trouble(self) -> str:
        opened = self._opened
        return "" if opened is None else opened.index.merge_trouble

    def _consumer(self, index: VideoIndex) -> LogConsumer:
        group = self.topics.searchers
        offsets, log_id = index.staging.offsets(), index.staging.log_id
        index.staging.set_new_from(self._new_from(index))
        return self._transport.log_consumer(self.topics.embeddings, offsets, group, log_id)

    def _new_from(self, index: VideoIndex) -> dict[int, int]:
        """The first message of each partition whose videos are new, so that they are matched: messages
        after the committed offsets of the group, which no index of this log has read."""
        topics, staging = self.topics, index.staging
        committed = self._transport.committed(topics.embeddings, topics.searchers)
        if staging.knows_new_from:
            return committed
        before = staging.offsets() or committed
        # The broker forgets old offsets of a group. Published matches show that it had some.
        if not before and any(self._transport.ends(topics.matches).values()):
            before = self._transport.ends(topics.embeddings)
        return {
            number: max(before.get(number, 0), committed.get(number, 0))
            for number in before.keys() | committed.keys()
        }

    def _wait_for(self, look: Callable[[], Found | None], condition: str = "index") -> Found | None:
        """Wait for the first result that is not None; returns None if stopped. Meanwhile the health
        condition says what it waits for."""
        reported = ""
        while not self._stopping.is_set():
            self.health.beat()
            try:
                found = look()
            except DependencyError as error:
                self.health.unmet(condition, str(error))
                if str(error) != reported:
                    reported = str(error)
                    _log.warning("%s; retrying until it succeeds", error)
            else:
                if found is not None:
                    return found
            self._stopping.wait(_WAIT_SECONDS)
        return None

    def _find_model(self) -> str | None:
        manifest = read_manifest(self._settings.data_dir)
        if manifest is not None:
            return manifest.model_id
        found = mirrored_model(self._settings.searcher, self._settings.qdrant)
        found = found or log_model(self._transport, self.topics.embeddings)
        if found is None:
            self.health.unmet(
                "index", "no embedder has recorded the model of the log yet; start one"
            )
        return found

    def _open(self, model_id: str) -> VideoIndex:
        profile = model_id.rpartition("-")[0]
        manifest = FolderManifest(profile, model_id, self._settings.searcher.store)
        return open_writer(self._settings.data_dir, manifest, self._settings, answering=True)

    def _matcher(self, index: VideoIndex) -> Matcher:
        """The matcher over an index, whose notices are logged."""
        profile = PROFILES.get(index.manifest.profile)
        visual = profile.visual if profile else index.manifest.profile
        matcher = matcher_over(index, visual, self._settings.matching)
        for message in index.notices:
            _log.warning("%s", message)
        return matcher

    def _follow(self, index: VideoIndex) -> None:
        matcher = self._matcher(index)
        handler = IndexHandler(
            index,
            self.topics.embeddings,
            batch_messages=self._settings.service.batch_messages,
            match_new_videos=self._match_new_videos,
            metrics=self._metrics,
        )
        self._editor = LogEditor(self._transport, self.topics, index, handler)
        if index.staging.was_level:
            self._whole.set()
        self._opened = ServingIndex(self.generation, index, matcher)
        self.health.met("index")

        def level() -> None:
            index.staging.note_level()
            self._whole.set()

        consumer = self._wait_for(lambda: self._consumer(index), "log")
        if consumer is None:
            return
        position = OffsetConsumer(consumer, index.staging, self.health, level)
        publisher: Publisher | None = None
        in_hand = WorkInProgress.open(index.folder, "search")
        try:
            publisher = self._wait_for(self._transport.publisher, "log")
            if publisher is None:
                return
            self._worker = Worker(
                handler,
                [PriorityConsumer(self.topics.embeddings, position, ahead=True)],
                publisher,
                self.topics.dead_letters,
                health=self.health,
                metrics=self._metrics,
                settings=self._settings.service,
                in_hand=in_hand,
            )
            if not self._stopping.is_set():
                self._worker.run()
        finally:
            in_hand.close()
            if publisher is not None:
                publisher.close()
            position.close()


def generation_settings(settings: Settings, generation: str) -> Settings:
    """The settings of one generation: its topics, its folder, its Qdrant collection."""
    collection = settings.qdrant.collection + (f"-{generation}" if generation else "")
    return settings.model_copy(
        update={
            "data_dir": generation_folder(settings.data_dir, generation),
            "kafka": settings.kafka.model_copy(update={"generation": generation}),
            "qdrant": settings.qdrant.model_copy(update={"collection": collection}),
        }
    )
