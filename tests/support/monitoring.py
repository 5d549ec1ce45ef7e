"""Services under a real Prometheus: what every panel and every rule shows, and which alerts fire."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from common.settings import SscdSettings
from common.types import VECTOR_DIMENSION
from embedder.visual import sscd
from scripts.dashboards import BOARDS
from scripts.dashboards.board import SERVE, Panel, Query
from tests.deploy.files import SERVE_CONFIG, Expression, recorded, rule_expressions
from tests.support.prometheus import Prometheus
from tests.support.services import Service, wait_until

# Grafana makes it at least four times the scrape interval, and more the more hours are shown.
RATE_INTERVAL = "30s"
_SERVE_SETTINGS = {
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_INGEST__QUIET_SECONDS": "0.3",
    "STORYHASH_INGEST__WATCH_SECONDS": "0.2",
    "STORYHASH_INGEST__WORKERS": "1",
    "STORYHASH_SERVICE__AUDIT_SECONDS": "1",
}


@dataclass(frozen=True)
class Finding:
    """What an expression came to. problem: empty if it is as it should be."""

    where: str
    shows: str
    problem: str


@dataclass(frozen=True)
class Watched:
    """What was seen, from `start` to `end` (seconds since 1970)."""

    prometheus: Prometheus
    start: float
    end: float

    def values(self, expression: Expression) -> list[float]:
        """What a panel would draw of an expression."""
        text = filled(expression.text, self.end - self.start)
        if expression.instant:
            return self.prometheus.now(text)
        return self.prometheus.values(text, self.start, self.end)

    def jobs(self) -> set[str]:
        """The jobs that are scraped, without Prometheus itself."""
        targets = self.prometheus.ask("targets", state="active")["activeTargets"]
        return {one["labels"]["job"] for one in targets} - {"prometheus"}

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self.prometheus.ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def findings(self, jobs: Collection[str]) -> list[Finding]:
        """What every panel and every rule shows, where these jobs run."""
        panels = [(board.uid, panel) for board in BOARDS for panel in board.panels]
        shown = [one for uid, panel in panels for one in self.panel_findings(uid, panel, jobs)]
        return [*shown, *self._rules()]

    def panel_findings(self, uid: str, panel: Panel, jobs: Collection[str]) -> list[Finding]:
        """What each line of a panel shows."""
        return [self._line(uid, panel, query, jobs) for query in panel.queries]

    def _line(self, uid: str, panel: Panel, query: Query, jobs: Collection[str]) -> Finding:
        where = f"{uid}: {panel.title}: {query.legend}"
        try:
            values = self.values(Expression(where, query.expr, query.instant))
        except RuntimeError as error:
            return Finding(where, "", str(error))
        numbers = [value for value in values if not math.isnan(value)]
        if numbers:
            return Finding(where, f"{min(numbers):.4g} to {max(numbers):.4g}", "")
        if not set(panel.shown_by) & set(jobs):
            return Finding(where, f"nothing: it shows {', '.join(panel.shown_by)}", "")
        if panel.may_be_empty:
            return Finding(where, f"nothing: {panel.may_be_empty}", "")
        return Finding(where, "", "empty")

    def _rules(self) -> Iterator[Finding]:
        groups = self.prometheus.ask("rules")["groups"]
        health = {rule["name"]: rule for group in groups for rule in group["rules"]}
        for rule in rule_expressions():
            told = health.get(rule.where, {"health": "missing"})
            if told["health"] != "ok":
                yield Finding(rule.where, "", told.get("lastError", told["health"]))
            elif rule.where in recorded():
                values = [v for v in self.values(Expression("", rule.where)) if not math.isnan(v)]
                shows = f"{min(values):.4g} to {max(values):.4g}" if values else ""
                yield Finding(rule.where, shows, "" if values else "empty")
            else:
                yield Finding(rule.where, told.get("state", ""), "")


def filled(expression: str, seconds: float) -> str:
    """An expression with the dashboards' variables filled in: every job and instance."""
    for name, value in {
        "$__rate_interval": RATE_INTERVAL,
        "$__range": f"{math.ceil(seconds)}s",
        "$instance": ".*",
        "$job": ".*",
    }.items():
        expression = expression.replace(name, value)
    return expression


