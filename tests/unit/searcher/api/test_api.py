"""The searcher's API over a small index: vectors along the axes, so that every score can be seen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from starlette.requests import Request

import common.http.request_body
import searcher.api.search.query_vectors
import searcher.api.videos.routes
from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import EmbedderUnavailableError, NotReadyError, UsageError, VideoError
from common.http.health import Health
from common.http.upload import check_address
from common.metrics import Metrics
from common.settings import HttpSettings, IngestSettings, Settings
from common.types import (
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    Float32Array,
    OnDecoded,
    PassName,
    QueryEmbedding,
    TimeSpans,
)
from ingest.fetch import check_allowed
from searcher.api.app import api_app
from searcher.api.match.schemas import NOTICES_HEADER
from searcher.index.state import VideoSegments
from searcher.local_index import LocalIndex
from searcher.matching.indexed_query import indexed_query_pieces
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.serving import EmbedQuery, OpenedQuery, ServingIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, embedding
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.queries import Client, error_of, message_of
from tests.support.routes import references

RAW = {"Content-Type": "application/octet-stream"}
# All that a user may keep with a video.
METADATA = {"large": 2**63, "nested": {"é": [1.5, -1, None, True, ""]}}


def axis(number: int, towards: int | None = None) -> Float32Array:
    """A unit vector along an axis; at cosine 0.8 from it and 0.6 from another, `towards` that one."""
    vector = np.zeros(VECTOR_DIMENSION, dtype=np.float32)
    vector[number] = 1.0 if towards is None else 0.8
    if towards is not None:
        vector[towards] = 0.6
    return vector


def segments(
    video_id: str, vectors: Sequence[Float32Array | None], *, bank: str = "default"
) -> list[Embedding]:
    return [embedding(video_id, number, vector, bank=bank) for number, vector in enumerate(vectors)]


# Four segments along axes 0 to 3; the same four in another bank; a stranger; one with a blind segment.
FILMS: Mapping[str, list[Embedding]] = {
    "a.mp4": segments("a.mp4", [axis(n) for n in range(4)]),
    "shows/copy of a.mp4": segments(
        "shows/copy of a.mp4", [axis(n) for n in range(4)], bank="shows"
    ),
    "blind.mp4": segments("blind.mp4", [axis(20), None]),
    "stranger.mp4": segments("stranger.mp4", [axis(n) for n in range(10, 14)]),
}


class OneIndex:
    """A catalogue of one index, or of none yet."""

    def __init__(self, index: LocalIndex) -> None:
        calibration = fixed_calibration("offline")
        matcher = Matcher(index, MODEL_ID, calibration, Policies(default_policy(calibration)))
        self.answering: ServingIndex | None = ServingIndex("", index, matcher)

    def current(self) -> ServingIndex:
        if self.answering is None:
            raise NotReadyError("the index is not there yet: it is being opened")
        return self.answering

    def delete_video(self, video_id: str) -> bool:
        return self.current().index.delete_videos([video_id]) == 1


@contextmanager
def embed(
    source: Path | str,
    name: str,
    model_id: str,
    cancellation: Cancellation = NEVER_CANCELLED,
    on_decoded: OnDecoded | None = None,
) -> Iterator[OpenedQuery]:
    """A query that shows what its content names: a film of the index, or what is wrong."""
    content = source.read_text() if isinstance(source, Path) else source.rpartition("/")[2]
    if content == "named":
        raise VideoError(f"{source}: no frame; see /var/log/decoder.log")
    if content == "broken":
        raise VideoError("no frame of it can be decoded")
    if content == "down":
        raise EmbedderUnavailableError("no embedder answers; start one with `storyhash embed`")
    film = FILMS.get(content) or segments("black", [None, None])
    video = Video("query", name, duration_seconds=4.0 * len(film))
    vectors = np.stack([one.vector for one in film])
    asked_of = "another-model" if content == "stranger.mp4" else model_id
    shown = VideoSegments([one.ref for one in film], vectors, [one.frames for one in film])
    ((query, _),) = indexed_query_pieces(video, shown, asked_of)

    def look(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        yield query if kind == "first" else replace(query, views=("flip_v",))

    yield OpenedQuery(look)


class Api:
    """An index with the four films, and its API."""

    def __init__(self, folder: Path) -> None:
        self.index = LocalIndex.open_writer(folder, FolderManifest("test", MODEL_ID), Settings())
        for video_id, film in FILMS.items():
            self.index.replace_video(
                Video(
                    video_id,
                    f"/films/{video_id}",
                    film[0].ref.bank,
                    version=1,
                    duration_seconds=4.0 * len(film),
                    metadata=METADATA if video_id == "a.mp4" else {},
                ),
                film,
            )
        self.catalogue = OneIndex(self.index)
        self.metrics = Metrics.create("search")
        self.added: list[CatalogEntry] = []

    @cached_property
    def client(self) -> Client:
        return self.over(None)

    def over(self, add_video: Any) -> Client:
        return Client(self.app(embed, HttpSettings(max_upload_bytes=1000), add_video))

    def app(self, embed: EmbedQuery, settings: HttpSettings, add_video: Any = None) -> FastAPI:
        """Its API, with queries embedded in another way."""
        health = Health(self.metrics, (), 60.0)
        return api_app(self.catalogue, embed, health, self.metrics, settings, add_video=add_video)

    def close(self) -> None:
        # Most tests of an API that requires keys ask another one.
        if "client" in vars(self):
            self.client.__exit__(None, None, None)
        self.index.close()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"storyhash_{name}", labels) or 0.0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """For tests that change nothing."""
    api = Api(tmp_path_factory.mktemp("api") / "data")
    yield api
    api.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """For tests that change the index."""
    api = Api(tmp_path / "data")
    yield api
    api.close()


def search(api: Api, *vectors: Float32Array, query: str = "") -> httpx.Response:
    return api.client.post(f"/v1/search{query}", content=np.stack(vectors).tobytes(), headers=RAW)


def hits(answer: httpx.Response) -> list[list[tuple[str, float]]]:
    """Segment and score of what was found."""
    assert answer.status_code == 200, answer.text
    return [
        [(hit["segment_id"], round(hit["score"], 4)) for hit in found]
        for found in answer.json()["items"]
    ]


def test_a_search_finds_the_nearest_segments_best_first(kept: Api) -> None:
    (found,) = hits(search(kept, axis(10, towards=12), query="?k=3"))
    assert found[:2] == [("stranger.mp4@0-4000", 0.8), ("stranger.mp4@8000-12000", 0.6)]
    assert len(found) == 3


def test_a_hit_says_what_it_is(kept: Api) -> None:
    answer = search(kept, axis(11), query="?k=1").json()
    assert answer == {
        "model_id": MODEL_ID,
        "generation": "",
        "items": [
            [
                {
                    "segment_id": "stranger.mp4@4000-8000",
                    "video_id": "stranger.mp4",
                    "bank": "default",
                    "start_seconds": 4.0,
                    "end_seconds": 8.0,
                    "version": 1,
                    "score": 1.0,
                }
            ]
        ],
    }


def test_each_vector_has_its_own_answer_in_the_order_asked(kept: Api) -> None:
    found = hits(search(kept, axis(13), axis(20), axis(10), query="?k=1"))
    assert [one[0][0] for one in found] == [
        *("stranger.mp4@12000-16000", "blind.mp4@0-4000", "stranger.mp4@0-4000")
    ]


def test_many_vectors_are_answered_as_few_are(kept: Api) -> None:
    vectors = [axis(number) for number in (*range(4), *range(10, 14), 20)] * 12
    one_by_one = [hits(search(kept, vector))[0] for vector in vectors[:9]]
    assert hits(search(kept, *vectors)) == one_by_one * 12


def test_json_gets_the_same_answer_as_raw_numbers(kept: Api) -> None:
    vectors = np.stack([axis(10, towards=12), axis(2)])
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        answer = kept.client.post(
            "/v1/search",
            content=json.dumps({"vectors": vectors.tolist()}),
            headers={"Content-Type": kind},
        )
        assert hits(answer) == hits(search(kept, *vectors))


def test_ten_segments_a_vector_unless_asked_otherwise(kept: Api) -> None:
    # 13 segments show something.
    assert len(hits(search(kept, axis(0)))[0]) == 10
    assert len(hits(search(kept, axis(0), query="?k=1000"))[0]) == 13
    assert len(hits(search(kept, axis(0), query="?k=1"))[0]) == 1


@pytest.mark.parametrize("k", ["0", "-1", "1001", "ten", "1.5", "", "１", "9" * 30, "1e2", " 5"])
def test_k_is_a_whole_number_from_1_to_1000(kept: Api, k: str) -> None:
    answer = kept.client.post("/v1/search", params={"k": k}, content=axis(0).tobytes(), headers=RAW)
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith("k: expected a whole number from 1 to 1000, got")


def test_a_segment_that_shows_nothing_is_never_found(kept: Api) -> None:
    (found,) = hits(search(kept, axis(20), query="?k=1000"))
    assert [name for name, _ in found if name.startswith("blind")] == ["blind.mp4@0-4000"]


def test_banks_are_searched_alone_or_together(kept: Api) -> None:
    def banks(query: str) -> list[str]:
        return [name.partition("@")[0] for name, _ in hits(search(kept, axis(0), query=query))[0]]

    assert set(banks("?bank=shows&k=1000")) == {"shows/copy of a.mp4"}
    assert set(banks("?bank=shows&bank=default&k=1000")) == set(FILMS)


@pytest.mark.parametrize("path", ["/v1/match?bank=shows", "/v1/search?bank=shows"])
def test_a_change_of_the_catalogue_keeps_only_its_own_callers_waiting(api: Api, path: str) -> None:
    held, go_on = threading.Event(), threading.Event()

    def change() -> None:
        with api.index._database.change():  # noqa: SLF001
            held.set()
            go_on.wait(300)

    async def both() -> tuple[bool, int]:
        body = axis(0).tobytes() if "search" in path else b"a.mp4"
        asked = asyncio.ensure_future(api.client.send("POST", path, content=body, headers=RAW))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert (await api.client.send("GET", "/livez")).status_code == 200
        waits = not asked.done()
        go_on.set()
        return waits, (await asked).status_code

    changing = threading.Thread(target=change)
    changing.start()
    assert held.wait(300)
    try:
        assert api.client.run(both()) == (True, 200)
    finally:
        go_on.set()
        changing.join()


@pytest.mark.parametrize("bank", ["nobody's", "", "show"])
def test_a_bank_that_is_unknown_is_an_error_and_no_empty_answer(kept: Api, bank: str) -> None:
    for answer in (
        search(kept, axis(0), query=f"?bank=shows&bank={bank}"),
        kept.client.post(f"/v1/match?bank={bank}", content=b"a.mp4"),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_bank"
        assert f"no video is in bank '{bank}'; the banks are 'default', 'shows'" in message_of(
            answer
        )


def test_vectors_of_another_model_are_refused(kept: Api) -> None:
    assert hits(search(kept, axis(0), query=f"?k=1&model_id={MODEL_ID}"))
    answer = search(kept, axis(0), query="?model_id=clip-0123456789ab")
    assert error_of(answer) == (409, "model_mismatch")
    assert MODEL_ID in message_of(answer)


@pytest.mark.parametrize(
    "size", [0, 1, 4, 4 * VECTOR_DIMENSION - 1, 4 * VECTOR_DIMENSION + 4, 4 * 528]
)
def test_a_body_that_is_not_so_many_vectors_is_refused(kept: Api, size: int) -> None:
    answer = kept.client.post("/v1/search", content=b"\x00" * size, headers=RAW)
    assert error_of(answer) == (400, "usage")
    assert f"got {size} bytes" in message_of(answer)
    assert "527 little-endian float32" in message_of(answer)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_number_is_refused(kept: Api, bad: float) -> None:
    vector = axis(0)
    vector[5] = bad
    assert error_of(search(kept, axis(1), vector)) == (400, "usage")
    assert message_of(search(kept, axis(1), vector)).startswith("vectors: expected finite numbers")


def in_json(api: Api, body: str) -> httpx.Response:
    return api.client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})


ONE = ", ".join(["0.5"] * VECTOR_DIMENSION)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "5",
        "[[1, 2]]",
        "{}",
        '{"vectors": null}',
        '{"vectors": 5}',
        '{"vectors": []}',
        '{"vectors": [[]]}',
        '{"vectors": [[1, 2, 3]]}',
        f'{{"vectors": [{ONE}]}}',
        f'{{"vectors": [[{ONE}], [1]]}}',
        f'{{"vectors": [[[{ONE}]]]}}',
        f'{{"vectors": [[{ONE}, 1]]}}',
        f'{{"vectors": [["film"{", 0" * 526}]]}}',
        f'{{"vectors": [[null{", 0" * 526}]]}}',
        f'{{"vectors": [[NaN{", 0" * 526}]]}}',
        f'{{"vectors": [[1e400{", 0" * 526}]]}}',
        f'{{"vectors": [[1{"0" * 400}{", 0" * 526}]]}}',
        f'{{"vectors": [[{{}}{", 0" * 526}]]}}',
        '{"vectors": ' + "[" * 80 + "]" * 80 + "}",
    ],
)
def test_json_that_holds_no_vectors_is_the_callers_mistake(kept: Api, body: str) -> None:
    answer = in_json(kept, body)
    assert error_of(answer) == (400, "usage")


def test_so_many_vectors_are_too_many(kept: Api) -> None:
    assert len(hits(search(kept, *[axis(0)] * 1024, query="?k=1"))) == 1024
    assert error_of(search(kept, *[axis(0)] * 1025)) == (413, "too_large")
    # Not bounded by the setting that bounds uploads: this one holds 1000 bytes.
    assert "MAX_UPLOAD" not in message_of(search(kept, *[axis(0)] * 1025))
    thin = json.dumps({"vectors": [[0] * VECTOR_DIMENSION] * 1025})
    assert error_of(in_json(kept, thin))[0] in (400, 413)


@pytest.mark.parametrize(("vectors", "k"), [(21, 1000), (1024, 20)])
def test_an_answer_has_so_many_hits_and_no_more(kept: Api, vectors: int, k: int) -> None:
    assert search(kept, *[axis(0)] * (20_000 // k), query=f"?k={k}").is_success
    answer = search(kept, *[axis(0)] * vectors, query=f"?k={k}")
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith("vectors x k: expected at most 20,000 hits")


@pytest.mark.parametrize("length", [0.0, 0.5, 0.99, 1.01, 2.0])
def test_a_vector_has_unit_norm(kept: Api, length: float) -> None:
    assert search(kept, axis(1) * np.float32(1.0009)).is_success
    answer = search(kept, axis(1), axis(1) * np.float32(length))
    assert error_of(answer) == (400, "usage")
    assert "vector 1 has norm" in message_of(answer)


@pytest.mark.parametrize("inner", ["true", '"1"', "null", "[1]", "{}"])
def test_a_json_vector_holds_numbers_and_nothing_that_could_pass_for_one(
    kept: Api, inner: str
) -> None:
    answer = in_json(kept, f'{{"vectors": [[{inner}{", 0" * 526}]]}}')
    assert error_of(answer) == (400, "usage")


def test_json_of_lists_without_end_is_refused_before_it_is_parsed(
    kept: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "searcher.api.search.query_vectors.orjson.loads", lambda _: pytest.fail("parsed")
    )
    assert error_of(in_json(kept, '{"vectors": [' + "[]," * 100_000)) == (400, "usage")
    assert error_of(in_json(kept, "[]," * 5_000_000)) == (413, "too_large")


def test_large_json_is_parsed_beside_the_event_loop(
    kept: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, int] = {}
    read, parse = (
        common.http.request_body.read_bytes,
        searcher.api.search.query_vectors.vectors_from_json,
    )

    async def read_here(request: Request, max_bytes: int) -> bytes:
        threads["loop"] = threading.get_ident()
        return await read(request, max_bytes)

    def parse_there(body: bytes) -> Float32Array:
        threads["parser"] = threading.get_ident()
        return parse(body)

    monkeypatch.setattr(searcher.api.search.query_vectors, "read_bytes", read_here)
    monkeypatch.setattr(searcher.api.search.query_vectors, "vectors_from_json", parse_there)
    large = json.dumps({"vectors": [axis(0).tolist()] * 64})
    assert len(large) > common.http.request_body.INLINE_BYTES
    assert len(hits(in_json(kept, large))) == 64
    assert threads["parser"] != threads["loop"]


def test_json_holds_fewer_vectors_than_raw_numbers_do(kept: Api) -> None:
    most = json.dumps({"vectors": [axis(0).tolist()] * 64})
    assert len(hits(in_json(kept, most))) == 64
    answer = in_json(kept, json.dumps({"vectors": [axis(0).tolist()] * 65}))
    assert error_of(answer) == (400, "usage")
    assert "up to 64 vectors (send more as application/octet-stream)" in message_of(answer)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_vectors_come_as_bytes_or_json_and_say_which(kept: Api, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = kept.client.post("/v1/search", content=axis(0).tobytes(), headers=headers)
    assert error_of(answer) == (415, "unsupported_media_type")


def test_a_page_of_much_metadata_ends_early_and_loses_nothing(
    kept: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher.api.videos.routes, "_STEP_ROWS", 1)
    monkeypatch.setattr(searcher.api.videos.routes, "_MAX_PAGE_BYTES", 1)
    found = pages(kept, 1000)
    assert [len(page) for page in found] == [1] * len(FILMS)
    assert [name for page in found for name in page] == sorted(FILMS)


def test_where_an_upload_lay_is_not_told(kept: Api) -> None:
    answer = kept.client.post("/v1/match", content=b"named")
    assert error_of(answer) == (422, "unreadable")
    assert message_of(answer) == "the upload: no frame; see (a path)"


def test_a_change_whose_caller_has_gone_holds_its_place_and_no_other_route(kept: Api) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def add_video(entry: CatalogEntry) -> Video:
        begun.release()
        go_on.wait(300)
        return Video(entry.video_id, entry.uri)

    with kept.over(add_video) as client:

        async def check() -> None:
            def add() -> Any:
                return client.send("POST", "/v1/videos", json={"uri": "https://host/f.mp4"})

            waiting = [asyncio.ensure_future(add()) for _ in range(36)]
            for _ in range(4):
                assert await asyncio.to_thread(begun.acquire, timeout=300)
            assert error_of(await add()) == (503, "busy")
            for path in ("/livez", "/readyz", "/metrics", "/v1/videos", "/v1/videos/a.mp4"):
                assert (await client.send("GET", path)).is_success
            go_on.set()
            answers = await asyncio.gather(*waiting)
            assert {answer.status_code for answer in answers} == {202}

        client.run(check())


def test_only_what_is_answered_is_timed(kept: Api) -> None:
    names = ("query_duration_seconds_count", "search_duration_seconds_count")
    before = [kept.metric(name) for name in names]
    search(kept, axis(0))
    search(kept, *[axis(0)] * 100)
    search(kept, axis(0), query="?k=0")
    assert [kept.metric(name) for name in names] == [count + 2 for count in before]


def test_the_promised_millisecond_is_a_boundary_of_both_times(kept: Api) -> None:
    for name in ("query_duration_seconds", "search_duration_seconds"):
        value = kept.metrics.registry.get_sample_value(f"storyhash_{name}_bucket", {"le": "0.001"})
        assert value is not None


def test_nothing_is_answered_before_there_is_an_index(api: Api) -> None:
    answering, api.catalogue.answering = api.catalogue.answering, None
    for answer in (
        search(api, axis(0)),
        api.client.get("/v1/videos"),
        api.client.get("/v1/videos/a.mp4"),
        api.client.delete("/v1/videos/a.mp4"),
        api.client.post("/v1/match", json={"video_id": "a.mp4"}),
    ):
        assert error_of(answer) == (503, "not_ready")
    api.catalogue.answering = answering
    assert api.client.get("/v1/videos").is_success


def pages(api: Api, limit: int) -> list[list[str]]:
    """The ids of every page."""
    found: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.client.get("/v1/videos", params={"limit": limit, "cursor": cursor}).json()
        assert set(page) == {"items", "next_cursor", "total"}
        found.append([one["video_id"] for one in page["items"]])
        cursor = page["next_cursor"]
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 1000])
def test_pages_hold_every_video_once_in_order(kept: Api, limit: int) -> None:
    found = pages(kept, limit)
    assert [name for page in found for name in page] == sorted(FILMS)
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1]


def test_a_page_that_begins_behind_the_last_video_is_empty(kept: Api) -> None:
    answer = kept.client.get("/v1/videos?cursor=zzz").json()
    assert answer == {"items": [], "next_cursor": None, "total": len(FILMS)}


@pytest.mark.parametrize("limit", ["0", "-1", "100000", "many"])
def test_a_page_has_a_bound(kept: Api, limit: str) -> None:
    answer = kept.client.get(f"/v1/videos?limit={limit}")
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith("limit: ")


def test_a_state_that_no_video_can_have_is_refused_with_those_there_are(kept: Api) -> None:
    answer = kept.client.get("/v1/videos?state=typo")
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith("state: ")
    for state in ("pending", "ready", "failed"):
        assert repr(state) in message_of(answer)
        assert kept.client.get(f"/v1/videos?state={state}").status_code == 200


def test_a_video_is_told_with_all_that_is_known_of_it(kept: Api) -> None:
    told = kept.client.get("/v1/videos/blind.mp4").json()
    assert told.pop("indexed_at").endswith("Z")
    assert told == {
        "video_id": "blind.mp4",
        "uri": "/films/blind.mp4",
        "bank": "default",
        "title": "",
        "version": 1,
        "duration_seconds": 8.0,
        "segments": 2,
        "uninformative_segments": 1,
        "state": "ready",
        "disabled": False,
        "metadata": {},
    }


@pytest.mark.parametrize("video_id", ["shows/copy of a.mp4", "shows%2Fcopy%20of%20a.mp4"])
def test_ids_may_hold_slashes_and_spaces(kept: Api, video_id: str) -> None:
    assert kept.client.get(f"/v1/videos/{video_id}").json()["video_id"] == "shows/copy of a.mp4"


def test_metadata_comes_back_untouched_whatever_json_it_is(kept: Api) -> None:
    assert kept.client.get("/v1/videos/a.mp4").json()["metadata"] == METADATA
    listed = kept.client.get("/v1/videos").json()["items"]
    assert [one["metadata"] for one in listed if one["video_id"] == "a.mp4"] == [METADATA]


def test_why_a_video_failed_is_told(api: Api) -> None:
    api.index.mark_failed(Video("new.mp4", "/films/new.mp4", version=1), VideoError("no picture"))
    told = api.client.get("/v1/videos/new.mp4").json()
    assert (told["state"], told["version"], told["indexed_at"]) == ("failed", 0, None)
    assert told["error"] == {"code": "unreadable", "message": "no picture"}


@pytest.mark.parametrize("video_id", ["nobody", "shows", "a.mp4/", "", "a" * 5000, "%F0%9F%8E%AC"])
def test_a_video_that_is_not_there_is_404(kept: Api, video_id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = kept.client.ask(method, f"/v1/videos/{video_id}")
        assert error_of(answer) == (404, "unknown_video")
        assert len(message_of(answer)) < 400


def test_a_deleted_video_is_gone_at_once_from_everything(api: Api) -> None:
    assert api.client.delete("/v1/videos/shows/copy of a.mp4").status_code == 204
    (found,) = hits(search(api, axis(0), query="?k=1000"))
    assert not [name for name, _ in found if name.startswith("shows")]
    assert "shows/copy of a.mp4" not in pages(api, 100)[0]
    again = api.client.delete("/v1/videos/shows/copy of a.mp4")
    assert error_of(again) == (404, "unknown_video")
    told = api.client.post("/v1/match", json={"video_id": "a.mp4"})
    assert decided(told) == ("no_match", [])
    assert "shows" not in told.text


def test_where_videos_come_another_way_posting_one_says_which(kept: Api) -> None:
    answer = kept.client.post("/v1/videos", json={"uri": "https://host/film.mp4"})
    assert error_of(answer) == (501, "not_here")
    assert "storyhash ingest" in message_of(answer)


def test_a_posted_video_is_taken_on(kept: Api) -> None:
    taken: list[CatalogEntry] = []

    def add_video(entry: CatalogEntry) -> Video:
        taken.append(entry)
        return Video(entry.video_id, entry.uri, entry.bank, entry.title, metadata=entry.metadata)

    with kept.over(add_video) as client:
        answer = client.post("/v1/videos", json={"uri": "https://host/film.mp4"})
        full = {
            "uri": "https://host/b.mp4",
            "video_id": "b",
            "bank": "shows",
            "title": "B",
            "metadata": {"n": [1]},
        }
        client.post("/v1/videos", json=full)
    assert answer.status_code == 202
    assert (answer.json()["video_id"], answer.json()["state"]) == (
        "https://host/film.mp4",
        "pending",
    )
    assert taken == [
        CatalogEntry("https://host/film.mp4", "https://host/film.mp4"),
        CatalogEntry("b", "https://host/b.mp4", "shows", "B", {"n": [1]}),
    ]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "uri"),
        ({"uri": ""}, "uri"),
        ({"uri": 5}, "uri"),
        ({"uri": "x", "video_id": ""}, "video_id"),
        ({"uri": "x", "bank": ""}, "bank"),
        ({"uri": "x", "metadata": []}, "metadata"),
        ({"uri": "x", "path": "/etc/passwd"}, "path"),
    ],
)
def test_a_posted_video_that_is_none_is_refused_by_field(
    kept: Api, body: Mapping[str, object], named: str
) -> None:
    with kept.over(lambda entry: pytest.fail(f"{entry} was taken on")) as client:
        answer = client.post("/v1/videos", json=body)
    assert error_of(answer) == (400, "usage")
    assert message_of(answer).startswith(f"{named}: ")


def test_a_video_that_may_not_be_read_is_refused_as_who_takes_it_says(kept: Api) -> None:
    def add_video(entry: CatalogEntry) -> Video:
        raise UsageError("uri: expected an address")

    with kept.over(add_video) as client:
        assert error_of(client.post("/v1/videos", json={"uri": "/etc/passwd"})) == (400, "usage")


@pytest.mark.parametrize(
    ("route", "scheme"), [("/v1/match", ""), ("/v1/videos", ""), ("/v1/videos", "file://")]
)
def test_no_answer_tells_whether_a_file_exists(
    kept: Api, tmp_path: Path, route: str, scheme: str
) -> None:
    def add_video(entry: CatalogEntry) -> Video:
        check_address(entry.uri)
        check_allowed(entry.uri, IngestSettings())
        pytest.fail(f"{entry} was taken on")

    there, gone = tmp_path / "there.mp4", tmp_path / "gone.mp4"
    there.write_bytes(b"a.mp4")
    with kept.over(add_video) as client:
        answers = [client.post(route, json={"uri": f"{scheme}{one}"}) for one in (there, gone)]
    assert answers[0].is_client_error
    assert error_of(answers[0]) == error_of(answers[1])
    told = [message_of(one) for one in answers]
    assert told[0].replace(there.name, gone.name) == told[1]


def decided(answer: httpx.Response) -> tuple[str, list[str]]:
    """The decision, and the videos it is a copy of."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    copies = {one["video_id"] for one in told["matches"] if one["decision"] == "copy"}
    return told["decision"], sorted(copies)


