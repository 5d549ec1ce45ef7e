"""Attacks on the API with keys on. Routes come from the OpenAPI document: a new one is attacked too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.state.roles import Role
from tests.support.keys import key_of, opened_state
from tests.support.queries import error_of
from tests.support.routes import BODIES, Route, routes
from tests.unit.searcher.api.test_key_access import ALWAYS, Keyed

# What only callers of the bank `default` may read: names of its videos, the bank, and metadata.
SECRETS = ('"a.mp4"', '"blind.mp4"', '"stranger.mp4"', '"default"', '"nested"')


class Tenants:
    """One tenant has the bank `default`, and there one thing of every kind; the other has `shows`."""

    def __init__(self, keyed: Keyed) -> None:
        self.keyed = keyed
        self.owner = key_of(keyed.state, Role.WRITER, ["default"])
        self.admin = key_of(keyed.state, Role.ADMIN)
        # An admin key is for all banks.
        roles = [role for role in Role if role is not Role.ADMIN]
        self.strangers = {role: key_of(keyed.state, role, ["shows"]) for role in roles}
        self.ids = self._things()

    def _things(self) -> dict[str, Any]:
        made = self._made("/v1/match", self.owner, 200, content=b"a.mp4")
        match_id = made["matches"][0]["match_id"]
        verdict = {"verdict": "copy", "note": "ours"}
        self._made(f"/v1/matches/{match_id}/verdicts", self.owner, 201, json=verdict)
        range_ = {"start_seconds": 15.0, "end_seconds": 15.5, "reason": "ident"}
        exception = {"kind": "range", "ref_video_id": "a.mp4", **range_}
        hook = self._made("/v1/webhooks", self.admin, 201, json={"url": "http://localhost/hook"})
        # A delivery of it.
        self._made(f"/v1/matches/{match_id}/verdicts", self.owner, 201, json=verdict)
        place = f"/v1/webhooks/{hook['id']}/deliveries"
        delivery = self.keyed.ask("GET", place, self.admin).json()["items"][0]
        return {
            "video_id": "a.mp4",
            "bank": "default",
            "match_id": match_id,
            "exception_id": self._made("/v1/exceptions", self.owner, 201, json=exception)["id"],
            "job_id": self._made("/v1/jobs", self.owner, 202, content=b"a.mp4")["id"],
            "webhook_id": hook["id"],
            "delivery_id": delivery["id"],
            "key_id": self.owner["Authorization"][10:22],
            "name": "another",
            # Values of query parameters.
            "ref_video_id": "a.mp4",
            "query_fingerprint": made["query"]["fingerprint"],
        }

    def _made(self, path: str, key: dict[str, str], status: int, **request: Any) -> Any:
        answer = self.keyed.ask("POST", path, key, **request)
        assert answer.status_code == status, answer.text
        return answer.json()

    def everything(self) -> dict[str, Any]:
        """What the owner and an admin see of each thing."""
        ids = self.ids
        paths = (
            *("/v1/videos/a.mp4", "/v1/banks", "/v1/exceptions", "/v1/webhooks", "/v1/matches"),
            *(f"/v1/jobs/{ids['job_id']}", f"/v1/matches/{ids['match_id']}"),
        )
        answers = {path: self.keyed.ask("GET", path, self.admin) for path in paths}
        assert {one.status_code for one in answers.values()} == {200}
        found = {path: answer.json() for path, answer in answers.items()}
        keys = self.keyed.ask("GET", "/v1/keys?limit=1000", self.admin).json()["items"]
        found["keys"] = [(one["id"], one["role"], one["revoked_at"]) for one in keys]
        return found


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Tenants]:
    with opened_state(tmp_path / "data") as state:
        # Metrics name banks.
        settings = ALWAYS.model_copy(update={"metrics_need_key": True})
        keyed = Keyed(tmp_path / "data", state, settings)
        yield Tenants(keyed)
        keyed.close()


def _all(tenants: Tenants) -> list[Route]:
    return list(routes(tenants.keyed.document, tenants.ids))


def test_no_route_shows_or_changes_a_thing_of_another_tenant(tenants: Tenants) -> None:
    before, found = tenants.everything(), []
    tried = [route for route in _all(tenants) if route.has_id]
    for route in tried:
        for role, key in tenants.strangers.items():
            body: Mapping[str, Any] = BODIES.get(str(route), {})
            request = {"json": dict(body)} if str(route) in BODIES else {}
            answer = tenants.keyed.ask(route.method, route.path, key, **request)
            if answer.status_code not in (403, 404) or any(one in answer.text for one in SECRETS):
                found.append(f"{role}: {route}: {answer.status_code} {answer.text[:200]}")
    assert found == []
    assert tenants.everything() == before
    # The owner reaches them, so it is the key that was refused.
    for path in ("/v1/videos/a.mp4", f"/v1/matches/{tenants.ids['match_id']}"):
        assert tenants.keyed.ask("GET", path, tenants.owner).status_code == 200


def test_no_list_tells_of_another_tenant(tenants: Tenants) -> None:
    lists = [route for route in _all(tenants) if not route.changes and not route.has_id]
    assert {"/v1/videos", "/v1/matches", "/v1/jobs"} <= {route.path for route in lists}
    found = []
    for route in lists:
        queries: list[dict[str, Any]] = [{}]
        queries += [{name: tenants.ids[name]} for name in route.parameters if name in tenants.ids]
        for role, key in tenants.strangers.items():
            for query in queries:
                answer = tenants.keyed.ask("GET", route.path, key, params=query)
                leaked = [one for one in SECRETS if one in answer.text]
                if answer.status_code >= 500 or leaked:
                    found.append(f"{role}: {route} {query}: {answer.status_code} {leaked}")
    assert found == []


def test_no_foreign_page_changes_anything_although_the_browser_has_the_key(
    tenants: Tenants,
) -> None:
    before = tenants.everything()
    foreign = (
        ({"Origin": "http://evil.example"}, "forbidden_origin"),
        ({"Origin": "null"}, "forbidden_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "forbidden_origin"),
        ({"Host": "evil.example"}, "forbidden_host"),
    )
    for route in _all(tenants):
        if not route.changes:
            continue
        for headers, code in foreign:
            # A form needs no permission of the service to be sent.
            sent = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            answer = tenants.keyed.ask(
                route.method, route.path, tenants.admin, headers=sent, content=b"a=b"
            )
            assert error_of(answer) == (403, code), (str(route), headers)
    assert tenants.everything() == before
