"""Attacks on `storyhash serve` with keys on: another tenant's things by every route that has an id,
foreign pages, guessed keys, forged webhook messages, and addresses that lead into the service's own
network. All are refused, and the audit log and the log tell of them; what was there is still there."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import httpx

from common.errors import WebhookSignatureError
from common.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from storyhash.client.webhooks import verify_webhook
from tests.faults.harness import Trial, run
from tests.faults.keys import create_key, headers_of
from tests.faults.own_network import RECEIVER, Web
from tests.faults.two_tenants import SECRETS, TITLE, VIDEO, Tenant
from tests.faults.videos import draw
from tests.support.routes import BODIES
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
    "STORYHASH_WEBHOOKS__PRIVATE_HOSTS": f'["{RECEIVER}"]',
}
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
    with Web() as web:
        service.start().ready()
        try:
            with httpx.Client(base_url=service.url, timeout=120) as client:
                tenant = Tenant(client, keys, web, film)
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


def _other_tenants(trial: Trial, tenant: Tenant, service: Service) -> None:
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
                leaked = [one for one in SECRETS if one in answer.text]
                hidden = answer.status_code in (403, 404) if route.has_id else True
                if not hidden or leaked or answer.status_code >= 500:
                    wrong.append(f"{who}: {route} {query}: {answer.status_code} {leaked}")
    trial.figures["cross_tenant_requests"] = tried
    trial.promise("no route shows or changes a thing of another tenant", wrong)


def _foreign_pages(trial: Trial, tenant: Tenant) -> None:
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


def _own_network(trial: Trial, tenant: Tenant, web: Web) -> None:
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


def _ended(tenant: Tenant, job_id: str, wrong: list[str]) -> httpx.Response:
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


def _page(trial: Trial, tenant: Tenant) -> None:
    """The title is JSON text, and the page can run nothing that is not a file of it."""
    shown = tenant.ask("owner", "GET", f"/v1/videos/{VIDEO}")
    page = tenant.client.get("/")
    policy = page.headers.get("Content-Security-Policy", "")
    wrong = [
        *([] if shown.json()["title"] == TITLE else ["the title is changed"]),
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
    place = f"/v1/matches/{tenant.ids['match_id']}/evidence"
    pack = tenant.ask("owner", "GET", place, headers={"Accept": "text/html"})
    if pack.status_code != 200 or "<script>" in pack.text or "<img src=x" in pack.text:
        wrong.append(f"the evidence pack: {pack.status_code}")
    trial.promise("a title is text, on the page and in an evidence pack too", wrong)


def _logged(trial: Trial, tenant: Tenant, service: Service) -> None:
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


def _guesses(trial: Trial, tenant: Tenant, service: Service) -> None:
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