@contextmanager
def serve_watched(
    folder: Path, draw: Callable[[Path, int], Path], seconds: float = 0.0
) -> Iterator[Watched]:
    """`storyhash serve` alone over drawn videos, asked and given work for at least `seconds`, until
    Prometheus has seen what a panel needs; with a second opinion, if SSCD's weights are there. draw:
    writes a video of a seed to a path."""
    films = folder / "films"
    films.mkdir(parents=True)
    for seed in range(2):
        draw(films / f"{seed}.mp4", seed)
    upload = draw(folder / "upload.mp4", 1)
    settings = {**_SERVE_SETTINGS, "STORYHASH_SERVICE__BACKUP_DIR": str(folder / "backups")}
    if asks_twice := sscd.available(SscdSettings()):
        settings["STORYHASH_SECOND_OPINION__PROFILE"] = "sscd-motion"
    service = Service(
        "serve",
        ("serve", "--watch", films, "--data", folder / "data"),
        folder / "serve.log",
        settings,
        preloaded=True,
    ).start()
    targets = {SERVE: [urlsplit(service.url).netloc]}
    try:
        with Prometheus(folder / "prometheus", targets, SERVE_CONFIG) as scraper:
            start = time.time()
            service.ready()
            wait_to_see(scraper, 'up{job="serve"} == 1')
            with _asked(service.url, upload):
                # A new video, and one that is none, while everything is scraped.
                shutil.copy(draw(folder / "new.mp4", 2), films / "new.mp4")
                (films / "broken.mp4").write_bytes(b"this is no video")
                wait_to_see(scraper, 'storyhash_videos_total{stage="search",outcome="failed"} > 0')
                wait_to_see(scraper, grew('http_requests_total{route="/v1/match",status="200"}'))
                wait_to_see(scraper, grew("query_duration_seconds_count"))
                wait_to_see(scraper, "storyhash_index_recall_ratio >= 0")
                wait_to_see(scraper, grew('videos_total{stage="search",outcome="done"}'))
                if asks_twice:
                    # About a new video of which no copy is there.
                    wait_to_see(scraper, "sum(storyhash_second_opinions_total) > 0")
                wait_for_recorded(scraper)
                if seconds:
                    # Verdicts are counted once per minute, which a test does not wait for.
                    judge(service.url)
                    wait_to_see(scraper, "sum(storyhash_judged_matches) > 0")
                httpx.post(f"{service.url}/v1/snapshots", timeout=300).raise_for_status()
                wait_to_see(scraper, "storyhash_last_backup_timestamp_seconds > 0")
                time.sleep(max(0.0, start + seconds - time.time()))
            assert service.running, service.text()
            yield Watched(scraper, start, time.time())
    finally:
        service.stop()


def wait_to_see(scraper: Prometheus, expression: str) -> None:
    """Wait until an expression has a value."""
    wait_until(lambda: scraper.now(expression) != [], expression, 600, 0.25)


def wait_for_recorded(scraper: Prometheus) -> None:
    """Wait until every recording rule was evaluated with a result, which is later than what it is made
    of was scraped."""
    for name in recorded():
        # A share of 0 may be calculated as a little less.
        wait_to_see(scraper, f"{name} > -1")


def grew(metric: str) -> str:
    """Whether a counter went up between two scrapes: one that began above zero has not. It may be long
    ago on a busy machine."""
    return f"sum(increase(storyhash_{metric}[10m])) > 0"


def judge(url: str) -> None:
    """Give a verdict on the newest match."""
    with httpx.Client(base_url=url, timeout=300) as client:
        (match,) = client.get("/v1/matches?limit=1").raise_for_status().json()["items"]
        path = f"/v1/matches/{match['id']}/verdicts"
        client.post(path, json={"verdict": "copy"}).raise_for_status()


@contextmanager
def _asked(url: str, upload: Path) -> Iterator[None]:
    """Everything callers do, again and again meanwhile: searches, matches, and mistakes."""
    vectors = np.random.default_rng(7).standard_normal((2, VECTOR_DIMENSION)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enough = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=300) as client:
            # The pause leaves the processor to what is waited for.
            while not enough.wait(2.0):
                raw = {"content-type": "application/octet-stream"}
                for _ in range(20):
                    client.post("/v1/search", content=vectors.tobytes(), headers=raw)
                client.post("/v1/match?name=upload.mp4", content=upload.read_bytes())
                client.get("/v1/videos")
                client.get("/v1/videos/nobody")
                client.post("/v1/match", content=b"this is no video")
                client.get("/nowhere")

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            enough.set()
            asking.result()
