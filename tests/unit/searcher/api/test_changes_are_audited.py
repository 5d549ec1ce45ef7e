"""Every route that changes something is in the audit log."""

from __future__ import annotations

from fastapi.routing import APIRoute

from common.http.roles import RoleCheck
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
# They ask: what a match stores is an answer, and a job is a match that nobody waits for.
QUESTIONS = {"/v1/match", "/v1/jobs", "/v1/search", "/v1/videos/states"}


def test_every_change_has_a_name_in_the_audit_log(keyed: Keyed) -> None:
    changes, questions = {}, set()
    # Those of a router that FastAPI includes would not be among them, and would be made twice.
    for route in [one for one in keyed.app.routes if isinstance(one, APIRoute)]:
        if not (route.methods or set()) - {"GET", "HEAD"}:
            continue
        (check,) = [one.dependency for one in route.dependencies]
        assert isinstance(check, RoleCheck)
        if check.change:
            changes[check.change] = route.path
        else:
            questions.add(route.path)
    assert questions == QUESTIONS
    assert {"keys.update", "banks.put", "videos.update", "jobs.delete"} <= set(changes)
