"""Attacks on `storyhash serve` with keys on: another tenant's things by every route that has an id,
foreign pages, guessed keys, forged webhook messages, and addresses that lead into the service's own
network. All are refused, and the audit log and the log tell of them; what was there is still there."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from common.errors import WebhookSignatureError
from common.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from storyhash.client.webhooks import verify_webhook
from tests.faults.harness import Trial, run
from tests.faults.keys import create_key, headers_of
from tests.faults.videos import draw
from tests.support.routes import BODIES, Route, routes
from tests.support.services import Service, wait_until

_SETTINGS = {
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_HTTP__REQUIRE_KEYS": "always",
    "STORYHASH_HTTP__METRICS_NEED_KEY": "true",
    "STORYHASH_HTTP__MAX_FAILED_KEYS_PER_MINUTE": "20",
    "STORYHASH_HTTP__ACCESS_LOG": "true",
    "STORYHASH_INGEST__WORKERS": "1",
    "STORYHASH_INGEST__QUIET_SECONDS": "0.3",
    # The receiver; every other address of this machine is private.
    "STORYHASH_WEBHOOKS__PRIVATE_HOSTS": '["127.0.0.2"]',
}
_VIDEO = "film.mp4"
_RAW = {"Content-Type": "application/octet-stream"}
_TITLE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"
# Texts that only the tenant of the bank `ours` may read.
_SECRETS = ('"ours"', f'"{_VIDEO}"', "alert(1)", "our note")
_GUESSES = 60


def attacks(trial: Trial) -> None:
    """The scenario."""
    film = draw(trial.folder / "films" / "film.mp4", 3, 8.0)
    data = trial.folder / "data"
    keys = {
        name: headers_of(create_key(data, name, _SETTINGS, role, bank))
        for name, role, bank in (
            ("admin", "admin", None),
            ("owner", "writer", "ours"),
            *((f"stranger-{role}", role, "theirs") for role in ("reader", "reviewer", "writer")),
        )
    }
    service = Service(
        "serve",
        ["serve", "--data", data, "--watch", film.parent],
        trial.folder / "serve.log",
        _SETTINGS,
    )
    with _Web() as web:
        service.start().ready()
        try:
            with httpx.Client(base_url=service.url, timeout=120) as client:
                tenant = _Tenant(client, keys, web, film)
                before = tenant.everything()
                _other_tenants(trial, tenant, service)
                _foreign_pages(trial, tenant)
                _own_network(trial, tenant, web)
                _forged_messages(trial)
                trial.promise("what was there is still there", tenant.everything() != before)
                _page(trial, tenant)
                _logged(trial, tenant, service)
                # Last, because it makes the service refuse unknown keys of this address for a while.
                _guesses(trial, tenant, service)
            trial.promise("it ends in order", service.stop() != 0)
        finally:
            if service.running:
                service.kill()
    trial.promise("no traceback", "Traceback" in service.text())


class _Web:
    """A receiver of webhooks that redirects each event into the own network, and a port of that network
    that nobody may reach."""

    def __init__(self) -> None:
        web = self
        self.reached = 0

        class Redirects(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{web.inside.server_port}/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Inside(BaseHTTPRequestHandler):
            def handle(self) -> None:
                web.reached += 1

        self.receiver = ThreadingHTTPServer(("127.0.0.2", 0), Redirects)
        self.inside = ThreadingHTTPServer(("127.0.0.1", 0), Inside)
        self.url = f"http://127.0.0.2:{self.receiver.server_port}"

    def __enter__(self) -> _Web:
        for server in (self.receiver, self.inside):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.receiver, self.inside):
            server.shutdown()
            server.server_close()

    def into_the_network(self) -> Iterator[str]:
        """Addresses that lead to the port inside, or to other private places."""
        port = self.inside.server_port
        yield from (
            f"http://{name}:{port}/film.mp4"
            for name in (
                *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
                *("127.1", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]"),
                *(
                    "[64:ff9b::7f00:1]",
                    "[2002:7f00:1::]",
                    "localhost.localdomain",
                    "127.0.0.1.",
                    "①②⑦.0.0.1",
                ),
            )
        )
        yield from (
            *(
                "http://169.254.169.254/latest/meta-data/",
                "http://10.0.0.1/",
                "http://192.168.0.1/",
            ),
            *(
                "http://[fe80::1]/",
                "http://[fd00::1]/",
                "http://100.64.0.1/",
                "http://user@127.0.0.1/",
            ),
            *(
                "file:///etc/passwd",
                "gopher://127.0.0.1/",
                "ftp://127.0.0.1/",
                "/etc/passwd",
                "concat:a|b",
            ),
        )


class _Tenant:
    """Two tenants; the first has one thing of every kind."""

    def __init__(
        self, client: httpx.Client, keys: dict[str, dict[str, str]], web: _Web, film: Path
    ) -> None:
        self.client, self.keys = client, keys
        wait_until(
            lambda: self.ask("admin", "GET", f"/v1/videos/{_VIDEO}").json().get("state") == "ready",
            "the video",
            300,
            0.2,
        )
        described = {"bank": "ours", "title": _TITLE}
        self.ask("admin", "PATCH", f"/v1/videos/{_VIDEO}", json=described).raise_for_status()
        content = film.read_bytes()
        answer = self._made("/v1/match", 200, content=content, headers=_RAW)
        match_id = answer["matches"][0]["match_id"]
        hook = self._made("/v1/webhooks", 201, who="admin", json={"url": f"{web.url}/hook"})
        verdict = {"verdict": "copy", "note": "our note"}
        self._made(f"/v1/matches/{match_id}/verdicts", 201, json=verdict)
        place = f"/v1/webhooks/{hook['id']}/deliveries"
        exception = {
            "kind": "range",
            "ref_video_id": _VIDEO,
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
            "video_id": _VIDEO,
            "bank": "ours",
            "match_id": match_id,
            "exception_id": self._made("/v1/exceptions", 201, json=exception)["id"],
            "job_id": job,
            "webhook_id": hook["id"],
            "delivery_id": self.ask("admin", "GET", place).json()["items"][0]["id"],
            "key_id": keys["owner"]["Authorization"][10:22],
            "name": "another",
            "ref_video_id": _VIDEO,
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


def _other_tenants(trial: Trial, tenant: _Tenant, service: Service) -> None:
    wrong: list[str] = []
    tried = 0
    strangers = [name for name in tenant.keys if name.startswith("stranger")]
    for route in tenant.routes():
        for who in strangers:
            queries: list[dict[str, Any]] = [{}]
            queries += [{one: tenant.ids[one]} for one in route.parameters if one in tenant.ids]
            if route.changes and not route.has_id:
                continue
            for query in queries:
                body: dict[str, Any] = {}
                if str(route) in BODIES:
                    body = {"json": dict(BODIES[str(route)])}
                answer = tenant.ask(who, route.method, route.path, params=query, **body)
                tried += 1
                leaked = [one for one in _SECRETS if one in answer.text]
                hidden = answer.status_code in (403, 404) if route.has_id else True
                if not hidden or leaked or answer.status_code >= 500:
                    wrong.append(f"{who}: {route} {query}: {answer.status_code} {leaked}")
    trial.figures["cross_tenant_requests"] = tried
    trial.promise("no route shows or changes a thing of another tenant", wrong)


def _foreign_pages(trial: Trial, tenant: _Tenant) -> None:
    wrong, statuses = [], Counter[str]()
    foreign = (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    )
    for route in tenant.routes():
        for headers in foreign if route.changes else ():
            answer = tenant.ask("admin", route.method, route.path, headers=headers)
            statuses[str(answer.status_code)] += 1
            if answer.status_code != 403:
                wrong.append(f"{route} {headers}: {answer.status_code}")
    trial.figures["foreign_pages"] = dict(statuses)
    trial.promise("no foreign page changes anything, whatever key it has", wrong)


def _own_network(trial: Trial, tenant: _Tenant, web: _Web) -> None:
    wrong: list[str] = []
    addresses = list(web.into_the_network())
    for address in addresses:
        for path in ("/v1/match", "/v1/jobs", "/v1/videos"):
            body = {"uri": address, **({"bank": "ours"} if path == "/v1/videos" else {})}
            answer = tenant.ask("owner", "POST", path, json=body)
            # A job is refused when it runs.
            if path == "/v1/jobs" and answer.status_code == 202:
                answer = _ended(tenant, answer.json()["id"], wrong)
            if not 400 <= answer.status_code < 500:
                wrong.append(f"{path}: {address}: {answer.status_code} {answer.text[:200]}")
        hook = {"url": address.replace("http://", "https://", 1)}
        for given in (hook, {"url": address}):
            answer = tenant.ask("admin", "POST", "/v1/webhooks", json=given)
            if answer.status_code != 400:
                wrong.append(f"webhook: {given}: {answer.status_code}")
    trial.figures["addresses"] = len(addresses)
    trial.promise("no address into the own network is taken", wrong)
    # The webhook of the tenant answers each event with a redirect there.
    place = f"/v1/webhooks/{tenant.ids['webhook_id']}/deliveries"
    wait_until(
        lambda: any(
            one["status"] == 302 for one in tenant.ask("admin", "GET", place).json()["items"]
        ),
        "a redirected event",
        60,
        0.2,
    )
    trial.promise(
        "nothing connected to the own network", [f"{web.reached} times"] * bool(web.reached)
    )


def _ended(tenant: _Tenant, job_id: str, wrong: list[str]) -> httpx.Response:
    """Wait for a job, which must fail, and delete it."""
    path = f"/v1/jobs/{job_id}"
    until = time.monotonic() + 120
    while (state := tenant.ask("owner", "GET", path).json()["state"]) in ("queued", "running"):
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    if state != "failed":
        wrong.append(f"job {job_id} is {state}")
    tenant.ask("owner", "DELETE", path)
    return tenant.ask("owner", "GET", path)


def _forged_messages(trial: Trial) -> None:
    """What the receiver's library refuses."""
    secret, body, now = "whsec_" + "c2VjcmV0" * 4, b'{"id": "evt_1"}', int(time.time())

    def headers(sent_at: int, signed: str) -> dict[str, str]:
        return {ID_HEADER: "evt_1", TIMESTAMP_HEADER: str(sent_at), SIGNATURE_HEADER: signed}

    good = signature(secret, "evt_1", now, body)
    verify_webhook(secret, headers(now, good), body)
    old = now - 3600
    forged = {
        "another secret": (
            headers(now, signature("whsec_" + "YW5vdGhlcg==", "evt_1", now, body)),
            body,
        ),
        "an old message": (headers(old, signature(secret, "evt_1", old, body)), body),
        "an old signature with a new time": (
            headers(now, signature(secret, "evt_1", old, body)),
            body,
        ),
        "another body": (headers(now, good), body + b" "),
        "another id": ({**headers(now, good), ID_HEADER: "evt_2"}, body),
        "no signature": (headers(now, ""), body),
        "another version": (headers(now, good.replace("v1,", "v0,")), body),
    }
    taken = []
    for what, (given, content) in forged.items():
        try:
            verify_webhook(secret, given, content)
            taken.append(what)
        except WebhookSignatureError:
            continue
    trial.promise("forged and old webhook messages are refused", taken)


