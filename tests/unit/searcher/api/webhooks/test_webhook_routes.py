"""Webhooks over HTTP: what happens in the API is in the outbox, in the documented form."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from common.state.roles import Role
from searcher.api.webhooks.schemas import EVENTS
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
URL = "http://localhost/hook"
COPY = "shows/copy of a.mp4"


class Hooks:
    def __init__(self, keyed: Keyed) -> None:
        self.keyed = keyed
        self.admin = key_of(keyed.state, Role.ADMIN)

    def ask(self, method: str, path: str, **request: Any) -> Any:
        return self.keyed.ask(method, path, self.admin, **request)

    def create(self, **body: Any) -> dict[str, Any]:
        made = self.ask("POST", "/v1/webhooks", json={"url": URL, **body})
        assert made.status_code == 201, made.text
        assert made.headers["Location"] == f"/v1/webhooks/{made.json()['id']}"
        return dict(made.json())

    def deliveries(self, webhook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        page = self.ask("GET", f"/v1/webhooks/{webhook['id']}/deliveries{query}")
        assert page.status_code == 200, page.text
        self.check("DeliveryPage", page.json())
        return list(page.json()["items"][::-1])

    def check(self, model: str, value: Any) -> None:
        document = self.keyed.document
        schema = document["components"]["schemas"][model]
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.fixture
def hooks(keyed: Keyed) -> Hooks:
    return Hooks(keyed)


def test_a_webhook_is_made_listed_and_deleted(hooks: Hooks) -> None:
    made = hooks.create(events=["match.found"], banks=["shows"], description="mine")
    hooks.check("CreatedWebhook", made)
    secret = made.pop("secret")
    page = hooks.ask("GET", "/v1/webhooks")
    hooks.check("WebhookPage", page.json())
    assert page.json() == {"items": [made], "next_cursor": None, "total": 1}
    place = f"/v1/webhooks/{made['id']}"
    shown = hooks.ask("GET", place)
    assert (shown.json(), secret in shown.text + page.text) == (made, False)
    again = hooks.ask("GET", place, headers={"If-None-Match": shown.headers["ETag"]})
    assert again.status_code == 304
    assert made["key_id"] == hooks.admin["Authorization"][10:22]
    assert hooks.ask("DELETE", place).status_code == 204
    for method, path in (("GET", place), ("DELETE", place), ("GET", f"{place}/deliveries")):
        assert error_of(hooks.ask(method, path)) == (404, "unknown_webhook")
    for method, path in (("GET", ""), ("POST", "/redeliver")):
        unknown = hooks.ask(method, f"{place}/deliveries/1{path}")
        assert error_of(unknown) == (404, "unknown_delivery")
    changes, _ = hooks.keyed.state.audit.page()
    done = [(one["action"], one["object"]) for one in changes if one["status"] < 300]
    assert done == [("webhooks.delete", made["id"]), ("webhooks.create", made["id"])]


def test_a_request_that_is_repeated_creates_one_webhook(hooks: Hooks) -> None:
    def create(url: str) -> Any:
        key = {"Idempotency-Key": "k"}
        return hooks.ask("POST", "/v1/webhooks", json={"url": url}, headers=key)

    first, again, other = create(URL), create(URL), create(f"{URL}/other")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert error_of(other) == (422, "idempotency_key_reused")
    assert hooks.ask("GET", "/v1/webhooks").json()["total"] == 1


def test_what_cannot_be_a_webhook_is_refused(hooks: Hooks) -> None:
    refused_fields: tuple[dict[str, Any], ...] = (
        {"url": "https://127.0.0.1/"},
        {"url": "http://169.254.169.254/"},
        {"url": "ftp://localhost/"},
        {"url": "http://user:password@localhost/"},
        {"url": f"http://localhost/{'x' * 2000}"},
        {"url": ""},
        {"events": []},
        {"events": ["match.lost"]},
        {"banks": []},
        {"banks": [""]},
        {"secret": "mine"},
    )
    for wrong in refused_fields:
        refused = hooks.ask("POST", "/v1/webhooks", json={"url": URL, **wrong})
        assert error_of(refused) == (400, "usage"), wrong
    assert hooks.ask("GET", "/v1/webhooks").json()["total"] == 0


def test_a_webhook_of_a_bank_learns_nothing_of_others(hooks: Hooks) -> None:
    keyed = hooks.keyed
    every, shows = hooks.create(), hooks.create(banks=["shows"])
    # An upload matches a video of each bank, and one of these matches the other.
    keyed.ask("POST", "/v1/match", keyed.all, content=b"a.mp4")
    keyed.ask("POST", "/v1/match", keyed.all, json={"video_id": "a.mp4"})
    told = [(one["type"], one["event"]["data"]["bank"]) for one in hooks.deliveries(every)]
    assert sorted(told) == [
        *[("match.found", "default"), ("match.found", "shows"), ("match.found", "shows")]
    ]
    own = hooks.deliveries(shows)
    assert [one["type"] for one in own] == ["match.found"]
    # A deletion also deletes the deliveries that name the video, besides that which tells of it.
    keyed.ask("DELETE", "/v1/videos/a.mp4", keyed.all)
    keyed.ask("DELETE", f"/v1/videos/{COPY}", keyed.all)
    told = [(one["type"], one["event"]["data"]["bank"]) for one in hooks.deliveries(every)]
    assert sorted(told) == [("video.deleted", "default"), ("video.deleted", "shows")]
    left = hooks.deliveries(shows)
    assert [one["type"] for one in left] == ["video.deleted"]
    for one in [*own, *left]:
        assert one["event"]["data"]["bank"] == "shows"
        assert "default" not in str(one)


def test_every_event_has_its_documented_form(hooks: Hooks) -> None:
    keyed, document = hooks.keyed, hooks.keyed.document
    assert set(document["webhooks"]) == set(EVENTS)
    webhook = hooks.create()
    answer = keyed.ask("POST", "/v1/match", keyed.all, content=b"a.mp4").json()
    match_id = answer["matches"][0]["match_id"]
    verdict = {"verdict": "copy", "reason": "why"}
    keyed.ask("POST", f"/v1/matches/{match_id}/verdicts", keyed.all, json=verdict)
    job = keyed.ask("POST", "/v1/jobs", keyed.all, content=b"a.mp4").json()
    keyed.ask("DELETE", f"/v1/jobs/{job['id']}", keyed.all)
    # What is not done is not told.
    keyed.ask("DELETE", "/v1/videos/unknown.mp4", keyed.all)
    keyed.ask("DELETE", "/v1/videos/blind.mp4", keyed.all)
    found = hooks.deliveries(webhook)
    assert {one["type"] for one in found} == set(EVENTS) - {"video.indexed"}
    for one in found:
        hooks.check("DeliveryItem", one)
        event = one["event"]
        assert (event["id"], event["type"]) == (one["event_id"], one["type"])
        name = document["webhooks"][one["type"]]["post"]["requestBody"]["content"]
        (ref,) = name["application/json"]["schema"].values()
        hooks.check(ref.rpartition("/")[2], event)


def test_a_dead_letter_is_found_and_redelivered(hooks: Hooks) -> None:
    webhook = hooks.create()
    hooks.keyed.ask("DELETE", "/v1/videos/blind.mp4", hooks.keyed.all)
    store = hooks.keyed.state.deliveries
    assert hooks.deliveries(webhook, "?state=dead") == []
    (waiting,) = hooks.deliveries(webhook)
    (attempt,) = store.take((), 1, 60.0)
    store.delivered(attempt, 200)
    place = f"/v1/webhooks/{webhook['id']}/deliveries/{waiting['id']}"
    delivered = hooks.ask("GET", place).json()
    assert (delivered["state"], delivered["next_attempt_at"]) == ("delivered", None)
    again = hooks.ask("POST", f"{place}/redeliver")
    hooks.check("DeliveryItem", again.json())
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert again.json()["event"] == waiting["event"]
    other = hooks.create()
    hidden = hooks.ask("GET", place.replace(webhook["id"], other["id"]))
    assert error_of(hidden) == (404, "unknown_delivery")
    assert error_of(hooks.ask("GET", f"/v1/webhooks/{webhook['id']}/deliveries?state=x"))[0] == 400
