"""The catalogue of a running searcher, for commands with `--server`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import SecretStr

from common.errors import DependencyError, StoryHashError, UsageError, VideoError
from common.http.server import NOTICES_HEADER
from common.ids import id_in_path
from common.uris import is_remote, public_uri
from searcher.matching.match_json import error_to_json
from searcher.storage.video_store import ALL_VIDEOS, Selection
from storyhash.client.http_client import RemoteService

# A film may take minutes to be embedded.
_TIMEOUT_SECONDS = 900.0
# Ids of 1 KiB fit into the body that is taken.
_STATES_AT_ONCE = 500


class RemoteCatalogue:
    """The catalogue operations of the commands. Raises the errors of RemoteService."""

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        """key: the API key of a service that requires one."""
        self._service = RemoteService(url, key, timeout_seconds=_TIMEOUT_SECONDS)
        # The notices of the service, each once.
        self.notices: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def match(self, uri: str, *, thorough: bool = False) -> dict[str, Any]:
        """The report of a file, which is uploaded, or of a URL, which the service fetches; for a failed
        video, a line with its error. Both as in `storyhash match --json`."""
        try:
            answer = self._match(uri, thorough)
        except (DependencyError, UsageError):
            raise
        except StoryHashError as error:
            return error_to_json(uri, error)
        for notice in json.loads(answer.headers.get(NOTICES_HEADER, "[]")):
            if notice not in self.notices:
                self.notices.append(notice)
        return dict(answer.json())

    def videos(self, limit: int, cursor: str, only: Selection = ALL_VIDEOS) -> dict[str, Any]:
        """A page of rows, as `{"items", "next_cursor", "total"}`."""
        chosen = {name: value for name, value in asdict(only).items() if value}
        params = {"limit": limit, "cursor": cursor, **chosen}
        return dict(self._service.ask("GET", "/v1/videos", params=params).json())

    def video(self, video_id: str) -> dict[str, Any]:
        """One row."""
        return dict(self._service.ask("GET", f"/v1/videos/{id_in_path(video_id)}").json())

    def states(self, video_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The searchable, deleted and waiting versions of videos, in the order of the ids.

        Raises NotReadyError while the service has not caught up with its log, because it may not know
        all deletions yet.
        """
        self._service.check_ready()
        states: list[dict[str, Any]] = []
        for start in range(0, len(video_ids), _STATES_AT_ONCE):
            body = {"video_ids": list(video_ids[start : start + _STATES_AT_ONCE])}
            states += self._service.ask("POST", "/v1/videos/states", json=body).json()["items"]
        return states

    def delete(self, video_id: str) -> None:
        """Delete a video."""
        self._service.ask("DELETE", f"/v1/videos/{id_in_path(video_id)}")

    def erasure(self, video_id: str) -> dict[str, Any]:
        """The erasure receipt of a video."""
        return dict(self._service.ask("GET", f"/v1/videos/{id_in_path(video_id)}/erasure").json())

    def staged(self, limit: int, cursor: str) -> dict[str, Any]:
        """A page of the videos that are not complete yet, as `{"items", "next_cursor"}`."""
        params = {"limit": limit, "cursor": cursor}
        return dict(self._service.ask("GET", "/v1/staged", params=params).json())

    def drop_staged(self, video_id: str, version: int) -> None:
        """Drop an incomplete version of a video."""
        params = {"version": version}
        self._service.ask("DELETE", f"/v1/staged/{id_in_path(video_id)}", params=params)

    def generations(self) -> Sequence[dict[str, Any]]:
        """Every generation the service follows."""
        return list(self._service.ask("GET", "/v1/generations").json()["items"])

    def follow(self, name: str) -> dict[str, Any]:
        """Follow another generation."""
        return dict(self._service.ask("POST", "/v1/generations", json={"generation": name}).json())

    def activate(self, name: str) -> dict[str, Any]:
        """Let another generation answer."""
        body = {"generation": name}
        return dict(self._service.ask("POST", "/v1/generations/activate", json=body).json())

    def drop(self, name: str) -> None:
        """Stop following one and delete its index."""
        self._service.ask("DELETE", f"/v1/generations/{id_in_path(name)}")

    def snapshots(self) -> list[dict[str, Any]]:
        """The backups of the service; see SnapshotItem."""
        return list(self._service.ask("GET", "/v1/snapshots").json()["items"])

    def create_snapshot(self) -> None:
        """Begin a backup."""
        self._service.ask("POST", "/v1/snapshots")

    def _match(self, uri: str, thorough: bool) -> httpx.Response:
        ask, params = self._service.ask, {"name": public_uri(uri)}
        if thorough:
            params["thorough"] = "true"
        if is_remote(uri):
            return ask("POST", "/v1/match", params=params, json={"uri": uri})
        headers = {"Content-Type": "application/octet-stream"}
        try:
            with Path(uri).open("rb") as file:
                return ask("POST", "/v1/match", params=params, content=file, headers=headers)
        except OSError as error:
            raise VideoError(f"{uri}: {error.strerror}") from None
