"""Keys over the whole API: every route has a role, and a key of some banks sees nothing of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from fastapi import FastAPI

from common.http.health import Health
from common.http.key_routes import NewKeyBody
from common.metrics import Metrics
from common.settings import HttpSettings, WebhookSettings
from common.state.roles import Role
from common.state.state import State
from embedder.server import embed_app
from searcher.api.app import api_app
from searcher.backup.backups import Backups
from searcher.backup.create import Source
from searcher.jobs.jobs import Jobs
from searcher.jobs.runner import JobRunner
from searcher.review.matching import MatchQueries
from searcher.review.reviews import Reviews
from searcher.serving import EmbedQuery
from searcher.storage.video import Video
from searcher.transform.finder import TransformFinder
from tests.support.background import Background
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client, error_of
from tests.unit.searcher.api.test_api import RAW, Api, axis, embed

ALWAYS = HttpSettings(require_keys="always", max_upload_bytes=1000)
WEBHOOKS = WebhookSettings(private_hosts=("localhost",))
OPEN = {("/livez", "get"), ("/readyz", "get"), ("/metrics", "get")}
# The least role of each route.
ROLES = {
    ("/v1/search", "post"): "reader",
    ("/v1/match", "post"): "reader",
    ("/v1/jobs", "get"): "reader",
    ("/v1/jobs", "post"): "reader",
    ("/v1/jobs/{job_id}", "get"): "reader",
    ("/v1/jobs/{job_id}", "delete"): "reader",
    ("/v1/matches", "get"): "reader",
    ("/v1/matches/{match_id}", "get"): "reader",
    ("/v1/matches/{match_id}/evidence", "get"): "reader",
    ("/v1/matches/{match_id}/verdicts", "get"): "reader",
    ("/v1/matches/{match_id}/verdicts", "post"): "reviewer",
    ("/v1/verdicts", "post"): "reviewer",
    ("/v1/videos/{video_id}/matches", "get"): "reader",
    ("/v1/feedback", "get"): "reader",
    ("/v1/exceptions", "get"): "reader",
    ("/v1/exceptions", "post"): "reviewer",
    ("/v1/exceptions/{exception_id}", "get"): "reader",
    ("/v1/exceptions/{exception_id}", "delete"): "reviewer",
    ("/v1/videos/states", "post"): "reader",
    ("/v1/videos", "get"): "reader",
    ("/v1/videos", "post"): "writer",
    ("/v1/videos/{video_id}", "get"): "reader",
    ("/v1/videos/{video_id}", "delete"): "writer",
    ("/v1/videos/{video_id}", "patch"): "writer",
    ("/v1/videos/{video_id}/content", "get"): "reader",
    ("/v1/videos/{video_id}/thumbnail", "get"): "reader",
    ("/v1/videos/{video_id}/erasure", "get"): "writer",
    ("/v1/banks", "get"): "reader",
    ("/v1/banks/{bank}", "get"): "reader",
    ("/v1/banks/{bank}", "put"): "writer",
    ("/v1/banks/{bank}", "delete"): "writer",
    ("/v1/generations", "get"): "reader",
    ("/v1/generations", "post"): "admin",
    ("/v1/generations/activate", "post"): "admin",
    ("/v1/generations/{name}", "delete"): "admin",
    ("/v1/staged", "get"): "reader",
    ("/v1/staged/{video_id}", "delete"): "writer",
    ("/v1/snapshots", "get"): "admin",
    ("/v1/snapshots", "post"): "admin",
    ("/v1/audit", "get"): "admin",
    ("/v1/keys", "get"): "admin",
    ("/v1/keys", "post"): "admin",
    ("/v1/keys/{key_id}", "delete"): "admin",
    ("/v1/keys/{key_id}", "patch"): "admin",
    ("/v1/webhooks", "get"): "admin",
    ("/v1/webhooks", "post"): "admin",
    ("/v1/webhooks/{webhook_id}", "get"): "admin",
    ("/v1/webhooks/{webhook_id}", "delete"): "admin",
    ("/v1/webhooks/{webhook_id}/deliveries", "get"): "admin",
    ("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", "get"): "admin",
    ("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", "post"): "admin",
    ("/v1/model", "get"): "reader",
    ("/v1/embed", "post"): "reader",
    ("/v1/embed/{query_id}", "delete"): "reader",
}


class Generations:
    def generations(self) -> list[dict[str, Any]]:
        return []


_documents: dict[str, dict[str, Any]] = {}


class Keyed:
    """The API of the four films, with keys."""

    def __init__(
        self,
        folder: Path,
        state: State,
        settings: HttpSettings = ALWAYS,
        embed: EmbedQuery = embed,
        whole: Any = None,
        transforms: TransformFinder | None = None,
    ) -> None:
        """whole: the generations and the incomplete videos (default: none of them). transforms: compares
        pictures (default: none are)."""
        self.api = Api(folder)
        self.state = state
        self._settings = settings
        self.added: list[str] = []
        whole = whole or Generations()
        self.jobs = Jobs(lambda: state)
        self.jobs.open(folder / "jobs")
        self.backups = Backups(
            folder.parent / "backups",
            2,
            lambda: Source(self.api.index, folder, "", state_is_elsewhere=False),
        )
        self.app = api_app(
            *(self.api.catalogue, embed, Health(None, (), 1e6), self.api.metrics, settings),
            add_video=self._add,
            add_upload=lambda entry, file, sha256: self._add(entry),
            describe_video=self._describe,
            generations=whole,
            staged=whole,
            access=access_over(state, settings),
            transforms=transforms,
            jobs=self.jobs,
            backups=self.backups,
            webhooks=WEBHOOKS,
        )
        self.client = Client(self.app)
        self.shows = key_of(state, Role.WRITER, ["shows"])
        self.all = key_of(state, Role.WRITER)

    def _add(self, entry: Any) -> Video:
        self.added.append(entry.video_id)
        return Video(entry.video_id, entry.uri, entry.bank)

    def _describe(self, video_id: str, changes: Mapping[str, Any]) -> Video | None:
        videos = self.api.index.videos
        video = videos.get(video_id)
        if video is not None:
            videos.note_edit(replace(video, **changes), video.description)
        return videos.get(video_id)

    @property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document. It takes most of a second, and is the same for the same settings."""
        key = self._settings.model_dump_json()
        if key not in _documents:
            _documents[key] = self.app.openapi()
        return _documents[key]

    def ask(self, method: str, path: str, key: dict[str, str], **request: Any) -> Any:
        headers = {**request.pop("headers", {}), **key}
        return self.client.ask(method, path, headers=headers, **request)

    def runner(self, embedding: EmbedQuery = embed) -> JobRunner:
        """Does the jobs."""
        queries = MatchQueries(embedding, self.api.metrics, Reviews(lambda: self.state))
        return JobRunner(self.jobs, queries, self.api.catalogue.current)

    def close(self) -> None:
        self.backups.close()
        self.client.__exit__(None, None, None)
        self.api.close()


