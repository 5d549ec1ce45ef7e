"""Two tenants of one service: one has a thing of every kind, and the other one wants to see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.faults.own_network import Web
from tests.support.routes import Route, routes
from tests.support.services import wait_until

VIDEO = "film.mp4"
TITLE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"
# Texts that only the tenant of the bank `ours` may read.
SECRETS = ('"ours"', f'"{VIDEO}"', "alert(1)", "our note")
_RAW = {"Content-Type": "application/octet-stream"}


class Tenant:
    """Two tenants; the first has one thing of every kind."""

    def __init__(
        self, client: httpx.Client, keys: dict[str, dict[str, str]], web: Web, film: Path
    ) -> None:
        self.client, self.keys = client, keys
        wait_until(
            lambda: self.ask("admin", "GET", f"/v1/videos/{VIDEO}").json().get("state") == "ready",
            "the video",
            300,
            0.2,
        )
        described = {"bank": "ours", "title": TITLE}
        self.ask("admin", "PATCH", f"/v1/videos/{VIDEO}", json=described).raise_for_status()
        content = film.read_bytes()
        answer = self._made("/v1/match", 200, content=content, headers=_RAW)
        match_id = answer["matches"][0]["match_id"]
        hook = self._made("/v1/webhooks", 201, who="admin", json={"url": f"{web.url}/hook"})
        verdict = {"verdict": "copy", "note": "our note"}
        self._made(f"/v1/matches/{match_id}/verdicts", 201, json=verdict)
        place = f"/v1/webhooks/{hook['id']}/deliveries"
        exception = {
            "kind": "range",
            "ref_video_id": VIDEO,
            "reason": "ident",
            "start_seconds": 7.0,
            "end_seconds": 7.5,
        }
        job = self._made("/v1/jobs", 202, content=content, headers=_RAW)["id"]
        wait_until(
            lambda: self.ask("owner", "GET", f"/v1/jobs/{job}").json()["state"] == "done",
            "the job",
            300,
            0.2,
        )
        self.ids: dict[str, Any] = {
            "video_id": VIDEO,
            "bank": "ours",
            "match_id": match_id,
            "exception_id": self._made("/v1/exceptions", 201, json=exception)["id"],
            "job_id": job,
            "webhook_id": hook["id"],
            "delivery_id": self.ask("admin", "GET", place).json()["items"][0]["id"],
            "key_id": keys["owner"]["Authorization"][10:22],
            "name": "another",
            "ref_video_id": VIDEO,
            "query_fingerprint": answer["query"]["fingerprint"],
        }

    def ask(self, who: str, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**self.keys[who], **request.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **request)

    def routes(self) -> list[Route]:
        return list(routes(self.ask("admin", "GET", "/openapi.json").json(), self.ids))

    def everything(self) -> list[Any]:
        paths = ("/v1/videos", "/v1/banks", "/v1/exceptions", "/v1/matches", "/v1/jobs", "/v1/keys")
        found = [self.ask("admin", "GET", path).json()["items"] for path in paths]
        for key in found[-1]:
            key.pop("last_used_at", None)
        return found

    def _made(self, path: str, status: int, who: str = "owner", **request: Any) -> Any:
        answer = self.ask(who, "POST", path, **request)
        if answer.status_code != status:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()
