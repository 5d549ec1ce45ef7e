"""The catalogue of a running searcher, for commands with `--server`: the calls of the client, with
answers as the service sends them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from common.errors import DependencyError, NotReadyError, StoryHashError, UsageError
from common.slices import slices
from common.uris import is_remote, public_uri
from searcher.api.match.schemas import NOTICES_HEADER
from searcher.matching.report.match_json import error_to_json
from searcher.storage.selection import ALL_VIDEOS, Selection
from storyhash.client.call import Call
from storyhash.client.calls import jobs, service, videos
from storyhash.client.retries import ONLY_BUSY
from storyhash.client.transport import SyncTransport

# Ids of 1 KiB fit into the body that is taken.
_STATES_AT_ONCE = 500


class RemoteCatalogue(SyncTransport):
    """The catalogue operations of the commands. Answers are JSON: a command prints what the service says,
    of whatever version it is. Raises the errors of SyncTransport."""

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        """key: the API key of a service that requires one."""
        super().__init__(url, key, retries=ONLY_BUSY)
        # The notices of the service, each once.
        self.notices: list[str] = []

    def match(self, uri: str, *, thorough: bool = False) -> dict[str, Any]:
        """The report of a file, which is uploaded, or of a URL, which the service fetches; for a failed
        video, a line with its error. Both as in `storyhash match --json`."""
        query: dict[str, Any] = {"uri": uri} if is_remote(uri) else {"file": Path(uri)}
        try:
            answer = self.answer(jobs.match(**query, name=public_uri(uri), thorough=thorough))
        except (DependencyError, UsageError):
            raise
        except StoryHashError as error:
            return error_to_json(uri, error)
        for notice in json.loads(answer.headers.get(NOTICES_HEADER, "[]")):
            if notice not in self.notices:
                self.notices.append(notice)
        return dict(self._json_of(answer))

    def add(self, uri: str, **description: Any) -> dict[str, Any]:
        """Add a file, which is uploaded, or the video at a URL; its row. description: arguments of
        `add_video`. The service indexes it in the background."""
        source: dict[str, Any] = {"uri": uri} if is_remote(uri) else {"file": Path(uri)}
        return dict(self._json(videos.add_video(**source, **description)))

    def videos(self, limit: int, cursor: str, only: Selection = ALL_VIDEOS) -> dict[str, Any]:
        """A page of rows, as `{"items", "next_cursor", "total"}`."""
        chosen = {name: value for name, value in asdict(only).items() if value}
        return dict(self._json(videos.list_videos(limit=limit, cursor=cursor or None, **chosen)))

    def video(self, video_id: str) -> dict[str, Any]:
        """One row."""
        return dict(self._json(videos.show_video(video_id)))

    def states(self, video_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The searchable, deleted and waiting versions of videos, in the order of the ids.

        Raises NotReadyError while the service has not caught up with its log, because it may not know
        all deletions yet.
        """
        self._check_ready()
        states: list[dict[str, Any]] = []
        for some in slices(video_ids, _STATES_AT_ONCE):
            states += self._json(videos.video_states(some))["items"]
        return states

    def delete(self, video_id: str) -> None:
        """Delete a video."""
        self.answer(videos.delete_video(video_id))

    def erasure(self, video_id: str) -> dict[str, Any]:
        """The erasure receipt of a video."""
        return dict(self._json(videos.erasure_of_video(video_id)))

    def staged(self, limit: int, cursor: str) -> dict[str, Any]:
        """A page of the videos that are not complete yet, as `{"items", "next_cursor"}`."""
        return dict(self._json(videos.list_staged(limit=limit, cursor=cursor or None)))

    def drop_staged(self, video_id: str, version: int) -> None:
        """Drop an incomplete version of a video."""
        self.answer(videos.drop_staged(video_id, version=version))

    def generations(self) -> Sequence[dict[str, Any]]:
        """Every generation the service follows."""
        return list(self._json(videos.list_generations())["items"])

    def follow(self, name: str) -> dict[str, Any]:
        """Follow another generation."""
        return dict(self._json(videos.follow_generation(name)))

    def activate(self, name: str) -> dict[str, Any]:
        """Let another generation answer."""
        return dict(self._json(videos.activate_generation(name)))

    def drop(self, name: str) -> None:
        """Stop following one and delete its index."""
        self.answer(videos.drop_generation(name))

    def snapshots(self) -> list[dict[str, Any]]:
        """The backups of the service; see SnapshotItem."""
        return list(self._json(videos.list_snapshots())["items"])

    def create_snapshot(self) -> None:
        """Begin a backup."""
        self.answer(videos.create_snapshot())

    def _check_ready(self) -> None:
        """Raises NotReadyError if the service is not ready."""
        state = self.send(service.readiness())
        if state.reasons:
            conditions = "; ".join(f"{name}: {reason}" for name, reason in state.reasons.items())
            raise NotReadyError(
                f"{self.service.url} is not ready ({conditions}); try again when /readyz reports ok"
            )

    def _json(self, call: Call[Any]) -> Any:
        return self._json_of(self.answer(call))

    def _json_of(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise self.service.not_ours("did not respond with JSON") from None
