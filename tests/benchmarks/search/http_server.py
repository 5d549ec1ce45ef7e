"""One HTTP server over an index, in a process of its own: its clients need the other core.

    python -m tests.benchmarks.search.http_server KIND FOLDER

It prints its port, and ends when its standard input does. KIND:

empty      a bare ASGI route that reads a body and sends one as long as an answer: the loopback floor
ours       the API as a service has it
fastapi    a FastAPI route with pydantic models and JSON, over the same index
writing    the API over an index that is written to meanwhile (`search_while_writing`)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import NotReadyError
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.runtime_tuning import hand_over_soon, keep_what_is_there, work_in_one_thread
from common.settings import HttpSettings, Settings
from searcher.api.app import api_app
from searcher.local_index import LocalIndex
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.serving import ServingIndex
from searcher.storage.data_dir import FolderManifest
from tests.benchmarks import search_while_writing
from tests.support.embeddings import MODEL_ID
from tests.support.fixed_calibrations import fixed_calibration

MANIFEST = FolderManifest("bench", MODEL_ID)
# Ten hits of our route.
_ANSWER = bytes(1500)
# New vectors are made before, for this long.
_WRITTEN_SECONDS = 60.0


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and sends an answer of fixed length."""
    while (await receive()).get("more_body", False):
        pass
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": _ANSWER})


class _Catalogue:
    """A catalogue of one index."""

    def __init__(self, index: LocalIndex) -> None:
        calibration = fixed_calibration("offline")
        matcher = Matcher(index, MODEL_ID, calibration, Policies(default_policy(calibration)))
        self._answering = ServingIndex("", index, matcher)

    def current(self) -> ServingIndex:
        return self._answering

    def delete_video(self, video_id: str) -> bool:
        raise NotReadyError("a benchmark deletes nothing")


def ours(index: LocalIndex) -> ASGIApp:
    """The API."""
    metrics = Metrics.create("search")

    def no_queries(*_: Any, **__: Any) -> Any:
        raise NotReadyError("a benchmark embeds nothing")

    health = Health(metrics, (), 60.0)
    return api_app(_Catalogue(index), no_queries, health, metrics, HttpSettings())


class _Body(BaseModel):
    vectors: list[list[float]]
    k: int = 10


class _Hit(BaseModel):
    segment_id: str
    video_id: str
    bank: str
    start_seconds: float
    end_seconds: float
    version: int
    score: float


class _Answer(BaseModel):
    items: list[list[_Hit]]


def fastapi_json(index: LocalIndex) -> ASGIApp:
    """The route as FastAPI's tutorial would have it."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/v1/search")
    async def search(body: _Body) -> _Answer:
        found = index.search(np.array(body.vectors, dtype=np.float32), body.k)
        return _Answer(
            items=[
                [
                    _Hit(
                        segment_id=hit.ref.segment_id,
                        video_id=hit.ref.video_id,
                        bank=hit.ref.bank,
                        start_seconds=hit.ref.start_seconds,
                        end_seconds=hit.ref.end_seconds,
                        version=hit.ref.version,
                        score=hit.score,
                    )
                    for hit in hits
                ]
                for hits in found
            ]
        )

    return app


@contextmanager
def served(kind: str, folder: Path) -> Iterator[ASGIApp]:
    """The app of a kind, over the index in this data folder."""
    if kind == "empty":
        yield empty
        return
    make: Callable[[LocalIndex], ASGIApp] = fastapi_json if kind == "fastapi" else ours
    if kind != "writing":
        with LocalIndex.open_reader(folder, MANIFEST, Settings()) as index:
            yield make(index)
        return
    rng = np.random.default_rng(13)
    with (
        LocalIndex.open_writer(folder, MANIFEST, Settings(), answering=True) as index,
        search_while_writing.writing(index, rng, _WRITTEN_SECONDS),
    ):
        yield make(index)


def main() -> None:
    """Serve until standard input ends."""
    kind, folder = sys.argv[1:]
    # As a service does before it answers.
    work_in_one_thread()
    with served(kind, Path(folder)) as app, HttpServer(app, HttpSettings(port=0)) as server:
        hand_over_soon()
        keep_what_is_there()
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
