"""Several queries in one process: what goes wrong with one is its own answer, what goes wrong for all
ends the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import pytest

import storyhash.query.local
from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import (
    CancelledError,
    CorruptIndexError,
    EmbedderUnavailableError,
    ModelMismatchError,
    NotReadyError,
    StorageError,
    StoryHashError,
    VideoError,
)
from common.http.health import Health
from common.http.server import HttpServer, health_app
from common.metrics import Metrics
from common.settings import HttpSettings, IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment, SegmentRef, TakeLook
from common.video import encode_video
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent
from storyhash.client.catalogue import RemoteCatalogue
from storyhash.query.local import LocalEmbedding, QueryOutcome, run_queries
from storyhash.samples import FRAMES_PER_SECOND, film
from storyhash.wiring import QueryServices
from tests.support.queries import Client, error_of
from tests.unit.searcher.api.test_api import Api


class Pool:
    """Every video has one segment."""

    def run(
        self,
        work: Iterable[tuple[CatalogEntry, int] | None],
        stopping: threading.Event | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> Generator[VideoEvent, None, None]:
        for job in work:
            assert job is not None
            entry, version = job
            yield SegmentReady(
                entry, Segment(SegmentRef(entry.video_id, 0.0, 4.0, version), b"clip")
            )
            yield VideoDone(entry, 4.0, 1, None, {})


class Embedder:
    """Raises what a video's name stands for."""

    def __init__(self, raised: dict[str, BaseException]) -> None:
        self.raised = raised

    def pieces(self, name: str, *_: object) -> Iterator[str]:
        if name in self.raised:
            raise self.raised[name]
        yield name


def outcomes(
    monkeypatch: pytest.MonkeyPatch, raised: dict[str, BaseException]
) -> Iterator[QueryOutcome]:
    """Of three queries."""

    def seen(_: object, look: TakeLook, **__: object) -> Any:
        return list(look("first"))

    monkeypatch.setattr(storyhash.query.local, "query_pieces", lambda e, uri, *_: e.pieces(uri))
    monkeypatch.setattr(storyhash.query.local, "match_cascade", seen)
    services = QueryServices(
        cast(Any, None), cast(Any, Embedder(raised)), cast(Any, None), cast(Any, Pool())
    )
    return run_queries(services, ["a.mp4", "b.mp4", "c.mp4"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VideoError("no frame"), "unreadable"),
        (cv2.error("resize: ssize.empty()"), "internal"),
        (ValueError("zero-size array\nto reduction"), "internal"),
        (AssertionError(), "internal"),
        (RuntimeError("generator raised StopIteration"), "internal"),
        (StoryHashError("it cannot be told"), "internal"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_with_one_query_is_its_own_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    told = [*outcomes(monkeypatch, {"b.mp4": error})]
    assert [one.uri for one in told] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [one.error is None for one in told] == [True, False, True]
    assert told[1].error is not None
    assert told[1].error.code == code
    assert "\n" not in str(told[1].error)


@pytest.mark.parametrize(
    "error",
    [
        StorageError("the disk is full"),
        EmbedderUnavailableError("none answers"),
        ModelMismatchError("another model"),
        CorruptIndexError("a checksum"),
        CancelledError("gone"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_for_all_queries_ends_them(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    running = outcomes(monkeypatch, {"b.mp4": error})
    assert next(running).error is None
    with pytest.raises(type(error)):
        next(running)


class Failing:
    """A query embedder that fails once, as no one foresaw, and then sees nothing to tell."""

    def __init__(self) -> None:
        self.failures = 1

    def pieces(self, *_: object) -> Iterator[Any]:
        if self.failures:
            self.failures -= 1
            raise cv2.error("resize: ssize.empty()")
        raise VideoError("seen, with nothing in it")
        yield


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[tuple[Api, Any]]:
    """An API whose queries are decoded in a real pool."""
    api = Api(tmp_path / "data")
    with DecoderPool(VideoSettings(), IngestSettings()) as pool:
        embedding = LocalEmbedding(pool, cast(Any, Failing()))

        def embed(
            source: Path | str, name: str, _: str, cancellation: Cancellation = NEVER_CANCELLED
        ) -> Any:
            return embedding.opened(source, name, cancellation)

        yield api, api.app(embed, HttpSettings(port=0))
    api.close()


def test_a_match_that_nobody_foresaw_failing_is_that_request_alone(
    failing: tuple[Api, Any], tmp_path: Path
) -> None:
    encode_video(tmp_path / "film.mp4", film(1, 1.0), FRAMES_PER_SECOND)
    content = (tmp_path / "film.mp4").read_bytes()
    with Client(failing[1]) as client:
        assert error_of(client.post("/v1/match", content=content)) == (500, "internal")
        # The decoders and the place at the gate are there for the next.
        for _ in range(3):
            assert error_of(client.post("/v1/match", content=content)) == (422, "unreadable")


def test_a_video_that_a_server_fails_with_is_a_line_and_the_next_is_asked_for(
    failing: tuple[Api, Any], tmp_path: Path
) -> None:
    path = tmp_path / "film.mp4"
    encode_video(path, film(1, 1.0), FRAMES_PER_SECOND)
    with HttpServer(failing[1], HttpSettings(port=0)) as server, RemoteCatalogue(server.url) as ask:
        codes = [ask.match(str(path))["error"]["code"] for _ in range(2)]
    assert codes == ["internal", "unreadable"]


def test_a_searcher_that_reads_its_log_is_not_asked_which_videos_it_has() -> None:
    """It may not know yet which were deleted, and they would be sent again."""
    health = Health(None, ("log",), 60.0)
    health.unmet("log", "catching up: 7 messages behind")
    app = health_app(health, Metrics.create("search"))
    with HttpServer(app, HttpSettings(port=0)) as server, RemoteCatalogue(server.url) as ask:
        with pytest.raises(NotReadyError, match=r"7 messages behind.*/readyz says ok") as raised:
            ask.states(["a.mp4"])
        assert raised.value.exit_code == 3