def _page(trial: Trial, tenant: _Tenant) -> None:
    """The title is JSON text, and the page can run nothing that is not a file of it."""
    shown = tenant.ask("owner", "GET", f"/v1/videos/{_VIDEO}")
    page = tenant.client.get("/")
    policy = page.headers.get("Content-Security-Policy", "")
    wrong = [
        *([] if shown.json()["title"] == _TITLE else ["the title is changed"]),
        *([] if shown.headers["Content-Type"] == "application/json" else ["the title is not JSON"]),
        *(
            []
            if shown.headers["X-Content-Type-Options"] == "nosniff"
            else ["a type may be guessed"]
        ),
        *(["the page may run text"] if "unsafe-inline" in policy.partition("style-src")[0] else []),
        *([] if "script-src 'self'" in policy or "default-src 'self'" in policy else [policy]),
        *(["the page holds data"] if "alert(" in page.text else []),
    ]
    trial.promise("a title is text, on the page too", wrong)


def _logged(trial: Trial, tenant: _Tenant, service: Service) -> None:
    """Refused changes are in the audit log, and refused requests in the access log."""
    entries = tenant.ask("admin", "GET", "/v1/audit?limit=1000").json()["items"]
    refused = Counter(one["code"] for one in entries if one["status"] >= 400)
    lines = [json.loads(line) for line in service.text().splitlines() if line.startswith("{")]
    statuses = Counter(str(one.get("status")) for one in lines)
    trial.figures |= {"audited_refusals": dict(refused), "logged_statuses": dict(statuses)}
    trial.promise(
        "refused changes are in the audit log",
        [code for code in ("forbidden", "unknown_video", "unknown_match") if not refused[code]],
    )
    trial.promise("refused requests are in the log", not statuses["403"] or not statuses["404"])
    secrets = [key["Authorization"].rpartition("_")[2] for key in tenant.keys.values()]
    trial.promise("no key is in the log", any(one in service.text() for one in secrets))


def _guesses(trial: Trial, tenant: _Tenant, service: Service) -> None:
    """Guesses are counted by address; keys that are known go on."""
    real = tenant.keys["owner"]["Authorization"]
    statuses: Counter[str] = Counter()
    wrong = []
    for number in range(_GUESSES):
        guess = f"{real[:-4]}{number:04d}"
        answer = tenant.client.get("/v1/videos", headers={"Authorization": guess})
        statuses[str(answer.status_code)] += 1
        if answer.status_code == 429 and "Retry-After" not in answer.headers:
            wrong.append("429 without Retry-After")
        if answer.status_code not in (401, 429):
            wrong.append(f"{answer.status_code} for a guessed key")
    trial.figures["guesses"] = dict(statuses)
    if not statuses["429"]:
        wrong.append("no guess was slowed down")
    known = tenant.ask("owner", "GET", "/v1/videos").status_code
    trial.promise(
        "guessing keys is slowed down, and known keys are not",
        [*wrong, *([] if known == 200 else [str(known)])],
    )
    trial.promise("guesses are in the log", "unknown, expired or revoked key" not in service.text())


if __name__ == "__main__":
    run("attacks", __doc__ or "", attacks)