def test_a_video_of_the_catalogue_finds_its_copy_and_never_itself(kept: Api) -> None:
    answer = kept.client.post("/v1/match", json={"video_id": "a.mp4"})
    assert decided(answer) == ("copy", ["shows/copy of a.mp4"])
    match = answer.json()["matches"][0]
    assert (match["uri"], match["bank"]) == ("/films/shows/copy of a.mp4", "shows")
    assert [match[f"{side}_seconds"] for side in ("query_start", "query_end")] == [0.0, 16.0]
    assert [match[f"{side}_seconds"] for side in ("ref_start", "ref_end")] == [0.0, 16.0]
    assert answer.json()["query"] == {"uri": "/films/a.mp4", "duration_seconds": 16.0}


def test_a_stranger_of_the_catalogue_finds_nothing(kept: Api) -> None:
    answer = kept.client.post("/v1/match", json={"video_id": "stranger.mp4"})
    assert decided(answer) == ("no_match", [])


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"a.mp4", "headers": {"Content-Type": "video/mp4"}},
        {"files": {"file": ("mine.mp4", b"a.mp4")}},
        {"json": {"uri": "https://host/a.mp4"}},
    ],
    ids=["raw", "form", "address"],
)
def test_a_video_that_is_sent_finds_every_copy(kept: Api, request_: Mapping[str, Any]) -> None:
    answer = kept.client.post("/v1/match?name=my%20film", **request_)
    assert decided(answer) == ("copy", ["a.mp4", "shows/copy of a.mp4"])
    assert answer.json()["query"]["uri"] == "my film"


