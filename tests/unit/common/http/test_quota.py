"""Quotas of keys: what counts, what is refused, and what the caller is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.requests import Request
from starlette.responses import Response

from common.errors import StateError
from common.http import quota
from common.http.errors import ApiError
from common.http.health import Health
from common.http.key_routes import key_router
from common.http.request_facts import REPLAYED_HEADER
from common.http.roles import needs
from common.http.server import new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.keys import NewKey
from common.state.quotas import Quota, QuotaStore, Use
from common.state.roles import Role
from common.state.state import State
from tests.support.clock import Clock
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client, error_of

SETTINGS = HttpSettings(require_keys="always")
LEFT_SECONDS = 600


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with opened_state(tmp_path / "data") as opened:
        opened.quotas = QuotaStore(opened.database, Clock(86_400 - LEFT_SECONDS))
        yield opened


@pytest.fixture
def client(state: State) -> Iterator[Client]:
    metrics, access = Metrics.create("test"), access_over(state, SETTINGS)
    app = new_app("test", Health(metrics, (), 60.0), metrics, SETTINGS, access)

    @app.post("/match", dependencies=needs(Role.READER, quota="upload"))
    async def match(request: Request) -> Response:
        size = sum([len(block) async for block in request.stream()])
        if request.headers.get("x-fate") == "busy":
            raise ApiError(503, "busy", "later")
        if request.headers.get("x-fate") == "broken":
            raise ZeroDivisionError
        told = {REPLAYED_HEADER: "true"} if request.headers.get("x-fate") == "replayed" else {}
        return Response(str(size), headers=told)

    @app.post("/search", dependencies=needs(Role.READER, quota="query"))
    async def search() -> Response:
        return Response()

    app.add_routes(key_router(access))
    with Client(app) as opened:
        yield opened


def limited(state: State, queries: int | None, size: int | None) -> tuple[str, dict[str, str]]:
    key, token = state.keys.create(NewKey("a", Role.READER, quota=Quota(queries, size)))
    return key.id, {"Authorization": f"Bearer {token}"}


async def blocks(*given: bytes) -> AsyncIterator[bytes]:
    for block in given:
        yield block


def used(state: State, key_id: str) -> Use:
    return state.quotas.spend(key_id, Quota(1, 1), Use()).use


def test_queries_count_until_the_quota_is_used_and_the_caller_is_told(
    client: Client, state: State
) -> None:
    key_id, key = limited(state, 2, None)
    first = client.post("/match", content=b"abc", headers=key)
    assert first.headers["RateLimit-Policy"] == '"queries";q=2;w=86400'
    assert first.headers["RateLimit"] == f'"queries";r=1;t={LEFT_SECONDS}'
    assert client.post("/search", headers=key).headers["RateLimit"].startswith('"queries";r=0')
    refused = client.post("/search", headers=key)
    assert error_of(refused) == (429, "quota_exceeded")
    assert refused.headers["Retry-After"] == str(LEFT_SECONDS)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["RateLimit"].startswith('"queries";r=0')
    assert used(state, key_id) == Use(2, 3)
    free = client.post("/search", headers=key_of(state, Role.READER))
    assert (free.status_code, "RateLimit" in free.headers) == (200, False)


def test_announced_bytes_are_refused_before_they_are_sent(client: Client, state: State) -> None:
    key_id, key = limited(state, None, 10)
    assert client.post("/match", content=b"1234567", headers=key).text == "7"
    answer = client.post("/match", content=b"1234", headers=key)
    assert error_of(answer) == (429, "quota_exceeded")
    assert '"upload_bytes";r=3' in answer.headers["RateLimit"]
    assert client.post("/match", content=b"123", headers=key).status_code == 200
    assert client.post("/search", content=b"12345", headers=key).status_code == 200
    assert used(state, key_id) == Use(3, 10)


def test_json_that_names_a_video_is_no_uploaded_byte(client: Client, state: State) -> None:
    key_id, key = limited(state, None, 3)
    assert client.post("/match", content=b"123", headers=key).status_code == 200
    assert client.post("/match", json={"video_id": "a"}, headers=key).status_code == 200
    assert used(state, key_id) == Use(2, 3)


@pytest.mark.parametrize("step", [2, 1000])
def test_a_body_of_unknown_length_is_counted_while_it_arrives(
    client: Client, state: State, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(quota, "_STEP_BYTES", step)
    key_id, key = limited(state, None, 10)
    assert client.post("/match", content=blocks(b"123", b"4567"), headers=key).text == "7"
    assert used(state, key_id).upload_bytes == 7
    answer = client.post("/match", content=blocks(b"12", b"34"), headers=key)
    assert error_of(answer) == (429, "quota_exceeded")
    assert used(state, key_id).upload_bytes == 7
    assert client.post("/match", content=blocks(b"12", b"3"), headers=key).text == "3"


@pytest.mark.parametrize("fate", ["busy", "replayed"])
def test_what_the_service_did_not_do_costs_nothing(client: Client, state: State, fate: str) -> None:
    key_id, key = limited(state, 5, 100)
    answer = client.post("/match", content=b"1234", headers={**key, "x-fate": fate})
    assert '"queries";r=5' in answer.headers["RateLimit"]
    assert used(state, key_id) == Use()


def test_an_error_that_nobody_foresaw_costs_nothing(client: Client, state: State) -> None:
    key_id, key = limited(state, 5, 100)
    answer = client.post("/match", content=b"1234", headers={**key, "x-fate": "broken"})
    assert error_of(answer) == (500, "internal")
    assert used(state, key_id) == Use()


def test_a_refusal_is_answered_although_the_use_cannot_be_given_back(
    client: Client, state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key_id, key = limited(state, 5, 100)
    monkeypatch.setattr(state.quotas, "give_back", Mock(side_effect=StateError("it is down")))
    answer = client.post("/match", content=b"1234", headers={**key, "x-fate": "busy"})
    assert error_of(answer) == (503, "busy")
    assert '"queries";r=4' in answer.headers["RateLimit"]
    assert f"{key_id} paid for a request without result: it is down" in caplog.text


def test_an_admin_changes_limits_and_they_hold_at_once(client: Client, state: State) -> None:
    admin = key_of(state, Role.ADMIN)
    body = {"name": "ci", "role": "reader", "queries_per_day": 1}
    made = client.post("/v1/keys", json=body, headers=admin).json()
    key = {"Authorization": f"Bearer {made['key']}"}
    assert [client.post("/search", headers=key).status_code for _ in range(2)] == [200, 429]
    path = f"/v1/keys/{made['id']}"
    changed = client.ask("PATCH", path, json={"queries_per_day": 2}, headers=admin)
    assert (changed.status_code, changed.json()["queries_per_day"]) == (200, 2)
    assert [client.post("/search", headers=key).status_code for _ in range(2)] == [200, 429]
    client.ask("PATCH", path, json={"queries_per_day": None}, headers=admin)
    assert client.post("/search", headers=key).status_code == 200
    items = client.get("/v1/keys", headers=admin).json()["items"]
    (item,) = [one for one in items if one["id"] == made["id"]]
    assert (item["queries_per_day"], item["used_today"]) == (None, None)
    for wrong in ({}, {"queries_per_day": -1}, {"name": "b"}):
        assert client.ask("PATCH", path, json=wrong, headers=admin).status_code == 400
    unknown = client.ask("PATCH", "/v1/keys/x", json={"queries_per_day": 2}, headers=admin)
    assert error_of(unknown) == (404, "unknown_key")
    assert client.ask("PATCH", path, json={"queries_per_day": 2}, headers=key).status_code == 403
    assert state.audit.page()[0][0]["code"] == "forbidden"


def test_no_video_is_taken_once_its_seconds_are_used(client: Client, state: State) -> None:
    key, token = state.keys.create(NewKey("a", Role.READER, quota=Quota(video_seconds_per_day=9)))
    headers = {"Authorization": f"Bearer {token}"}
    state.quotas.count_seconds(key.id, 8.5)
    refused = client.post("/match", content=b"abc", headers=headers)
    assert error_of(refused) == (429, "quota_exceeded")
    assert refused.headers["Retry-After"] == str(LEFT_SECONDS)
    assert refused.headers["RateLimit"] == f'"video_seconds";r=0;t={LEFT_SECONDS}'
    assert client.post("/search", headers=headers).status_code == 200
    # A request that is refused costs nothing.
    assert used(state, key.id) == Use(1, 0, 9)
