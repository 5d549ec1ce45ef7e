"""Several queries in one process: what goes wrong with one is its own answer, what goes wrong for all
ends the run."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import pytest

import storyhash.query.local
from common.cancellation import Cancellation
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
from common.types import EVERYWHERE, TakePass
from common.video import encode_video
from embedder.query.session import QuerySession
from ingest.query_decoder import QueryDecoder
from searcher.serving import OpenedQuery
from storyhash.client.catalogue import RemoteCatalogue
from storyhash.query.local import LocalQueries, QueryOutcome, list_queries, run_queries
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.support.queries import Client, error_of
from tests.unit.searcher.api.test_api import Api


class Decoder:
    """Every video has one segment."""

    workers = 2

    def __init__(self) -> None:
        self.open = 0

    def decode(self, *_: object) -> Any:
        self.open += 1
        return Decoded(self)


class Decoded:
    """Counts itself out when it is closed."""

    segments = SimpleNamespace(size_bytes=4)

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def close(self) -> None:
        self.decoder.open -= 1


def outcomes(
    monkeypatch: pytest.MonkeyPatch, raised: dict[str, BaseException], decoder: Decoder
) -> Generator[QueryOutcome]:
    """Of three queries; matching raises what a video's name stands for."""

    def pieces(session: Any, *_: object) -> Iterator[str]:
        name = session.name
        if name in raised:
            raise raised[name]
        yield name

    def matched(_: object, take: TakePass, **__: object) -> Any:
        return list(take("first", EVERYWHERE))

    monkeypatch.setattr(QuerySession, "pieces", pieces)
    monkeypatch.setattr(storyhash.query.local, "match_cascade", matched)
    queries = LocalQueries(cast(Any, decoder), cast(Any, None))
    return cast(Any, run_queries(queries, cast(Any, None), ["a.mp4", "b.mp4", "c.mp4"]))


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
    decoder = Decoder()
    told = [*outcomes(monkeypatch, {"b.mp4": error}, decoder)]
    assert decoder.open == 0
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
    decoder = Decoder()
    running = outcomes(monkeypatch, {"b.mp4": error}, decoder)
    assert next(running).error is None
    with pytest.raises(type(error)):
        next(running)
    assert decoder.open == 0


def test_leaving_a_run_closes_the_queries_that_were_decoded_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = Decoder()
    running = outcomes(monkeypatch, {}, decoder)
    next(running)
    running.close()
    assert decoder.open == 0


class Failing:
    """A query embedder that fails once, as no one foresaw, and then sees nothing to tell."""

    def __init__(self) -> None:
        self.failures = 1

    def each(self, *_: object, **__: object) -> Any:
        if self.failures:
            self.failures -= 1
            raise cv2.error("resize: ssize.empty()")
        raise VideoError("seen, with nothing in it")


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[tuple[Api, Any]]:
    """An API whose queries are decoded in real children."""
    api = Api(tmp_path / "data")
    with QueryDecoder(VideoSettings(), IngestSettings(), 2) as decoder:
        queries = LocalQueries(decoder, cast(Any, Failing()))

        @contextmanager
        def embed(
            source: Path | str, name: str, _: str, cancellation: Cancellation, *__: object
        ) -> Iterator[OpenedQuery]:
            with queries.open(source, name, cancellation) as query:
                yield OpenedQuery(query.pieces)

        yield api, api.app(cast(Any, embed), HttpSettings(port=0))
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


def test_it_tells_how_much_is_decoded(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", film(1, 6.0), FRAMES_PER_SECOND)
    told: list[float] = []
    with QueryDecoder(VideoSettings(), IngestSettings(), 1) as decoder:
        queries = LocalQueries(decoder, cast(Any, Failing()))
        with queries.open(tmp_path / "film.mp4", "film", on_decoded=told.append) as query:
            assert told[-1] == query.segments.end_seconds
    assert told == sorted(set(told))
    assert len(told) > 1


class Together:
    """A query embedder that goes on only while another query is embedded too."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=120)

    def each(self, *_: object, **__: object) -> Any:
        self.both.wait()
        raise VideoError("seen, with nothing in it")


def test_two_queries_are_embedded_at_once(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    encode_video(path, film(1, 1.0), FRAMES_PER_SECOND)
    with QueryDecoder(VideoSettings(), IngestSettings(), 2) as decoder:
        queries = LocalQueries(decoder, cast(Any, Together()))

        def embed() -> None:
            with queries.open(path, "film") as query, pytest.raises(VideoError, match="seen"):
                list(query.pieces("first"))

        with ThreadPoolExecutor(2) as threads:
            for future in [threads.submit(embed) for _ in range(2)]:
                future.result()


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
        with pytest.raises(NotReadyError, match=r"7 messages behind.*/readyz reports ok") as raised:
            ask.states(["a.mp4"])
        assert raised.value.exit_code == 3


def test_a_path_that_no_system_can_look_at_leaves_the_others_alone() -> None:
    impossible = "x" * 300
    assert list_queries([impossible, "film.mp4"]).uris == [impossible, "film.mp4"]