def test_banks_bound_what_is_found(kept: Api) -> None:
    answer = kept.client.post("/v1/match?bank=shows", content=b"a.mp4")
    assert decided(answer) == ("copy", ["shows/copy of a.mp4"])
    answer = kept.client.post("/v1/match?bank=default", json={"video_id": "a.mp4"})
    assert decided(answer) == ("no_match", [])


def test_a_query_that_shows_nothing_says_why_it_matches_nothing(kept: Api) -> None:
    answer = kept.client.post("/v1/match", content=b"black")
    assert decided(answer) == ("no_match", [])
    assert answer.json()["reason"] == "no frame of the query shows anything to recognise"
    assert "reason" not in kept.client.post("/v1/match", content=b"a.mp4").json()


def test_a_video_that_is_not_whole_yet_matches_nothing(api: Api) -> None:
    api.index.videos.begin(Video("new.mp4", "/films/new.mp4"))
    answer = api.client.post("/v1/match", json={"video_id": "new.mp4"})
    assert decided(answer) == ("no_match", [])


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"broken", 422, "unreadable"),
        (b"down", 503, "embedder"),
        (b"stranger.mp4", 409, "model_mismatch"),
        (b"", 400, "usage"),
        (b"x" * 1001, 413, "too_large"),
    ],
    ids=["video", "embedder", "model", "empty", "large"],
)
def test_a_query_that_cannot_be_had_says_whose_fault_it_is(
    kept: Api, content: bytes, status: int, code: str
) -> None:
    assert error_of(kept.client.post("/v1/match", content=content)) == (status, code)


