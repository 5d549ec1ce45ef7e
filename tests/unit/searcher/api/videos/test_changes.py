"""Videos are changed over HTTP: what is said of them, and whether they are found."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from common.http.health import Health
from common.state.database import StateDatabase
from common.state.roles import Role
from searcher.api.app import api_app
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client, error_of
from tests.unit.searcher.api.test_api import RAW, axis, embed
from tests.unit.searcher.api.test_key_access import ALWAYS, Keyed, keyed

__all__ = ["keyed"]
A, COPY = "a.mp4", "shows/copy of a.mp4"


def patch(keyed: Keyed, video_id: str, key: dict[str, str] | None = None, **request: Any) -> Any:
    return keyed.ask("PATCH", f"/v1/videos/{video_id}", key or keyed.all, **request)


def found(keyed: Keyed, key: dict[str, str] | None = None, **body: Any) -> set[str]:
    answer = keyed.ask("POST", "/v1/match", key or keyed.all, **(body or {"content": b"a.mp4"}))
    assert answer.status_code == 200, answer.text
    return {one["video_id"] for one in answer.json()["matches"]}


def test_what_is_given_is_changed_and_the_rest_stays(keyed: Keyed) -> None:
    before = keyed.ask("GET", f"/v1/videos/{A}", keyed.all).json()
    changed = patch(keyed, A, json={"title": "Tea", "metadata": {"year": 1}})
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**before, "title": "Tea", "metadata": {"year": 1}}
    document = keyed.document
    schema = document["components"]["schemas"]["VideoItem"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(changed.json())
    shown = keyed.ask("GET", f"/v1/videos/{A}", keyed.all)
    assert (shown.json(), shown.headers["ETag"]) == (changed.json(), changed.headers["ETag"])
    (item, *_), _ = keyed.state.audit.page()
    assert (item["action"], item["object"], item["status"]) == ("videos.update", A, 200)


def test_a_disabled_video_is_kept_and_not_found(keyed: Keyed) -> None:
    assert found(keyed) == {A, COPY}
    assert patch(keyed, COPY, json={"disabled": True}).json()["disabled"] is True
    assert found(keyed) == {A}
    assert found(keyed, json={"video_id": A}) == set()
    assert found(keyed, keyed.shows) == set()
    body = np.stack([axis(0)]).tobytes()
    hits = keyed.ask("POST", "/v1/search", keyed.all, content=body, headers=RAW).json()["items"][0]
    assert COPY not in {hit["video_id"] for hit in hits}
    # It may be asked about, and it is listed.
    assert found(keyed, json={"video_id": COPY}) == {A}
    items = keyed.ask("GET", "/v1/videos", keyed.all).json()["items"]
    assert {one["video_id"] for one in items if one["disabled"]} == {COPY}
    assert patch(keyed, COPY, json={"disabled": False}).json()["disabled"] is False
    assert found(keyed) == {A, COPY}


def test_a_video_that_is_deleted_is_disabled_no_more(keyed: Keyed) -> None:
    patch(keyed, COPY, keyed.shows, json={"disabled": True})
    assert keyed.state.curation.current.disabled == {COPY}
    assert keyed.ask("DELETE", f"/v1/videos/{COPY}", keyed.shows).status_code == 204
    assert keyed.state.curation.read().disabled == set()


def test_a_video_that_is_deleted_while_it_is_disabled_is_not_disabled(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, disable = keyed.state.curation, keyed.state.curation.disable

    def deleted_meanwhile(*given: Any) -> None:
        keyed.api.index.delete_videos([COPY])
        disable(*given)

    monkeypatch.setattr(store, "disable", deleted_meanwhile)
    assert patch(keyed, COPY, json={"disabled": True}).status_code == 200
    assert store.read().disabled == set()


def test_if_match_refuses_a_change_of_what_was_changed(keyed: Keyed) -> None:
    tag = keyed.ask("GET", f"/v1/videos/{A}", keyed.all).headers["ETag"]
    given = {"headers": {"If-Match": tag}, "json": {"title": "mine"}}
    first, again = patch(keyed, A, **given), patch(keyed, A, **given)
    assert first.status_code == 200
    assert error_of(again) == (412, "precondition_failed")
    late = {"headers": {"If-Match": f'"other", {first.headers["ETag"]}'}}
    assert patch(keyed, A, **late, json={"disabled": True}).status_code == 200
    assert patch(keyed, A, headers={"If-Match": "*"}, json={"title": "x"}).status_code == 200
    # The ETag of a GET is not one of a change.
    none_match = {"If-None-Match": "*"}
    assert patch(keyed, A, headers=none_match, json={"title": "x"}).status_code == 200
    unchanged = keyed.ask("GET", f"/v1/videos/{A}", keyed.all, headers=none_match)
    assert unchanged.status_code == 304


def test_if_match_refuses_the_deletion_of_what_was_changed(keyed: Keyed) -> None:
    path = f"/v1/videos/{A}"
    tag = keyed.ask("GET", path, keyed.all).headers["ETag"]
    changed = patch(keyed, A, json={"title": "theirs"}).headers["ETag"]
    late = keyed.ask("DELETE", path, keyed.all, headers={"If-Match": tag})
    assert error_of(late) == (412, "precondition_failed")
    assert keyed.ask("GET", path, keyed.all).status_code == 200
    read = {"headers": {"If-Match": changed}}
    assert keyed.ask("DELETE", path, keyed.all, **read).status_code == 204
    assert error_of(keyed.ask("DELETE", path, keyed.all, **read)) == (404, "unknown_video")


def test_if_match_sees_what_another_process_has_just_disabled(keyed: Keyed, tmp_path: Path) -> None:
    path = f"/v1/videos/{A}"
    tag = {"If-Match": keyed.ask("GET", path, keyed.all).headers["ETag"]}
    with opened_state(tmp_path / "data") as other:
        other.curation.disable(A, None)
        late = patch(keyed, A, headers=tag, json={"title": "mine"})
        assert error_of(late) == (412, "precondition_failed")
        other.curation.enable(A)
    assert patch(keyed, A, headers=tag, json={"title": "mine"}).status_code == 200


@pytest.mark.parametrize("disabled", [True, False])
def test_if_match_sees_what_another_process_disables_between_check_and_change(
    keyed: Keyed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disabled: bool
) -> None:
    tag = {"If-Match": keyed.ask("GET", f"/v1/videos/{A}", keyed.all).headers["ETag"]}
    real = StateDatabase.change
    with opened_state(tmp_path / "data") as other:
        theirs = iter([partial(other.curation.disable, A, None)])

        def changed_before(database: StateDatabase, *, alone: bool = False) -> Any:
            for disable in theirs:
                disable()
            return real(database, alone=alone)

        monkeypatch.setattr(StateDatabase, "change", changed_before)
        late = patch(keyed, A, headers=tag, json={"disabled": disabled})
        assert error_of(late) == (412, "precondition_failed")
        assert other.curation.read().disabled == {A}


def test_if_match_does_not_compare_what_indexing_changes(keyed: Keyed) -> None:
    videos = keyed.api.index.videos
    before = keyed.ask("GET", f"/v1/videos/{A}", keyed.all)
    video = videos.get(A)
    assert video is not None
    videos.begin(replace(video, fingerprint="another"))
    tag = before.headers["ETag"]
    now = keyed.ask("GET", f"/v1/videos/{A}", keyed.all, headers={"If-None-Match": tag})
    assert (before.json()["state"], now.json()["state"]) == ("ready", "pending")
    late = {"headers": {"If-Match": tag}, "json": {"title": "mine"}}
    assert patch(keyed, A, **late).status_code == 200
    assert error_of(patch(keyed, A, **late)) == (412, "precondition_failed")


def test_a_key_changes_only_videos_of_its_banks_within_its_banks(keyed: Keyed) -> None:
    hidden = patch(keyed, A, keyed.shows, json={"title": "theirs"})
    nowhere = patch(keyed, "b.mp4", keyed.shows, json={"title": "theirs"})
    assert error_of(hidden) == error_of(nowhere) == (404, "unknown_video")
    away = patch(keyed, COPY, keyed.shows, json={"bank": "default"})
    assert error_of(away) == (403, "forbidden")
    assert patch(keyed, COPY, keyed.shows, json={"title": "ours"}).status_code == 200
    reviewer = key_of(keyed.state, Role.REVIEWER)
    assert error_of(patch(keyed, A, reviewer, json={"title": "x"})) == (403, "forbidden")


def test_matches_and_exceptions_move_to_the_new_bank(keyed: Keyed) -> None:
    found(keyed)
    found(keyed, json={"video_id": A})
    body = {"kind": "range", "ref_video_id": A, "start_seconds": 0, "end_seconds": 1, "reason": "x"}
    reviewer = key_of(keyed.state, Role.REVIEWER)
    assert keyed.ask("POST", "/v1/exceptions", reviewer, json=body).status_code == 201
    seen = keyed.ask("GET", "/v1/matches", keyed.shows).json()["items"]
    assert [one["ref_video_id"] for one in seen] == [COPY]
    assert patch(keyed, A, json={"bank": "shows"}).status_code == 200
    seen = keyed.ask("GET", "/v1/matches", keyed.shows).json()["items"]
    assert sorted(one["ref_video_id"] for one in seen) == [A, COPY, COPY]
    assert {one["query"]["bank"] for one in seen} == {None, "shows"}
    assert keyed.ask("GET", "/v1/exceptions", keyed.shows).json()["total"] == 1
    default = key_of(keyed.state, Role.READER, ["default"])
    assert keyed.ask("GET", "/v1/matches", default).json()["total"] == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"state": "ready"}, {"title": None}, {"bank": ""}, {"disabled": "yes"}, {"metadata": []}],
)
def test_what_is_no_change_is_refused(keyed: Keyed, body: dict[str, Any]) -> None:
    assert error_of(patch(keyed, A, json=body)) == (400, "usage")


def test_where_descriptions_come_from_kafka_only_disabled_can_be_changed(keyed: Keyed) -> None:
    app = api_app(
        *(keyed.api.catalogue, embed, Health(None, (), 60.0), keyed.api.metrics, ALWAYS),
        access=access_over(keyed.state, ALWAYS),
    )
    with Client(app) as client:
        title = client.ask("PATCH", f"/v1/videos/{A}", json={"title": "x"}, headers=keyed.all)
        assert error_of(title) == (501, "not_here")
        only = client.ask("PATCH", f"/v1/videos/{A}", json={"disabled": True}, headers=keyed.all)
        assert only.json()["disabled"] is True
        # Not a video whose id ends in "/erasure".
        erasure = client.get(f"/v1/videos/{A}/erasure", headers=keyed.all)
        assert error_of(erasure) == (501, "not_here")
