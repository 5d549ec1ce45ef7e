"""Requests that schemathesis makes from the OpenAPI documents of a searcher and of an embedder, with keys
required and without: every answer must be one that the document describes. Needs `pip install
schemathesis`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import UsageError, VideoError
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from common.types import OnDecoded
from embedder.server import embed_app
from searcher.serving import OpenedQuery
from searcher.storage.staged_videos import StagedVideo
from tests.faults.api_hooks import IDS, OWN_KEY
from tests.faults.harness import Trial, run
from tests.support.keys import access_over, key_of, opened_state
from tests.support.services import ROOT
from tests.unit.searcher.api.test_api import FILMS, embed
from tests.unit.searcher.api.test_attacks import Tenants
from tests.unit.searcher.api.test_key_access import JobsDone, Keyed

# Without bounds on the rate of requests, because the answer to all is then 429.
_SETTINGS = HttpSettings(
    port=0,
    require_keys="never",
    requests_per_minute=0,
    max_failed_keys_per_minute=0,
    max_upload_bytes=1 << 20,
)
_MODES = {"keys off": _SETTINGS, "keys on": _SETTINGS.model_copy(update={"require_keys": "always"})}
# Left out: that every generated request succeeds, and that a resource that was made is there. Whether a
# video, bank or job exists is not in the document, and generated videos are none.
_LEFT_OUT = ("positive_data_acceptance", "ensure_resource_availability")
# What is checked only where keys are required.
_OF_KEYS = ("ignored_auth", "missing_required_header")
_EXAMPLES, _QUICK_EXAMPLES = 60, 10


def api(trial: Trial) -> None:
    """The scenario."""
    for mode, settings in _MODES.items():
        for name, parts in {"searcher": _searcher, "embedder": _embedder}.items():
            if trial.wants(f"{name}, {mode}"):
                with parts(trial.folder / mode / name, settings) as target:
                    _fuzz(trial, f"{name}, {mode}", target, settings)


# Its own list of refusals lacks 431: a parameter may be longer than all headers may be.
_CONFIG = """[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429, 431, "5xx"]
"""


@dataclass(frozen=True)
class _Target:
    """An app, a key of its admin, and an id for each path parameter of its routes."""

    app: FastAPI
    key: dict[str, str]
    ids: dict[str, Any] = field(default_factory=dict)


def _fuzz(trial: Trial, name: str, target: _Target, settings: HttpSettings) -> None:
    examples = trial.size(_EXAMPLES, _QUICK_EXAMPLES)
    left_out = _LEFT_OUT if settings.require_keys == "always" else (*_LEFT_OUT, *_OF_KEYS)
    key = target.key
    with HttpServer(target.app, settings) as server:
        config = trial.folder / "schemathesis.toml"
        config.write_text(_CONFIG)
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", f"{server.url}/openapi.json"),
            *("--checks", "all", "--exclude-checks", ",".join(left_out), "--continue-on-failure"),
            *("--max-examples", str(examples), "--seed", str(trial.seed), "--no-color"),
            *("--no-shrink", "--wait-for-schema", "60", "--request-timeout", "60"),
            *(f"--header={field}: {value}" for field, value in key.items()),
        ]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.faults.api_hooks",
            IDS: json.dumps(target.ids),
            OWN_KEY: target.key["Authorization"][10:22],
        }
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
        (trial.folder / f"{name}.txt").write_text(ran.stdout + ran.stderr)
        broken = [] if ran.returncode == 0 else [ran.stdout[-6000:] + ran.stderr[-2000:]]
        trial.promise(f"{name}: every answer is as the document says", broken)
        path = "/v1/model" if "embed" in name else "/v1/videos"
        answer = httpx.get(f"{server.url}{path}", headers=key, timeout=60)
        trial.promise(f"{name}: it answers afterwards", answer.status_code != 200)


@contextmanager
def _searcher(folder: Path, settings: HttpSettings) -> Iterator[_Target]:
    with ExitStack() as stack:
        state = stack.enter_context(opened_state(folder))
        keyed = Keyed(folder, state, settings, _embed, _Whole())
        stack.callback(keyed.close)
        stack.enter_context(JobsDone(keyed.runner(_embed)))
        yield _Target(keyed.app, key_of(state, Role.ADMIN), Tenants(keyed).ids)


@contextmanager
def _embedder(folder: Path, settings: HttpSettings) -> Iterator[_Target]:
    def no_video(source: Path | str, name: str, _: Cancellation) -> Any:
        raise VideoError(f"{name}: cannot be decoded")

    with opened_state(folder) as state:
        parts = (Health(None, (), 1e6), Metrics.create("embed"), settings)
        app = embed_app(no_video, "model", *parts, access=access_over(state, settings))
        yield _Target(app, key_of(state, Role.ADMIN))


@contextmanager
def _embed(
    source: Path | str,
    name: str,
    model_id: str,
    cancellation: Cancellation = NEVER_CANCELLED,
    on_decoded: OnDecoded | None = None,
) -> Iterator[OpenedQuery]:
    """Generated bytes are no video, but the name of a film is one; an address shows a film."""
    if isinstance(source, Path):
        if source.read_bytes().decode(errors="replace") not in FILMS:
            raise VideoError(f"{source}: cannot be decoded")
        with embed(source, name, model_id, cancellation) as query:
            yield query
        return
    shown = sorted(FILMS)[len(source) % len(FILMS)]
    with embed(f"/{shown}", name, model_id, cancellation) as query:
        yield query


class _Whole:
    """Two generations, and one incomplete video."""

    def __init__(self) -> None:
        self._names = ["", "clip"]
        self._answers = ""
        self._staged = [StagedVideo("late.mp4", 1, 2, None, 3.0, "waits for its end")]

    def generations(self) -> list[dict[str, Any]]:
        return list(map(self._item, self._names))

    def follow(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            self._names.append(name)
        return self._item(name)

    def activate(self, name: str) -> dict[str, Any]:
        self._check(name)
        self._answers = name
        return self._item(name)

    def drop(self, name: str) -> None:
        self._check(name)
        if name == self._answers:
            raise UsageError(f"generation {name!r} answers; activate another one first")
        self._names.remove(name)

    def staged(self, after: str, limit: int) -> tuple[list[StagedVideo], str | None]:
        return [video for video in self._staged if video.video_id > after][:limit], None

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        found = [one.version for one in self._staged if one.video_id == video_id]
        return [number for number in found if version in (None, number)]

    def _check(self, name: str) -> None:
        if name not in self._names:
            raise UsageError(f"no generation {name!r} is followed; /v1/generations lists them")

    def _item(self, name: str) -> dict[str, Any]:
        return {
            "generation": name,
            "answers": name == self._answers,
            "model_id": None,
            "videos": 0,
            "vectors": 0,
            "waiting_for": {},
            "error": None,
        }


if __name__ == "__main__":
    run("api", __doc__ or "", api)
