"""`POST /v1/embed`: a video in, its embedded query out, of the model that was asked for or none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import CancelledError, DeviceMemoryError, EmbedderUnavailableError, VideoError
from common.http.errors import error_response
from common.http.health import Health
from common.http.server import HttpServer
from common.messaging.wire import decode_query
from common.metrics import Metrics
from common.settings import HttpSettings
from common.types import EVERYWHERE, VECTOR_DIMENSION, PassName, QueryEmbedding, TimeSpans
from embedder.query.open_queries import QueryLimits
from embedder.server import MODEL_HEADER, MSGPACK, QUERY_HEADER, embed_app
from storyhash.query.remote import RemoteQueries
from tests.support.queries import Client, error_of, message_of

MODEL = "sscd-motion-0123456789ab"


class Query:
    """A decoded query; notes its passes, and whether it was closed."""

    size_bytes = 10

    def __init__(
        self,
        pieces: Callable[[str, TimeSpans, Cancellation], Iterator[QueryEmbedding]],
        let_go: threading.Event | None = None,
    ) -> None:
        self._pieces = pieces
        self.let_go = let_go or threading.Event()

    def pieces(
        self,
        pass_name: PassName,
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[QueryEmbedding]:
        return self._pieces(pass_name, within, cancellation)

    def close(self) -> None:
        self.let_go.set()


class Embed:
    """Says what it was given in the embedding's first window; waits until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.most = self.now = 0
        self.begun = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __call__(self, source: Path | str, name: str, cancellation: Cancellation) -> Query:
        return Query(lambda *_: iter([self.made(source, name)]))

    def made(self, source: Path | str, name: str) -> QueryEmbedding:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.begun.release()
        self.go_on.wait(300)
        with self._lock:
            self.now -= 1
        content = source.read_bytes() if isinstance(source, Path) else source.encode()
        if content == b"broken":
            raise VideoError("no frame of it can be decoded")
        if content == b"too large for the device":
            raise DeviceMemoryError("the device's memory is full; lower the batch size")
        vectors = np.zeros((2, 1, VECTOR_DIMENSION), dtype=np.float32)
        vectors[:, :, len(content)] = 1
        return QueryEmbedding(
            name,
            4.0,
            MODEL,
            ("identity", "flip_h"),
            np.zeros(1),
            np.full(1, 4.0),
            vectors,
            np.ones((2, 1), dtype=bool),
        )


@pytest.fixture
def embed() -> Embed:
    return Embed()


@pytest.fixture
def client(embed: Embed) -> Iterator[Client]:
    metrics = Metrics.create("embed")
    settings = HttpSettings(max_upload_bytes=100)
    with Client(embed_app(embed, MODEL, Health(metrics, (), 60.0), metrics, settings)) as made:
        yield made


def given(answer: httpx.Response) -> tuple[str, int]:
    """The name of a query, and how many bytes its video had."""
    assert answer.status_code == 200, answer.text
    query = decode_query(answer.content)
    return query.uri, int(query.vectors[0, 0].argmax())


@pytest.mark.parametrize(
    ("request_", "name", "size"),
    [
        ({"content": b"video"}, "upload", 5),
        ({"files": {"file": ("film.mp4", b"film")}}, "film.mp4", 4),
        ({"json": {"uri": "https://host/f"}}, "https://host/f", 14),
    ],
    ids=["raw", "form", "address"],
)
def test_a_video_becomes_an_embedded_query(
    client: Client, request_: Mapping[str, Any], name: str, size: int
) -> None:
    answer = client.post("/v1/embed", **request_)
    assert given(answer) == (name, size)
    assert answer.headers["Content-Type"] == MSGPACK
    assert answer.headers[MODEL_HEADER] == MODEL


def test_a_query_is_called_what_it_is_asked_to_be_called(client: Client) -> None:
    assert given(client.post("/v1/embed?name=my%20film", content=b"x")) == ("my film", 1)


def test_the_model_is_told(client: Client) -> None:
    assert client.get("/v1/model").json() == {"model_id": MODEL}


def test_another_model_is_refused_before_the_video_is_read(client: Client) -> None:
    read: list[bytes] = []

    async def blocks() -> object:
        read.append(b"x")
        yield b"x"

    answer = client.post("/v1/embed?model_id=clip-1", content=blocks())
    assert error_of(answer) == (409, "model_mismatch")
    assert message_of(answer) == f"this embedder has model {MODEL}, not clip-1"
    assert answer.headers["Connection"] == "close"
    assert read == []


