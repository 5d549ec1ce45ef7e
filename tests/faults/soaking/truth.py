"""What must hold after a soak: every acknowledged write is there, and every event was delivered."""

from __future__ import annotations

from typing import Any

import httpx

from tests.faults.soaking.load import KEPT, Acknowledged
from tests.faults.soaking.receiver import Receiver

_ENDED = ("done", "failed", "cancelled")


def rows(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """All items of all pages."""
    found: list[dict[str, Any]] = []
    cursor: str | int | None = None
    while True:
        page = client.get(
            httpx.URL(path).copy_merge_params(
                {"limit": 500, **({"cursor": cursor} if cursor else {})}
            )
        )
        page.raise_for_status()
        found += page.json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return found


def lost_videos(client: httpx.Client, known: Acknowledged) -> list[str]:
    """Videos that are not as they were acknowledged."""
    states = {one["video_id"]: one["state"] for one in rows(client, "/v1/videos")}
    sure = known.added - known.deleted - known.undecided
    return [
        *(f"{name} is {states.get(name)}" for name in sorted(sure) if states.get(name) != "ready"),
        *(f"{name} is back" for name in sorted(known.deleted) if name in states),
    ]


def set_aside(client: httpx.Client) -> list[str]:
    """Videos that were alone in hand when the service was killed for the second time: they are not
    indexed again until they are posted again."""
    failed = rows(client, "/v1/videos?state=failed")
    return [one["video_id"] for one in failed if one["error"]["code"] == "crashed"]


def lost_verdicts(client: httpx.Client, known: Acknowledged) -> list[str]:
    """Verdicts that are not there, or are there twice."""
    found: list[int] = []
    for match_id in sorted(set(known.verdicts.values())):
        found += [one["id"] for one in rows(client, f"/v1/matches/{match_id}/verdicts")]
    twice = len(found) - len(set(found))
    missing = [f"verdict {one} is lost" for one in sorted(known.verdicts.keys() - set(found))]
    return [*missing, *([f"{twice} verdicts are there twice"] if twice else [])]


def lost_jobs(client: httpx.Client, known: Acknowledged) -> list[str]:
    """Jobs that did not end. One that was begun twice when the service was killed may have failed."""
    states = {one["id"]: one for one in rows(client, "/v1/jobs")}
    wrong = []
    for name in sorted(known.jobs):
        job = states.get(name, {"state": None})
        crashed = (job.get("error") or {}).get("code") == "crashed"
        if job["state"] != "done" and not (job["state"] == "failed" and crashed):
            wrong.append(f"job {name} is {job['state']}: {job.get('error')}")
    return wrong


def untold(client: httpx.Client, known: Acknowledged, receiver: Receiver) -> list[str]:
    """Acknowledged changes of which no webhook was told."""
    judged = {one["verdict"]["id"] for one in receiver.of_type("verdict.given")}
    deleted = {one["video_id"] for one in receiver.of_type("video.deleted")}
    ended = {one["job_id"] for one in receiver.of_type("job.finished")}
    indexed = {(one["video_id"], one["version"]) for one in receiver.of_type("video.indexed")}
    ready = {
        (one["video_id"], one["version"])
        for one in rows(client, "/v1/videos")
        # The webhook was made after those that are kept.
        if one["state"] == "ready" and one["bank"] != KEPT
    }
    return [
        *(f"verdict {one}" for one in sorted(known.verdicts.keys() - judged)),
        *(f"deletion of {one}" for one in sorted(known.deleted - deleted)),
        *(f"end of job {one}" for one in sorted(known.jobs - ended)),
        *(f"{name}, version {version}, is indexed" for name, version in sorted(ready - indexed)),
    ]


def all_ended(client: httpx.Client, webhook_id: str) -> str:
    """What still goes on; empty if nothing does."""
    pending = client.get("/v1/videos", params={"state": "pending", "limit": 1}).json()["total"]
    jobs = [one for one in rows(client, "/v1/jobs") if one["state"] not in _ENDED]
    place = f"/v1/webhooks/{webhook_id}/deliveries"
    waiting = client.get(place, params={"state": "pending", "limit": 1}).json()["total"]
    if not pending + len(jobs) + waiting:
        return ""
    return f"{pending} videos, {len(jobs)} jobs, {waiting} deliveries"
