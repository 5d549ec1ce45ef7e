"""A video that crashes whatever works on it ends as one failed video, not as a service that never starts.

The processes really end by a fault: see `crashing` in tests/faults/command_variants.py.
"""

from __future__ import annotations

import signal
import subprocess
import uuid
from pathlib import Path

import httpx

from tests.e2e.conftest import ROOT, draw, environment
from tests.e2e.test_serve import SETTINGS
from tests.faults.stream import all_ready, deployment_of, rows
from tests.support import preloaded
from tests.support.services import Service, wait_until, write_manifest

CRASHING = ("tests.faults.command_variants", "crashing")
_SECONDS = 600.0
_FAULTS = {-signal.SIGSEGV, -signal.SIGBUS}


def films(folder: Path) -> Path:
    folder.mkdir()
    for number, name in enumerate(("a", "crash", "z")):
        draw(folder / f"{name}.mp4", number, 2.0)
    return folder


def test_serve_starts_again_with_the_row_that_crashed_it_failed(tmp_path: Path) -> None:
    arguments = ("serve", "--data", tmp_path / "data", "--watch", films(tmp_path / "films"))
    service = Service("serve", arguments, tmp_path / "serve.log", SETTINGS, preloaded=True)
    ends = [service.start(CRASHING).wait(_SECONDS) for _ in range(3)]
    assert {*ends} <= _FAULTS, service.log.read_text()[-3000:]
    service.start(CRASHING).ready()
    try:
        with httpx.Client(base_url=service.url, timeout=60) as client:

            def states() -> dict[str, str]:
                items = client.get("/v1/videos").json()["items"]
                return {one["video_id"]: one["state"] for one in items}

            wanted = {"a.mp4": "ready", "crash.mp4": "failed", "z.mp4": "ready"}
            wait_until(lambda: states() == wanted, "the others", _SECONDS)
            assert "crashed three times" in service.text()
    finally:
        assert service.stop() == 0


def test_index_goes_on_without_the_video_that_crashed_it(tmp_path: Path) -> None:
    arguments = [*CRASHING, "index", str(films(tmp_path / "films"))]
    arguments += ["--data", str(tmp_path / "data"), "--profile", "offline"]

    def index() -> subprocess.CompletedProcess[str]:
        return preloaded.run(arguments, env=environment(), cwd=ROOT)

    assert {index().returncode for _ in range(3)} <= _FAULTS
    fourth = index()
    assert fourth.returncode == 1, fourth.stderr
    assert "crash.mp4: not indexed: StoryHash crashed three times" in fourth.stderr
    assert "1 failed" in fourth.stdout
    # It failed, and has not changed since.
    fifth = index()
    assert fifth.returncode == 1, fifth.stderr
    assert "2 unchanged, 1 failed" in fifth.stdout


def test_a_segment_that_crashes_embedders_goes_to_the_dead_letters(
    kafka: str, tmp_path: Path
) -> None:
    folder = films(tmp_path / "films")
    names = write_manifest(tmp_path / "all.jsonl", sorted(folder.iterdir()), copies=1)
    with deployment_of(
        tmp_path, kafka, f"crash-{uuid.uuid4().hex[:8]}", preloaded=True
    ) as deployment:
        deployment.create_topics()
        searcher = deployment.searcher()
        assert deployment.producer(tmp_path / "all.jsonl").wait(_SECONDS) == 0
        embedder = deployment.service("embedder-1", "embed", module=CRASHING)
        # A segment is set aside after three crashes.
        while not all_ready(searcher, names):
            if embedder.running:
                wait_until(
                    lambda: not embedder.running or all_ready(searcher, names), "news", _SECONDS
                )
                continue
            assert embedder.exit_code in _FAULTS, embedder.text()
            embedder.start(CRASHING)
        listed = deployment.run("dead-letters", "list", "--reason", "crashed", "--json")
        assert "crashed three times" in listed.stdout, listed.stderr
        assert rows(searcher)[names[1]]["segments"] == 0