def test_the_right_model_may_be_named(client: Client) -> None:
    assert given(client.post(f"/v1/embed?model_id={MODEL}", content=b"x"))


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"broken"}, 422, "unreadable"),
        ({"content": b"too large for the device"}, 503, "device_memory"),
        ({"content": b""}, 400, "usage"),
        ({"content": b"x" * 101}, 413, "too_large"),
        ({"json": {"video_id": "a"}}, 400, "usage"),
        ({"json": {"uri": "/etc/passwd"}}, 400, "usage"),
    ],
    ids=["video", "device", "empty", "large", "no-catalogue", "path"],
)
def test_what_cannot_be_embedded_says_whose_fault_it_is(
    client: Client, request_: Mapping[str, Any], status: int, code: str
) -> None:
    assert error_of(client.post("/v1/embed", **request_)) == (status, code)


def test_two_are_embedded_at_once_sixteen_wait_and_the_rest_is_sent_away(
    client: Client, embed: Embed
) -> None:
    embed.go_on.clear()

    def ask() -> Awaitable[httpx.Response]:
        return client.send("POST", "/v1/embed", content=b"video")

    def ask_by_address() -> Awaitable[httpx.Response]:
        return client.send("POST", "/v1/embed", json={"uri": "https://host/f"})

    async def crowd() -> tuple[list[httpx.Response], httpx.Response]:
        inside = [asyncio.ensure_future(ask_by_address()) for _ in range(18)]
        for _ in range(2):
            assert await asyncio.to_thread(embed.begun.acquire, timeout=300)
        # A place is taken when the body is there, here at once: all eighteen are inside by now.
        turned_away = await ask()
        embed.go_on.set()
        return list(await asyncio.gather(*inside)), turned_away

    answers, turned_away = client.run(crowd())
    assert [answer.status_code for answer in answers] == [200] * 18
    assert embed.most == 2
    assert error_of(turned_away) == (503, "busy")
    assert turned_away.headers["Retry-After"] == "5"
    assert turned_away.headers["Connection"] == "close"
    assert given(client.post("/v1/embed", content=b"later")) == ("upload", 5)


