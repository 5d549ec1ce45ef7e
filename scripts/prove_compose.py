#!/usr/bin/env python3
"""Start a Compose file of deploy/ with a real container engine, and check what it promises.

python -m scripts.prove_compose                     storyhash serve (compose.serve.yaml)
python -m scripts.prove_compose --kafka             the services over Kafka (compose.yaml)
python -m scripts.prove_compose --without grafana   leave out a service, for example one without an image
python -m scripts.prove_compose --no-build          use the image storyhash:cpu that is there
python -m scripts.prove_compose --slow              give health checks and waits more time

It builds the image, starts the services under a project name of its own on free ports, indexes and
matches synthetic videos, kills and scales, stops and starts again, prints each promise as kept or BROKEN,
and deletes its containers and volumes. Images that are there are not pulled. It needs Docker Engine 25
with Compose 2.24.4. Exit code 1 if a promise is broken, 3 without an engine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from common.errors import StoryHashError
from scripts.compose_stack import DEPLOY, Stack
from scripts.promises import Proof
from storyhash.client import Client
from tests.e2e.conftest import draw

# Kills the service, the only child of the init process: the container ends, and its restart policy acts.
_KILL = "import os; os.kill(int(open('/proc/1/task/1/children').read().split()[0]), 9)"
# What a service ends with after SIGTERM, if not with 0: a JVM with 128 + SIGTERM.
_EXIT_CODES = {"kafka": 143}
# How long a promise may take to become true.
_SECONDS, _SLOW_SECONDS = 300.0, 1800.0
_CONFINED = "grep -E '^(CapEff|NoNewPrivs|Uid)' /proc/1/status; touch /opt/x 2>&1 || true"


def confinement(printed: str) -> dict[str, bool]:
    """Whether each promise of confinement is kept, from what _CONFINED printed in a container."""
    lines = (line.split(":", 1) for line in printed.splitlines() if ":" in line)
    seen = {name: value.split() for name, value in lines}
    return {
        "runs as user 10001": seen.get("Uid") == ["10001"] * 4,
        "has no capabilities": seen.get("CapEff") == ["0" * 16],
        "can gain no privileges": seen.get("NoNewPrivs") == ["1"],
        "has a read-only root": "Read-only file system" in printed,
    }


class Run:
    """The checks of one stack. door: the service that answers queries."""

    def __init__(self, stack: Stack, proof: Proof, door: str, folder: Path) -> None:
        self.stack, self.proof, self.door = stack, proof, door
        self.videos, self.queries = folder / "videos", folder / "queries"
        self.key: str | None = None
        for each in (self.videos, self.queries):
            each.mkdir()
        # Services run as another user.
        folder.chmod(0o755)
        draw(self.videos / "first.mp4", 1)
        draw(self.videos / "second.mp4", 2)
        self.copy = draw(self.queries / "copy.mp4", 1, mirrored=True)
        # Scenery unlike that of the catalogue: a searcher over Kafka has no files to compare pictures of.
        self.other = draw(self.queries / "other.mp4", 78)

    def client(self) -> Client:
        return Client(self.stack.address(self.door, 8000), self.key)

    def start(self) -> None:
        started = self.stack.run("up", "--detach", "--wait", "--pull", "missing")
        why = " ".join(started.stderr.split())[-600:] if started.returncode else ""
        self.proof.check("all services become healthy", started.returncode == 0, why)
        if why:
            print(self.stack.run("logs", "--no-color", "--tail", "10").stdout)
            raise StoryHashError("not all services became healthy; their logs are above")

    def confined(self, *services: str) -> None:
        for name in services:
            printed = self.stack.inside(name, "bash", "-c", _CONFINED).stdout
            for promise, kept in confinement(printed).items():
                self.proof.check(f"{name} {promise}", kept, "" if kept else printed)

    def ready(self, video_id: str) -> bool:
        with self.client() as client:
            states = {one.video_id: one.state for one in client.all_videos()}
        return states.get(video_id) == "ready"

    def finds(self, when: str) -> None:
        with self.client() as client:
            copy, other = client.match(self.copy), client.match(self.other)
        best = copy.matches[0].video_id if copy.matches else None
        said = f"{copy.decision} of {best}"
        self.proof.check(f"a mirrored copy is found {when}", said == "copy of first.mp4", said)
        none = other.decision
        self.proof.check(f"another video is not found {when}", none == "no_match", none)

    def page(self) -> None:
        page = httpx.get(self.stack.address(self.door, 8000), follow_redirects=True)
        html = page.headers.get("content-type", "").startswith("text/html")
        self.proof.check("the review page answers", page.is_success and html, page.status_code)

    def prometheus(self, path: str, **parameters: str) -> Any:
        """The data of a response of Prometheus."""
        url = f"{self.stack.address('prometheus', 9090)}/api/v1/{path}"
        return httpx.get(url, params=parameters).json()["data"]

    def up(self, job: str, instances: int) -> bool:
        rows = self.prometheus("query", query=f'up{{job="{job}"}}')["result"]
        return [row["value"][1] for row in rows] == ["1"] * instances

    def scraped(self, jobs: dict[str, int]) -> None:
        for job, count in jobs.items():
            self.proof.comes(f"Prometheus scrapes {count} x {job}", partial(self.up, job, count))
        rules = [rule for group in self.prometheus("rules")["groups"] for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] == "err"]
        self.proof.check("every rule is evaluated", bool(rules) and not bad, bad or len(rules))

    def backup(self) -> None:
        key = ["--env", f"STORYHASH_API_KEY={self.key}"] if self.key else []
        words = ("storyhash", "snapshot", "create", "--server", "http://127.0.0.1:8000", "--json")
        made = self.stack.run("exec", "-T", *key, self.door, *words)
        name = json.loads(made.stdout)["name"] if made.returncode == 0 else ""
        self.proof.check("a backup is made", bool(name), name or made.stderr[-300:])
        verified = self.stack.inside(
            self.door, "storyhash", "snapshot", "verify", f"/backups/{name}"
        )
        said = (verified.stdout + verified.stderr).strip()[-300:]
        self.proof.check("the backup is complete", verified.returncode == 0, said)

    def exits(self, service: str) -> list[int]:
        """The exit codes of its containers; 137: killed at the end of the grace period."""
        return [one["State"]["ExitCode"] for one in self.stack.containers(service)]

    def restarts(self, service: str) -> list[tuple[int, str]]:
        """How often its containers were started again, and their health."""
        seen = self.stack.containers(service)
        return [(one["RestartCount"], one["State"]["Health"]["Status"]) for one in seen]

    def again(self, *services: str) -> None:
        """Stop, delete the containers, start again: what is stored stays."""
        self.stack.must("stop")
        for name in services:
            ends = self.exits(name)
            good = _EXIT_CODES.get(name, 0)
            self.proof.check(f"{name} stops within its grace period", set(ends) == {good}, ends)
        self.stack.down(volumes=False)
        self.start()
        self.finds("after down and up")


def serve(run: Run) -> None:
    """The promises of compose.serve.yaml."""
    run.start()
    run.confined("serve")
    refused = httpx.get(run.stack.address("serve", 8000) + "/v1/videos").status_code
    run.proof.check("a request without a key is refused", refused == 401, refused)
    words = ("storyhash", "keys", "create", "prove", "--role", "admin", "--json")
    made = run.stack.inside("serve", *words)
    run.proof.check("the first key is created", made.returncode == 0, made.stderr.strip()[-300:])
    run.key = json.loads(made.stdout)["key"]
    run.proof.comes("a video of the watched folder is indexed", lambda: run.ready("first.mp4"))
    with run.client() as client:
        sent = client.add_video(file=draw(run.queries / "third.mp4", 3), video_id="third")
    run.proof.comes("an uploaded video is indexed", lambda: run.ready(sent.video_id))
    run.finds("at first")
    run.page()
    run.scraped({"serve": 1, "prometheus": 1})
    run.backup()
    run.again("serve")


def kafka(run: Run) -> None:
    """The promises of compose.yaml."""
    run.start()
    run.confined("embedder", "searcher")
    run.proof.check("the topics are created", run.exits("topics") == [0])
    produce(run, "first.mp4")
    run.finds("at first")
    run.page()
    run.scraped({"searcher": 1, "embedder": 1, "qdrant": 1, "prometheus": 1})
    run.backup()
    run.stack.inside("embedder", "python3", "-c", _KILL)
    run.proof.comes(
        "a killed embedder is started again",
        lambda: run.restarts("embedder") == [(1, "healthy")],
    )
    draw(run.videos / "third.mp4", 3)
    produce(run, "third.mp4")
    run.stack.set("EMBEDDERS", "2")
    run.stack.must("up", "--detach", "--wait")
    run.scraped({"embedder": 2})
    draw(run.videos / "fourth.mp4", 4)
    produce(run, "fourth.mp4")
    states = [one["State"]["Status"] for one in run.stack.containers("embedder")]
    run.proof.check("the producer leaves both embedders running", states == ["running"] * 2, states)
    run.again("embedder", "searcher", "kafka", "qdrant")


def produce(run: Run, video_id: str) -> None:
    """Run the producer to its end, and wait for one of its videos."""
    run.stack.must("--profile", "ingest", "up", "producer")
    ends = run.exits("producer")
    run.proof.check("the producer sends all and ends", ends == [0], ends)
    run.proof.comes(f"{video_id} becomes searchable", lambda: run.ready(video_id))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kafka", action="store_true", help="the services over Kafka")
    parser.add_argument(
        "--without", action="append", default=[], metavar="SERVICE", help="leave it out"
    )
    parser.add_argument("--file", action="append", default=[], type=Path, help="add a Compose file")
    parser.add_argument("--no-build", action="store_true", help="use the image that is there")
    parser.add_argument("--slow", action="store_true", help="more time, for a slow machine")
    chosen = parser.parse_args()
    file = DEPLOY / ("compose.yaml" if chosen.kafka else "compose.serve.yaml")
    proof = Proof(_SLOW_SECONDS if chosen.slow else _SECONDS)
    with tempfile.TemporaryDirectory(prefix="storyhash-compose-") as name:
        folder = Path(name)
        try:
            stack = Stack(
                *(file, folder, folder / "videos", chosen.without, chosen.file), slow=chosen.slow
            )
            run = Run(stack, proof, "searcher" if chosen.kafka else "serve", folder)
            stack.down(volumes=True)
            if not chosen.no_build:
                stack.must("build", run.door)
            try:
                (kafka if chosen.kafka else serve)(run)
            finally:
                stack.down(volumes=True)
        except StoryHashError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
    print(f"kept: {proof.kept}; broken: {', '.join(proof.broken) or 'none'}")
    return 1 if proof.broken else 0


if __name__ == "__main__":
    sys.exit(main())
