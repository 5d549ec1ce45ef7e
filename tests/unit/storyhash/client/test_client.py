"""The client against the API in process: every operation, retries, pages, uploads and jobs."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from common.errors import DependencyError, ServiceError, StoryHashError, UsageError, VideoError
from common.state.roles import Role
from common.types import VECTOR_DIMENSION
from searcher.api.curation.bank_schemas import SetPolicy
from storyhash.client.call import OPERATIONS, Call
from storyhash.client.calls.embedder import model
from storyhash.client.client import AsyncClient, Client
from storyhash.client.retries import NO_RETRIES, ONLY_BUSY, Retries
from storyhash.client.transport import SyncTransport
from tests.support.keys import key_of
from tests.unit.searcher.api.test_api import axis
from tests.unit.searcher.api.test_key_access import Keyed, apps, keyed

__all__ = ["keyed"]
URL = "http://127.0.0.1:8000"


class InProcess(httpx.BaseTransport):
    """Sends the requests of a sync client to an app."""

    def __init__(self, app: FastAPI) -> None:
        self._app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._runner = asyncio.Runner()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._runner.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    def close(self) -> None:
        self._runner.close()


@pytest.fixture
def key(keyed: Keyed) -> str:
    return key_of(keyed.state, Role.ADMIN)["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def client(keyed: Keyed, key: str) -> Iterator[Client]:
    transport = InProcess(keyed.app)
    with Client(URL, key, transport=transport, retries=NO_RETRIES, sleep=lambda _: None) as made:
        yield made


def run_jobs(keyed: Keyed) -> None:
    assert keyed.runner().run_next(_NEVER)


class _Never:
    def is_set(self) -> bool:
        return False


_NEVER: Any = _Never()


def test_every_operation_of_the_documents_has_a_method(keyed: Keyed) -> None:
    documented = {
        (method.upper(), path)
        for app in apps(keyed)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    assert documented == set(OPERATIONS)
    for make in OPERATIONS.values():
        for kind in (Client, AsyncClient):
            method = getattr(kind, make.__name__)
            assert method.__doc__ == make.__doc__
            wanted = list(inspect.signature(make).parameters)
            assert list(inspect.signature(method).parameters)[1:] == wanted


def test_every_page_can_be_followed() -> None:
    for make in OPERATIONS.values():
        if "cursor" in inspect.signature(make).parameters:
            for kind in (Client, AsyncClient):
                assert hasattr(kind, make.__name__.replace("list_", "all_"))


def test_a_review_through_the_client(client: Client, tmp_path: Path) -> None:
    film = tmp_path / "upload.mp4"
    film.write_bytes(b"a.mp4")
    sent: list[tuple[int, int]] = []
    answer = client.match(film, on_progress=lambda *progress: sent.append(progress))
    assert sent == [(5, 5)]
    assert answer.query.uri == "upload.mp4"
    assert answer.decision == "copy"
    matches = list(client.all_matches(decision="copy", verdicts=["none"], limit=1))
    assert {match.ref_video_id for match in matches} == {"a.mp4", "shows/copy of a.mp4"}
    one = client.show_match(matches[0].id)
    assert one.rule.name == "copy_probability"
    verdict = client.add_verdict(one.id, "licensed", reason="contract 12")
    assert list(client.all_verdicts(one.id)) == [verdict]
    assert client.list_verdicts(one.id).total == 1
    assert client.list_matches_of_video(one.ref_video_id).total == len(
        list(client.all_matches_of_video(one.ref_video_id))
    )
    pack = client.evidence_of_match(one.id)
    assert (pack.match.id, len(pack.files)) == (one.id, 2)
    assert client.evidence_as_html(one.id).startswith("<!doctype html>")
    bulk = client.add_verdicts([match.id for match in matches], "unsure")
    assert [given.match_id for given in bulk.items] == [match.id for match in matches]
    header, *rows = client.matches_as_csv(limit=1).splitlines()
    assert header.startswith("id,decision,")
    assert len(rows) == 1
    added = client.add_exception(
        one.ref_video_id, "parody", query_fingerprint=one.query.fingerprint, dry_run=True
    )
    assert (added.id, added.affected.match_ids) == (None, [one.id])
    intro = client.add_exception(one.ref_video_id, "intro", start_seconds=0, end_seconds=3)
    assert intro.id is not None
    assert client.show_exception(intro.id).reason == "intro"
    assert [found.id for found in client.all_exceptions(kind="range")] == [intro.id]
    client.delete_exception(intro.id)
    assert client.list_exceptions().total == 0
    actions = [change.action for change in client.all_changes(limit=1)]
    assert actions[:2] == ["exceptions.delete", "exceptions.add"]


def test_the_catalogue_through_the_client(client: Client) -> None:
    assert [video.video_id for video in client.all_videos(limit=1, bank="shows")] == [
        "shows/copy of a.mp4"
    ]
    assert client.add_video("https://host/new.mp4", bank="shows").video_id == "https://host/new.mp4"
    sent: list[tuple[int, int]] = []
    added = client.add_video(
        file=b"film",
        name="a b&c.mp4",
        video_id="new",
        bank="shows",
        metadata={"year": 1971},
        on_progress=lambda *progress: sent.append(progress),
    )
    assert (added.video_id, added.bank, added.uri, sent) == ("new", "shows", "a b&c.mp4", [(4, 4)])
    with pytest.raises(UsageError, match="one of"):
        client.add_video()
    found = client.search(np.stack([axis(0)]), k=2)
    assert {hit.video_id for hit in found.items[0]} == {"a.mp4", "shows/copy of a.mp4"}
    assert client.search(axis(0)[None].tolist(), k=1, banks=["shows"]).items[0][0].bank == "shows"
    (state,) = client.video_states(["a.mp4"]).items
    assert (state.video_id, state.version) == ("a.mp4", 1)
    with pytest.raises(UsageError, match="this service sends no files") as refused:
        client.video_content("a.mp4", last_byte=10)
    assert refused.value.code == "no_content"
    assert client.video_thumbnail("a.mp4", seconds=1.5) == b""
    assert client.change_video("a.mp4", title="Tea", disabled=True).title == "Tea"
    with pytest.raises(UsageError) as stale:
        client.change_video("a.mp4", title="Coffee", if_match='"old"')
    assert stale.value.code == "precondition_failed"
    made = client.put_bank("news", title="News", policy=SetPolicy(min_seconds=3))
    assert (made.policy.min_seconds, made.policy_set.copy_probability) == (3, None)
    assert client.show_bank("news") == made
    assert [bank.bank for bank in client.all_banks(limit=1)] == ["default", "news", "shows"]
    client.delete_bank("news")
    client.delete_video("shows/copy of a.mp4")
    assert client.erasure_of_video("shows/copy of a.mp4").video_id == "shows/copy of a.mp4"
    with pytest.raises(UsageError, match="is indexed") as unknown:
        client.show_video("shows/copy of a.mp4")
    assert unknown.value.code == "unknown_video"
    assert client.list_generations().items == []
    assert client.liveness().status == "ok"
    assert client.readiness().status == "ok"
    assert "storyhash_build_info" in client.metrics()


def test_keys_through_the_client(client: Client) -> None:
    made = client.create_key("reviewers", "reviewer", banks=["shows"], expires_seconds=60)
    assert made.key.startswith("sh_")
    client.revoke_key(made.id)
    (found,) = [known for known in client.all_keys(limit=1) if known.id == made.id]
    assert found.revoked_at is not None
    with pytest.raises(UsageError, match="role"):
        client.create_key("nobody", "king")  # type: ignore[arg-type]


def test_a_job_is_waited_for(client: Client, keyed: Keyed) -> None:
    job = client.create_job(b"a.mp4", name="a.mp4")
    again = client.create_job(b"a.mp4", name="a.mp4", idempotency_key="1")
    assert client.create_job(b"a.mp4", name="a.mp4", idempotency_key="1").id == again.id
    assert client.list_jobs().total == 2
    looks: list[str] = []
    runner = threading.Thread(target=run_jobs, args=(keyed,))

    def look(seen: Any) -> None:
        if not looks:
            runner.start()
        looks.append(seen.state)

    done = client.wait_for_job(job.id, on_progress=look)
    runner.join()
    assert (looks[0], looks[-1]) == ("queued", "done")
    assert done.result is not None
    assert done.result.decision == "copy"
    with pytest.raises(DependencyError, match="is queued after 0"):
        client.wait_for_job(again.id, timeout_seconds=0)
    client.cancel_job(again.id)
    assert client.show_job(again.id).state == "cancelled"


def test_the_same_without_waiting_for_a_thread(keyed: Keyed, key: str, tmp_path: Path) -> None:
    film = tmp_path / "upload.mp4"
    film.write_bytes(b"a.mp4")
    sent: list[int] = []

    async def review() -> list[str]:
        transport = httpx.ASGITransport(keyed.app)
        async with AsyncClient(URL, key, transport=transport) as client:
            job = await client.create_job(film, on_progress=lambda done, _: sent.append(done))
            await asyncio.to_thread(run_jobs, keyed)
            assert (await client.wait_for_job(job.id)).state == "done"
            with pytest.raises(UsageError, match="no match 99"):
                await client.show_match(99)
            added = await client.add_video(
                file=film, on_progress=lambda *done: sent.append(done[0])
            )
            assert added.uri == "upload.mp4"
            return [match.ref_video_id async for match in client.all_matches(limit=1)]

    assert set(asyncio.run(review())) == {"a.mp4", "shows/copy of a.mp4"}
    assert sent == [5, 5]


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[Any]]:
    """A service with these answers, one after the other, and the requests and bodies it got."""
    waiting, got = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        got.append((request, b"".join(request.stream)))
        given = waiting.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return httpx.MockTransport(answer), got


def refused(status: int, code: str = "busy", **headers: str) -> httpx.Response:
    body = {"error": {"code": code, "message": "no"}}
    return httpx.Response(status, json=body, headers=headers)


def job(state: str = "queued") -> httpx.Response:
    nothing = dict.fromkeys(("position", "progress", "started_at", "finished_at", "expires_at"))
    query = {"kind": "upload", "fingerprint": "sha256:0", "uri": "a.mp4"}
    value = {"id": "1", "state": state, "query": query, "created_at": "", "error": None}
    return httpx.Response(202, json={**value, **nothing, "result": None})


@pytest.mark.parametrize(
    ("answers", "retries", "waits"),
    [
        ([refused(503, **{"Retry-After": "3"}), job()], Retries(), [3.0]),
        ([refused(429, **{"Retry-After": "7"}), job()], ONLY_BUSY, [7.0]),
        ([httpx.ConnectError("refused"), refused(502), job()], Retries(), [0.5, 1.0]),
    ],
    ids=["busy", "too many", "gone"],
)
def test_what_may_be_sent_again_is(
    answers: list[Any], retries: Retries, waits: list[float]
) -> None:
    transport, got = answering(*answers)
    slept: list[float] = []
    with Client(URL, transport=transport, retries=retries, sleep=slept.append) as client:
        assert client.create_job(b"video").state == "queued"
    assert len(slept) == len(waits)
    for wait, longest in zip(slept, waits, strict=True):
        assert longest / 2 <= wait <= longest
    # The whole body again, under the same key.
    assert {body for _, body in got} == {b"video"}
    assert len({request.headers["Idempotency-Key"] for request, _ in got}) == 1


@pytest.mark.parametrize(
    ("answers", "retries", "kind"),
    [
        ([refused(503, **{"Retry-After": "99"})], Retries(), DependencyError),
        ([refused(503, "not_ready")], ONLY_BUSY, DependencyError),
        ([httpx.ConnectError("refused")], ONLY_BUSY, ServiceError),
        ([refused(500, "internal")], Retries(), StoryHashError),
        ([refused(404, "unknown_job")], Retries(), UsageError),
        ([httpx.ReadTimeout("slow")] * 4, Retries(attempts=4), ServiceError),
    ],
)
def test_what_is_final_is_raised(
    answers: list[Any], retries: Retries, kind: type[StoryHashError]
) -> None:
    transport, got = answering(*answers)
    with (
        Client(URL, transport=transport, retries=retries, sleep=lambda _: None) as client,
        pytest.raises(kind),
    ):
        client.show_job("1")
    assert len(got) == len(answers)


def test_what_cannot_be_repeated_is_sent_once() -> None:
    transport, got = answering(httpx.ReadError("cut"))
    with (
        Client(URL, transport=transport, sleep=lambda _: None) as client,
        pytest.raises(ServiceError),
    ):
        client.create_key("name", "reader")
    assert len(got) == 1


@pytest.mark.parametrize(
    "lost", [httpx.ReadError("cut"), httpx.Response(502), httpx.Response(504, text="<html>")]
)
def test_a_deletion_whose_answer_was_lost_is_done(lost: Any) -> None:
    transport, _ = answering(lost, refused(404, "unknown_video"))
    with Client(URL, transport=transport, sleep=lambda _: None) as client:
        client.delete_video("a.mp4")


def test_a_deletion_that_a_busy_service_did_not_begin_is_refused_as_it_answers_then() -> None:
    busy = refused(503, **{"Retry-After": "1"})
    transport, _ = answering(busy, refused(404, "unknown_video"))
    with (
        Client(URL, transport=transport, sleep=lambda _: None) as client,
        pytest.raises(UsageError),
    ):
        client.delete_video("a.mp4")


def test_a_newer_service_may_say_more_and_a_stranger_is_named() -> None:
    more = {"model_id": "m", "new": {"field": 1}}
    transport, _ = answering(
        httpx.Response(200, json=more),
        httpx.Response(200, json={"model": "m"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="<html>"),
    )
    with Client(URL, transport=transport) as client:
        assert client.model().model_id == "m"
        for words in ("responded with model_id", "did not respond with JSON", "responded with 404"):
            with pytest.raises(ServiceError, match=f"{words}.*is not a StoryHash service"):
                client.model()


def test_an_answer_that_cannot_be_decoded_is_that_of_a_stranger() -> None:
    def broken() -> httpx.Response:
        stream = httpx.ByteStream(b"no gzip")
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=stream)

    transport, got = answering(broken(), broken())
    with Client(URL, transport=transport) as client:
        with pytest.raises(ServiceError, match=r"Content-Encoding.*is not a StoryHash service"):
            client.model()
        with (
            pytest.raises(ServiceError, match="is not a StoryHash service"),
            client.stream(model()) as answer,
        ):
            answer.read()
    assert len(got) == 2


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_whose_service_is_down_is_no_stranger(status: int) -> None:
    transport, _ = answering(httpx.Response(status, text="<html>"))
    with (
        Client(URL, transport=transport, retries=NO_RETRIES) as client,
        pytest.raises(ServiceError, match=f"{status}.*start the service"),
    ):
        client.model()


def test_a_mistake_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    transport, got = answering()
    mistakes: list[Callable[[Client], Any]] = [
        lambda client: client.match(),
        lambda client: client.match(b"video", uri="https://host/a.mp4"),
        lambda client: client.add_exception("a.mp4", "intro", start_seconds=3, end_seconds=1),
        lambda client: client.match(tmp_path / "missing.mp4"),
    ]
    with Client(URL, transport=transport) as client:
        for mistake in mistakes:
            with pytest.raises((UsageError, StoryHashError)):
                mistake(client)
    assert got == []


@pytest.mark.parametrize(
    ("later", "told"),
    [(b"a longer film", "it changed"), (b"cut", "it changed"), (None, "No such file")],
)
def test_a_file_that_changes_while_it_is_sent_is_named(
    tmp_path: Path, later: bytes | None, told: str
) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(b"a film")

    class Slow(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            film.unlink()
            if later is not None:
                film.write_bytes(later)
            assert isinstance(request.stream, httpx.SyncByteStream)
            b"".join(request.stream)
            return job()

    with (
        Client(URL, transport=Slow()) as client,
        pytest.raises(VideoError, match=rf"a\.mp4: {told}"),
    ):
        client.create_job(film)


@pytest.mark.parametrize("upload", ["empty file", "empty bytes", "folder"])
def test_what_no_service_takes_is_refused_before_it_is_sent(tmp_path: Path, upload: str) -> None:
    film = tmp_path / "a.mp4"
    if upload == "folder":
        film.mkdir()
    else:
        film.touch()
    transport, got = answering(job())
    told = "cannot be uploaded" if upload == "folder" else "it is empty"
    with Client(URL, transport=transport) as client, pytest.raises(VideoError, match=told):
        client.create_job(b"" if upload == "empty bytes" else film)
    assert got == []


def test_the_request_of_a_search_has_the_vectors_as_they_are() -> None:
    transport, got = answering(
        httpx.Response(200, json={"model_id": "m", "generation": "", "items": [[]]})
    )
    vectors = np.eye(1, VECTOR_DIMENSION, dtype=np.float32)
    with Client(URL, transport=transport) as client:
        client.search(vectors, banks=["a", "b"], model_id="m", limit_ms=50)
    ((request, body),) = got
    assert body == vectors.astype("<f4").tobytes()
    assert request.url.params.get_list("bank") == ["a", "b"]
    assert request.headers["X-Request-Timeout-Ms"] == "50"


def test_a_search_whose_time_ended_is_not_sent_again() -> None:
    transport, got = answering(refused(504, "deadline_exceeded"))
    with Client(URL, transport=transport) as client, pytest.raises(StoryHashError) as raised:
        client.search(np.eye(1, VECTOR_DIMENSION, dtype=np.float32), limit_ms=50)
    assert raised.value.code == "deadline_exceeded"
    assert len(got) == 1


def test_a_stream_is_read_while_it_arrives() -> None:
    transport, _ = answering(httpx.Response(200, content=b"film"), refused(404, "no_content"))
    with SyncTransport(URL, transport=transport) as client:
        call: Call[Any] = OPERATIONS["GET", "/v1/videos/{video_id}/content"]("a.mp4")
        with client.stream(call) as answer:
            assert b"".join(answer.iter_bytes()) == b"film"
        with pytest.raises(UsageError), client.stream(call):
            pass


def test_a_service_that_cannot_wait_is_asked_again_after_pauses() -> None:
    times = {"created_at": "2026-05-04T12:00:00+00:00", "started_at": None, "finished_at": None}
    query = {"kind": "upload", "fingerprint": "sha256:1", "uri": "a.mp4"}
    nothing = dict.fromkeys(("position", "progress", "expires_at", "error", "result"))
    job = {"id": "1", "query": query, **times, **nothing}
    queued = httpx.Response(200, json={**job, "state": "queued"})
    done = httpx.Response(200, json={**job, "state": "done"})
    transport, got = answering(queued, queued, queued, done)
    pauses: list[float] = []
    with Client(URL, transport=transport, sleep=pauses.append) as client:
        assert client.wait_for_job("1").state == "done"
    waits = [request.url.params.get("wait_seconds") for request, _ in got]
    assert waits == [None, "20.0", "20.0", "20.0"]
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1]


def test_a_client_with_little_patience_asks_for_shorter_waits() -> None:
    transport, got = answering(job(), job(), job("done"))
    with Client(URL, timeout_seconds=5, transport=transport, sleep=lambda _: None) as client:
        assert client.wait_for_job("1").state == "done"
    waits = [float(request.url.params["wait_seconds"]) for request, _ in got[1:]]
    assert waits == [2.5, 2.5]


DOWN = httpx.ConnectError("refused")


def test_with_a_time_out_a_job_is_waited_for_while_the_service_restarts() -> None:
    transport, _ = answering(job(), DOWN, DOWN, job("done"))
    with Client(URL, transport=transport, retries=NO_RETRIES, sleep=lambda _: None) as client:
        assert client.wait_for_job("1", timeout_seconds=600).state == "done"


def test_without_one_a_service_that_is_down_is_told_at_once() -> None:
    transport, got = answering(job(), DOWN)
    with (
        Client(URL, transport=transport, retries=NO_RETRIES, sleep=lambda _: None) as client,
        pytest.raises(ServiceError),
    ):
        client.wait_for_job("1")
    assert len(got) == 2