def test_a_video_id_that_is_not_there_is_404(kept: Api) -> None:
    answer = kept.client.post("/v1/match", json={"video_id": "nobody"})
    assert error_of(answer) == (404, "unknown_video")


def test_what_the_index_has_to_say_goes_with_the_answer(api: Api) -> None:
    assert NOTICES_HEADER not in api.client.post("/v1/match", content=b"a.mp4").headers
    api.index.notices.append("made anew from the mirror: é\n2 videos")
    told = api.client.post("/v1/match", content=b"a.mp4").headers[NOTICES_HEADER]
    assert json.loads(told) == ["made anew from the mirror: é\n2 videos"]


def test_the_best_probability_of_each_query_is_counted(kept: Api) -> None:
    before = kept.metric("match_probability_count"), kept.metric("match_probability_sum")
    kept.client.post("/v1/match", content=b"a.mp4")
    kept.client.post("/v1/match", json={"video_id": "stranger.mp4"})
    kept.client.post("/v1/match", content=b"broken")
    assert kept.metric("match_probability_count") == before[0] + 2
    assert kept.metric("match_probability_sum") == pytest.approx(before[1] + 1, abs=0.1)


def test_each_decision_is_counted_under_the_bank_of_what_was_found(kept: Api) -> None:
    copies = {"bank": "default", "decision": "copy"}
    none = {"bank": "(none)", "decision": "no_match"}
    before = kept.metric("decisions_total", **copies), kept.metric("decisions_total", **none)
    kept.client.post("/v1/match", content=b"a.mp4")
    kept.client.post("/v1/match", json={"video_id": "stranger.mp4"})
    assert kept.metric("decisions_total", **copies) == before[0] + 1
    assert kept.metric("decisions_total", **none) == before[1] + 1