class JobsDone(Background):
    """The jobs are done while a `with` block lasts."""

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    def run(self) -> None:
        while not self.stopping.is_set():
            if not self._runner.run_next(self.stopping):
                self.stopping.wait(0.02)


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    with opened_state(tmp_path / "data") as state:
        made = Keyed(tmp_path / "data", state)
        yield made
        made.close()


def apps(keyed: Keyed) -> list[FastAPI]:
    nothing: Any = None
    access = access_over(keyed.state, ALWAYS)
    health, metrics = Health(None, (), 60.0), Metrics.create("embed")
    return [keyed.app, embed_app(nothing, "", health, metrics, ALWAYS, access=access)]


def test_every_route_has_a_role(keyed: Keyed) -> None:
    found = {}
    for app in apps(keyed):
        document = app.openapi()
        assert "#/$defs/" not in json.dumps(document)
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        for path, ways in document["paths"].items():
            for method, operation in ways.items():
                ((scopes,),) = [one.values() for one in operation.get("security", [{"": [""]}])]
                (found[path, method],) = scopes
    assert {route for route, role in found.items() if not role} == OPEN
    assert {route: role for route, role in found.items() if role} == ROLES
    assert set(get_args(NewKeyBody.model_fields["role"].annotation)) == set(Role)


def test_every_route_refuses_who_has_no_key_and_who_has_a_lesser_role(keyed: Keyed) -> None:
    lesser = {
        "reviewer": key_of(keyed.state, Role.READER),
        "writer": key_of(keyed.state, Role.REVIEWER),
        "admin": key_of(keyed.state, Role.WRITER),
    }
    for app in apps(keyed):
        with Client(app) as client:
            for (path, method), role in ROLES.items():
                if path not in app.openapi()["paths"]:
                    continue
                plain = path.replace("{video_id}", "a.mp4").replace("{", "").replace("}", "")
                for number in ("match_id", "exception_id", "delivery_id"):
                    plain = plain.replace(number, "1")
                answer = client.ask(method.upper(), plain)
                assert error_of(answer) == (401, "unauthorized"), path
                if role in lesser:
                    answer = client.ask(method.upper(), plain, headers=lesser[role])
                    assert error_of(answer) == (403, "forbidden"), path
    assert keyed.api.index.videos.get("a.mp4") is not None