def test_every_status_it_answers_with_is_in_its_contract(client: Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/embed"]["post"]
    assert {"200", "400", "404", "408", "409", "413", "415", "422", "503"} <= set(
        operation["responses"]
    )
    names = {one["name"] for one in operation["parameters"]}
    assert names == {"name", "model_id", "look", "within", "query_id"}
    kinds = set(operation["requestBody"]["content"])
    assert kinds == {"application/octet-stream", "multipart/form-data", "application/json"}


def test_it_tells_its_health_and_metrics_like_every_service(client: Client) -> None:
    assert client.get("/livez").json() == client.get("/readyz").json() == {"status": "ok"}
    assert 'storyhash_build_info{service="embed"' in client.get("/metrics").text


class LongEmbed:
    """A query of three pieces; notes its decodes, its passes with their parts of the query and whether it
    was let go of, and may break off after the first piece of a pass."""

    def __init__(self, broken: bool = False, pieces: int = 3) -> None:
        self.broken = broken
        self.count = pieces
        self.decodes = 0
        self.passes: list[str] = []
        self.spans: list[TimeSpans] = []
        self.let_go = threading.Event()

    def __call__(self, source: Path | str, name: str, cancellation: Cancellation) -> Query:
        self.decodes += 1
        content = source if isinstance(source, str) else source.read_text()

        def pieces(pass_name: str, within: TimeSpans, _: Cancellation) -> Iterator[QueryEmbedding]:
            self.passes.append(pass_name)
            self.spans.append(within)
            for number in range(1, self.count + 1):
                if self.broken and number == 2:
                    raise VideoError("a clip of it does not decode")
                yield replace(Embed().made(content, name), number=number, pieces=self.count)

        return Query(pieces, self.let_go)


FREE = HttpSettings(port=0)


def _health() -> tuple[Health, Metrics]:
    metrics = Metrics.create("embed")
    return Health(metrics, (), 60.0), metrics


@pytest.fixture
def served() -> Iterator[Callable[..., str]]:
    with ExitStack() as stack:

        def serve(embed: Any, limits: QueryLimits | None = None, model_id: str = MODEL) -> str:
            app = embed_app(embed, model_id, *_health(), FREE, limits)
            return stack.enter_context(HttpServer(app, FREE)).url

        yield serve


def wait_for(event: threading.Event) -> None:
    assert event.wait(300)


def pieces_from(*urls: str) -> list[QueryEmbedding]:
    remote = RemoteQueries(urls, timeout_seconds=60)
    try:
        with remote.open("https://host/long.mp4", "long", MODEL) as query:
            return list(query.take_pass("first", EVERYWHERE))
    finally:
        remote.close()


def test_a_long_query_comes_piece_by_piece_and_is_let_go_of_at_its_end(
    served: Callable[[LongEmbed], str],
) -> None:
    embed = LongEmbed()
    found = pieces_from(served(embed))
    assert [(piece.number, piece.pieces, piece.uri) for piece in found] == [
        (number, 3, "long") for number in (1, 2, 3)
    ]
    assert embed.let_go.wait(300)


def test_what_an_embedder_breaks_off_another_goes_on_with(
    served: Callable[[LongEmbed], str],
) -> None:
    broken, whole = LongEmbed(broken=True), LongEmbed()
    found = pieces_from(served(broken), served(whole))
    assert [piece.number for piece in found] == [1, 2, 3]
    assert broken.let_go.wait(300)
    with pytest.raises(EmbedderUnavailableError, match="no embedder with model"):
        pieces_from(served(LongEmbed(broken=True)))


def test_the_next_embedder_is_asked_after_one_that_is_none(served: Callable[..., str]) -> None:
    stranger = FastAPI()
    stranger.post("/v1/embed")(lambda: PlainTextResponse("welcome"))
    with HttpServer(stranger, FREE) as server:
        found = pieces_from(server.url, served(LongEmbed()))
        assert [piece.number for piece in found] == [1, 2, 3]
        with pytest.raises(EmbedderUnavailableError, match=server.url):
            pieces_from(server.url)


def test_a_query_is_sent_to_an_embedder_of_another_model_only_when_it_is_asked(
    served: Callable[..., str],
) -> None:
    first, other = LongEmbed(), LongEmbed()
    urls = [served(first), served(other, model_id="another-model")]
    remote = RemoteQueries(urls, timeout_seconds=60)
    try:
        with remote.open("https://host/long.mp4", "long", MODEL) as query:
            assert len(list(query.take_pass("first", EVERYWHERE))) == 3
            assert (first.passes, other.decodes) == (["first"], 0)
            take_pass = query.for_model("another-model")
            assert other.decodes == 0
            for name in ("first", "closer"):
                assert len(list(take_pass(name, EVERYWHERE))) == 3
    finally:
        remote.close()
    assert (first.decodes, other.decodes, other.passes) == (1, 1, ["first", "closer"])
    for embed in (first, other):
        assert embed.let_go.wait(300)


class HangingEmbed:
    """A query whose work never ends by itself: in decoding, or in its second piece."""

    def __init__(self, in_decoding: bool) -> None:
        self.in_decoding = in_decoding
        self.hanging = threading.Event()
        self.ended = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, source: Path | str, name: str, cancellation: Cancellation) -> Query:
        if self.in_decoding:
            self.hang(cancellation)

        def pieces(
            _: str, within: TimeSpans, cancellation: Cancellation
        ) -> Iterator[QueryEmbedding]:
            yield replace(Embed().made(source, name), number=1, pieces=2)
            self.hang(cancellation)

        return Query(pieces, self.let_go)

    def hang(self, cancellation: Cancellation) -> None:
        self.hanging.set()
        while not cancellation.cancelled:
            time.sleep(0.01)
        self.ended.set()
        cancellation.check()


@pytest.mark.parametrize("in_decoding", [True, False], ids=["decoding", "embedding"])
def test_no_work_goes_on_for_a_caller_that_has_gone(
    served: Callable[[Any], str], in_decoding: bool
) -> None:
    embed = HangingEmbed(in_decoding)
    remote = RemoteQueries([served(embed)], timeout_seconds=60)
    cancellation = Cancellation()

    def leave() -> None:
        embed.hanging.wait(300)
        cancellation.cancel()

    leaving = threading.Thread(target=leave)
    leaving.start()
    with (
        remote.open("https://host/long.mp4", "long", MODEL, cancellation) as query,
        pytest.raises(CancelledError),
    ):
        list(query.take_pass("first", EVERYWHERE))
    leaving.join()
    remote.close()
    assert embed.ended.wait(300)
    assert in_decoding or embed.let_go.wait(300)


def test_a_caller_that_has_gone_sends_nothing(served: Callable[[Any], str]) -> None:
    embed = LongEmbed()
    remote = RemoteQueries([served(embed)], timeout_seconds=60)
    cancellation = Cancellation()
    cancellation.cancel()
    with (
        remote.open("https://host/long.mp4", "long", MODEL, cancellation) as query,
        pytest.raises(CancelledError),
    ):
        list(query.take_pass("first", EVERYWHERE))
    remote.close()
    assert embed.decodes == 0