def test_uploads_are_counted_in_bytes(kept: Api) -> None:
    before = kept.metric("upload_bytes_total")
    kept.client.post("/v1/match", content=b"a.mp4")
    assert kept.metric("upload_bytes_total") == before + len(b"a.mp4")


def contract(api: Api) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = api.client.get("/openapi.json").json()
    return answer


def test_the_contract_holds_together(kept: Api) -> None:
    told = contract(kept)
    assert told["openapi"].startswith("3.1")
    schemas = told["components"]["schemas"]
    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            described = operation["description"].replace("\n", " ")
            assert operation["summary"], (method, path)
            assert described.startswith(operation["summary"]), (method, path)
            assert operation["responses"]
            names = [(one["in"], one["name"]) for one in operation.get("parameters", ())]
            assert len(names) == len(set(names)), (method, path)
    for reference in references(told):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in told["components"][kind]


@pytest.mark.parametrize(
    ("method", "path", "asked_for", "documented"),
    [
        (
            "POST",
            "/v1/search?k=2",
            {"content": axis(0).tobytes(), "headers": RAW},
            ("/v1/search", "200"),
        ),
        (
            "POST",
            "/v1/search?k=0",
            {"content": axis(0).tobytes(), "headers": RAW},
            ("/v1/search", "4XX"),
        ),
        ("GET", "/v1/videos?limit=2", {}, ("/v1/videos", "200")),
        ("GET", "/v1/videos/blind.mp4", {}, ("/v1/videos/{video_id}", "200")),
        ("GET", "/v1/videos/nobody", {}, ("/v1/videos/{video_id}", "4XX")),
        ("POST", "/v1/match", {"content": b"a.mp4"}, ("/v1/match", "200")),
        ("POST", "/v1/match", {"content": b"black"}, ("/v1/match", "200")),
        ("POST", "/v1/match", {"content": b"down"}, ("/v1/match", "5XX")),
        ("POST", "/v1/videos", {"json": {"uri": "x"}}, ("/v1/videos", "5XX")),
    ],
)
def test_answers_are_as_the_contract_says(
    kept: Api, method: str, path: str, asked_for: Mapping[str, Any], documented: tuple[str, str]
) -> None:
    told = contract(kept)
    where, status = documented
    operation = told["paths"][where][method.lower()]
    (content,) = operation["responses"][status]["content"].values()
    schema = content["schema"]
    answer = kept.client.ask(method, path, **asked_for)
    assert str(answer.status_code).startswith(status.strip("X"))
    whole = {**schema, "components": told["components"]}
    Draft202012Validator(whole).validate(answer.json())