def test_a_key_finds_only_segments_of_its_banks(keyed: Keyed) -> None:
    body = np.stack([axis(0)]).tobytes()

    def found(key: dict[str, str], query: str = "?k=10") -> set[str]:
        answer = keyed.ask("POST", f"/v1/search{query}", key, content=body, headers=RAW)
        assert answer.status_code == 200, answer.text
        return {hit["bank"] for hit in answer.json()["items"][0]}

    assert found(keyed.all) == {"default", "shows"}
    assert found(keyed.shows) == found(keyed.shows, "") == {"shows"}
    assert found(keyed.all, "?bank=default") == {"default"}
    # A bank of one's own may be empty, and the others are not named.
    empty = key_of(keyed.state, Role.READER, ["empty"])
    for path in ("/v1/search", "/v1/search?bank=empty"):
        answer = keyed.ask("POST", path, empty, content=body, headers=RAW)
        assert (answer.status_code, answer.json()["items"]) == (200, [[]])
    other = keyed.ask("POST", "/v1/search?bank=default", keyed.shows, content=body, headers=RAW)
    assert error_of(other) == (403, "forbidden")


def test_a_match_tells_nothing_of_other_banks(keyed: Keyed) -> None:
    for body in ({"content": b"a.mp4"}, {"json": {"video_id": "shows/copy of a.mp4"}}):
        everything = keyed.ask("POST", "/v1/match", keyed.all, **body)
        assert "default" in {one["bank"] for one in everything.json()["matches"]}
        own = keyed.ask("POST", "/v1/match", keyed.shows, **body)
        assert own.status_code == 200
        # The video of the bank is found in the upload, and not in itself.
        found = {"shows"} if "content" in body else set()
        assert {one["bank"] for one in own.json()["matches"]} == found
        assert "stranger.mp4" not in own.text
        refused = keyed.ask("POST", "/v1/match?bank=default", keyed.shows, **body)
        assert error_of(refused) == (403, "forbidden")
    hidden = keyed.ask("POST", "/v1/match", keyed.shows, json={"video_id": "a.mp4"})
    nowhere = keyed.ask("POST", "/v1/match", keyed.shows, json={"video_id": "b.mp4"})
    assert error_of(hidden) == error_of(nowhere) == (404, "unknown_video")


def test_a_key_lists_and_shows_only_videos_of_its_banks(keyed: Keyed) -> None:
    page = keyed.ask("GET", "/v1/videos", keyed.shows).json()
    assert [one["video_id"] for one in page["items"]] == ["shows/copy of a.mp4"]
    assert (page["total"], page["next_cursor"]) == (1, None)
    assert keyed.ask("GET", "/v1/videos", keyed.all).json()["total"] == 4
    both = key_of(keyed.state, Role.READER, ["shows", "default", "empty"])
    assert keyed.ask("GET", "/v1/videos", both).json()["total"] == 4
    assert keyed.ask("GET", "/v1/videos?bank=shows", both).json()["total"] == 1
    assert error_of(keyed.ask("GET", "/v1/videos?bank=default", keyed.shows)) == (403, "forbidden")
    assert keyed.ask("GET", "/v1/videos/shows/copy of a.mp4", keyed.shows).status_code == 200
    hidden = keyed.ask("GET", "/v1/videos/a.mp4", keyed.shows)
    nowhere = keyed.ask("GET", "/v1/videos/b.mp4", keyed.shows)
    assert error_of(hidden) == error_of(nowhere) == (404, "unknown_video")
    assert hidden.text.replace("a.mp4", "") == nowhere.text.replace("b.mp4", "")


def test_a_key_changes_only_videos_of_its_banks(keyed: Keyed) -> None:
    assert error_of(keyed.ask("DELETE", "/v1/videos/a.mp4", keyed.shows)) == (404, "unknown_video")
    assert keyed.api.index.videos.get("a.mp4") is not None
    uri = "https://example.com/v.mp4"
    for body in ({"uri": uri}, {"uri": uri, "bank": "shows", "video_id": "a.mp4"}):
        answer = keyed.ask("POST", "/v1/videos", keyed.shows, json=body)
        assert error_of(answer) == (403, "forbidden")
    assert keyed.added == []
    new = {"uri": uri, "bank": "shows", "video_id": "new.mp4"}
    assert keyed.ask("POST", "/v1/videos", keyed.shows, json=new).status_code == 202
    again = {"uri": uri, "bank": "shows", "video_id": "shows/copy of a.mp4"}
    assert keyed.ask("POST", "/v1/videos", keyed.shows, json=again).status_code == 202
    assert keyed.added == ["new.mp4", "shows/copy of a.mp4"]
    gone = keyed.ask("DELETE", "/v1/videos/shows/copy of a.mp4", keyed.shows)
    assert gone.status_code == 204