def passes_of(
    *urls: str,
    source: Path | str = "https://host/f",
    between: Callable[[], None] = lambda: None,
    within: TimeSpans = EVERYWHERE,
) -> list[int]:
    """The numbers of the pieces of two passes. within: where the second one looks."""
    remote = RemoteQueries(urls, timeout_seconds=60)
    try:
        with remote.open(source, "film", MODEL) as query:
            first = [piece.number for piece in query.take_pass("first", EVERYWHERE)]
            between()
            return first + [piece.number for piece in query.take_pass("closer", within)]
    finally:
        remote.close()


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_query_is_sent_and_decoded_once_for_all_its_passes(
    served: Callable[[Any], str], pieces: int, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"video")
    embed = LongEmbed(pieces=pieces)
    numbers = list(range(1, pieces + 1))
    assert passes_of(served(embed), source=tmp_path / "film.mp4") == numbers * 2
    assert embed.decodes == 1
    assert embed.passes == ["first", "closer"]
    # It is deleted as soon as it is no longer needed.
    assert embed.let_go.wait(300)


def test_a_query_that_expired_is_sent_again(served: Callable[..., str]) -> None:
    embed = LongEmbed()
    url = served(embed, limits=QueryLimits(most=0))
    assert passes_of(url, between=lambda: wait_for(embed.let_go)) == [1, 2, 3] * 2
    assert embed.decodes == 2


def test_a_query_whose_embedder_died_between_passes_goes_on_at_the_next(
    served: Callable[[Any], str],
) -> None:
    dead, alive = LongEmbed(), LongEmbed()
    with ExitStack() as first:
        app = embed_app(dead, MODEL, *_health(), FREE)
        url = first.enter_context(HttpServer(app, FREE)).url
        assert passes_of(url, served(alive), between=first.close) == [1, 2, 3] * 2
    assert (dead.passes, alive.passes) == (["first"], ["closer"])
    assert (dead.decodes, alive.decodes) == (1, 1)


def test_a_query_nobody_asks_for_again_expires(served: Callable[..., str]) -> None:
    embed = LongEmbed(pieces=1)
    url = served(embed, limits=QueryLimits(idle_seconds=0.01))
    assert httpx.post(f"{url}/v1/embed", json={"uri": "https://host/f"}).status_code == 200
    assert embed.let_go.wait(300)


def test_the_next_pass_names_the_query(client: Client) -> None:
    answer = client.post("/v1/embed?name=film", json={"uri": "https://host/f"})
    query_id = answer.headers[QUERY_HEADER]
    again = client.post(f"/v1/embed?query_id={query_id}&look=closer")
    assert given(again) == given(answer) == ("film", 14)
    assert again.headers[QUERY_HEADER] == query_id
    assert client.delete(f"/v1/embed/{query_id}").status_code == 204
    for refused in (
        client.post(f"/v1/embed?query_id={query_id}&look=closer"),
        client.delete(f"/v1/embed/{query_id}"),
    ):
        assert error_of(refused) == (404, "unknown_query")
        assert "send the video again" in message_of(refused)


def test_a_pass_that_there_is_not_is_refused(client: Client) -> None:
    assert error_of(client.post("/v1/embed?look=closest", content=b"x")) == (400, "usage")


REST: TimeSpans = ((0.0, 12.5), (31.0, 60.25))


def test_a_second_pass_names_the_parts_of_the_query_that_it_looks_at(
    served: Callable[[Any], str],
) -> None:
    embed = LongEmbed()
    assert passes_of(served(embed), within=REST) == [1, 2, 3] * 2
    assert embed.spans == [EVERYWHERE, REST]
    assert embed.decodes == 1


def test_an_embedder_that_knows_no_parts_looks_at_the_whole_query() -> None:
    embed = LongEmbed()
    app = embed_app(embed, MODEL, *_health(), FREE)

    async def earlier_version(scope: Scope, receive: Receive, send: Send) -> None:
        if b"within=" in scope.get("query_string", b""):
            refusal = error_response(422, "unknown_parameter", "unknown query parameter 'within'")
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    with HttpServer(earlier_version, FREE) as server:
        assert passes_of(server.url, within=REST) == [1, 2, 3] * 2
    assert embed.spans == [EVERYWHERE, EVERYWHERE]


@pytest.mark.parametrize(
    "query", ["within=5", "within=9-3", "within=1-2-3", "within=0-8&within=4-12", "within=a-b"]
)
def test_parts_that_are_none_are_refused(client: Client, query: str) -> None:
    refused = client.post(f"/v1/embed?look=closer&{query}", content=b"video")
    assert error_of(refused)[0] in (400, 422)
    assert "such as 12.5-31" in message_of(refused)


def test_more_parts_than_a_searcher_names_are_refused(client: Client) -> None:
    parts = "&".join(f"within={4 * number}-{4 * number + 2}" for number in range(65))
    assert error_of(client.post(f"/v1/embed?look=closer&{parts}", content=b"x")) == (400, "usage")