def test_what_is_about_all_banks_is_not_for_a_key_of_some(keyed: Keyed) -> None:
    limited = key_of(keyed.state, Role.WRITER, ["default", "shows"])
    for method, path in (
        ("GET", "/v1/generations"),
        ("GET", "/v1/staged"),
        ("DELETE", "/v1/staged/a.mp4"),
        ("POST", "/v1/videos/states"),
    ):
        assert error_of(keyed.ask(method, path, limited)) == (403, "forbidden"), path
    assert keyed.ask("GET", "/v1/generations", keyed.all).status_code == 200


def test_every_change_is_recorded_whatever_became_of_it(keyed: Keyed) -> None:
    admin, reader = key_of(keyed.state, Role.ADMIN), key_of(keyed.state, Role.READER)
    uri = "https://example.com/v.mp4"
    keyed.ask("POST", "/v1/videos", keyed.all, json={"uri": uri, "video_id": "new.mp4"})
    keyed.ask("DELETE", "/v1/videos/blind.mp4", keyed.all, headers={"X-Request-ID": "mine-1"})
    keyed.ask("DELETE", "/v1/videos/a.mp4", keyed.shows)
    keyed.ask("DELETE", "/v1/videos/a.mp4", reader)
    made = keyed.ask("POST", "/v1/keys", admin, json={"name": "x", "role": "reader"}).json()
    keyed.ask("DELETE", f"/v1/keys/{made['id']}", admin)
    # What changes nothing, and who is nobody, is not recorded.
    keyed.ask("GET", "/v1/videos", keyed.all)
    keyed.client.ask("DELETE", "/v1/videos/a.mp4")

    first = keyed.ask("GET", "/v1/audit?limit=4", admin).json()
    rest = keyed.ask("GET", f"/v1/audit?cursor={first['next_cursor']}", admin).json()
    assert rest["next_cursor"] is None
    items = (first["items"] + rest["items"])[::-1]
    ids = [headers["Authorization"][10:22] for headers in (keyed.all, keyed.shows, reader, admin)]
    assert [
        (one["action"], one["object"], one["status"], one["code"], ids.index(one["key_id"]))
        for one in items
    ] == [
        ("videos.add", "new.mp4", 202, "", 0),
        ("videos.delete", "blind.mp4", 204, "", 0),
        ("videos.delete", "a.mp4", 404, "unknown_video", 1),
        ("videos.delete", "a.mp4", 403, "forbidden", 2),
        ("keys.create", made["id"], 201, "", 3),
        ("keys.revoke", made["id"], 204, "", 3),
    ]
    assert (items[1]["request_id"], items[1]["route"]) == ("mine-1", "DELETE /v1/videos/blind.mp4")
    assert made["key"] not in str(items)
    assert error_of(keyed.ask("GET", "/v1/audit", keyed.all)) == (403, "forbidden")


def test_a_change_that_fails_inside_is_recorded_too(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(video_id: str) -> bool:
        raise ValueError("the disk is on fire")

    monkeypatch.setattr(keyed.api.catalogue, "delete_video", broken)
    answer = keyed.ask("DELETE", "/v1/videos/a.mp4", keyed.all)
    assert error_of(answer) == (500, "internal")
    ((item,), _) = keyed.state.audit.page()
    assert (item["action"], item["object"], item["status"]) == ("videos.delete", "a.mp4", 500)
    assert item["request_id"] == answer.headers["X-Request-ID"]


def test_a_change_without_any_key_is_recorded(keyed: Keyed) -> None:
    settings = HttpSettings(require_keys="never")
    app = api_app(
        *(keyed.api.catalogue, embed, Health(None, (), 60.0), keyed.api.metrics, settings),
        access=access_over(keyed.state, settings),
    )
    with Client(app) as client:
        assert client.delete("/v1/videos/blind.mp4").status_code == 204
    ((item,), _) = keyed.state.audit.page()
    assert (item["object"], item["status"], item["key_id"]) == ("blind.mp4", 204, None)
