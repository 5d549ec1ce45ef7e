"""Jobs over HTTP: they are queued, run, cancelled, and outlive the service."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import EmbedderUnavailableError, StateError
from common.settings import JobSettings
from common.state.keys import NewKey
from common.state.quotas import Quota, Use
from common.state.roles import Role
from common.state.webhooks import NewWebhook
from common.types import OnDecoded, PassName, QueryEmbedding, TimeSpans
from searcher.jobs import runner
from searcher.jobs.job_files import JobFiles
from searcher.jobs.runner import JobRunner
from searcher.review.reviews import Reviews
from searcher.serving import OpenedQuery
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.unit.searcher.api.test_api import embed
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]


class Queue:
    """The API with jobs, and a runner that the test calls."""

    def __init__(self, keyed: Keyed) -> None:
        self.keyed = keyed
        self.key = key_of(keyed.state, Role.READER)
        self.stopping = threading.Event()

    def post(self, **request: Any) -> Any:
        return self.ask("POST", "/v1/jobs", **(request or {"content": b"a.mp4"}))

    def ask(self, method: str, path: str, key: dict[str, str] | None = None, **request: Any) -> Any:
        return self.keyed.ask(method, path, key or self.key, **request)

    def show(self, answer: Any) -> dict[str, Any]:
        return dict(self.ask("GET", answer.headers["Location"]).json())

    def runner(self, embedding: Any = embed) -> JobRunner:
        return self.keyed.runner(embedding)

    def run(self, embedding: Any = embed) -> bool:
        runner = self.runner(embedding)
        runner.recover()
        return runner.run_next(self.stopping)

    @property
    def uploads(self) -> list[Path]:
        return sorted(self.keyed.jobs.files.path("x").parent.glob("*.upload"))


@pytest.fixture
def queue(keyed: Keyed) -> Queue:
    return Queue(keyed)


def check_schema(queue: Queue, value: Any) -> None:
    document = queue.keyed.document
    schema = document["components"]["schemas"]["JobItem"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_a_job_has_the_answer_of_a_match(queue: Queue) -> None:
    answer = queue.post()
    assert answer.status_code == 202, answer.text
    job = answer.json()
    check_schema(queue, job)
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["position"], job["result"]) == ("queued", 0, None)
    assert len(queue.uploads) == 1
    assert queue.run()
    done = queue.show(answer)
    check_schema(queue, done)
    matched = queue.ask("POST", "/v1/match", content=b"a.mp4").json()
    assert (done["state"], done["result"]) == ("done", matched)
    assert done["query"]["fingerprint"] == matched["query"]["fingerprint"]
    assert done["expires_at"] > done["finished_at"]
    assert queue.uploads == []
    assert not queue.run()


def test_a_video_of_the_catalogue_and_an_address_are_jobs_too(queue: Queue) -> None:
    by_id = queue.post(json={"video_id": "a.mp4"})
    by_uri = queue.post(json={"uri": "https://host/a.mp4?key=secret"})
    assert by_uri.json()["query"]["uri"] == "https://host/a.mp4"
    assert by_uri.json()["position"] == 1
    assert queue.run()
    assert queue.show(by_id)["result"]["matches"][0]["video_id"] == "shows/copy of a.mp4"
    nobody = queue.post(json={"video_id": "nobody"})
    assert error_of(nobody) == (404, "unknown_video")
    assert error_of(queue.post(json={"uri": "/etc/passwd"})) == (400, "usage")
    assert error_of(queue.post(content=b"")) == (400, "usage")


def test_a_job_obeys_the_banks_of_its_key(queue: Queue) -> None:
    shows = key_of(queue.keyed.state, Role.READER, ["shows"])
    answer = queue.ask("POST", "/v1/jobs", shows, content=b"a.mp4")
    assert queue.run()
    result = queue.ask("GET", answer.headers["Location"], shows).json()["result"]
    assert {one["bank"] for one in result["matches"]} == {"shows"}
    refused = queue.ask("POST", "/v1/jobs?bank=default", shows, content=b"a.mp4")
    assert error_of(refused) == (403, "forbidden")
    hidden = queue.ask("POST", "/v1/jobs", shows, json={"video_id": "a.mp4"})
    assert error_of(hidden) == (404, "unknown_video")


def test_a_result_names_only_videos_that_its_key_may_see_now(queue: Queue) -> None:
    shows = key_of(queue.keyed.state, Role.READER, ["shows"])
    banks = key_of(queue.keyed.state, Role.READER, ["shows", "default"])
    posted = [(key, queue.ask("POST", "/v1/jobs", key, content=b"a.mp4")) for key in (shows, banks)]
    assert queue.run()
    assert queue.run()

    def read() -> list[str]:
        return [queue.ask("GET", job.headers["Location"], key).text for key, job in posted]

    copy = "shows/copy of a.mp4"
    assert [copy in text for text in read()] == [True, True]
    path = f"/v1/videos/{copy}"
    moved = queue.ask("PATCH", path, queue.keyed.all, json={"bank": "default"})
    assert moved.status_code == 200, moved.text
    assert [copy in text for text in read()] == [False, True]
    queue.keyed.api.index.delete_videos([copy])
    assert [copy in text for text in read()] == [False, False]
    assert "a.mp4" in read()[1]


def test_only_its_key_and_an_admin_see_a_job(queue: Queue) -> None:
    answer = queue.post()
    place, other = answer.headers["Location"], key_of(queue.keyed.state, Role.WRITER)
    for method in ("GET", "DELETE"):
        assert error_of(queue.ask(method, place, other)) == (404, "unknown_job")
    assert queue.ask("GET", "/v1/jobs", other).json()["total"] == 0
    page = queue.ask("GET", "/v1/jobs", key_of(queue.keyed.state, Role.ADMIN)).json()
    assert [one["id"] for one in page["items"]] == [answer.json()["id"]]
    assert "result" not in page["items"][0]


def test_a_job_that_fails_says_why(queue: Queue) -> None:
    broken = queue.post(content=b"named")
    assert queue.run()
    job = queue.show(broken)
    check_schema(queue, job)
    assert (job["state"], job["error"]["code"]) == ("failed", "unreadable")
    # The path of a log of the server is nobody's business.
    assert "/var/log" not in job["error"]["message"]


def test_a_job_whose_upload_is_gone_fails(queue: Queue) -> None:
    answer = queue.post()
    queue.uploads[0].unlink()
    assert queue.run()
    assert "send it again" in queue.show(answer)["error"]["message"]


def test_a_deleted_video_is_in_no_job_and_no_delivery_at_once(queue: Queue) -> None:
    queue.keyed.state.webhooks.create(NewWebhook("https://example.org/hook"))
    done = queue.post()
    assert queue.run()
    about = queue.post(json={"video_id": "a.mp4"})
    assert "a.mp4" in found_in(queue.show(done))
    assert queue.ask("DELETE", "/v1/videos/a.mp4", queue.keyed.all).status_code == 204
    receipt = queue.ask("GET", "/v1/videos/a.mp4/erasure", queue.keyed.all).json()
    assert receipt["erased"], receipt
    assert "a.mp4" not in found_in(queue.show(done))
    assert "shows/copy of a.mp4" in found_in(queue.show(done))
    assert error_of(queue.ask("GET", about.headers["Location"])) == (404, "unknown_job")


def test_a_video_that_is_deleted_while_a_job_works_is_not_in_its_result(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, jobs = queue.keyed.api.index, queue.keyed.state.jobs
    finish = jobs.finish

    def deleted_meanwhile(*given: Any, **values: Any) -> None:
        index.delete_videos(["a.mp4"])
        finish(*given, **values)

    monkeypatch.setattr(jobs, "finish", deleted_meanwhile)
    answer = queue.post()
    assert queue.run()
    assert "a.mp4" not in found_in(queue.show(answer))
    assert "shows/copy of a.mp4" in found_in(queue.show(answer))


def found_in(job: dict[str, Any]) -> set[str]:
    """The videos that the result of a job names."""
    assert job["state"] == "done"
    return {one["video_id"] for one in job["result"]["matches"] + job["result"]["candidates"]}


def waits_then(act: Callable[[], object]) -> Any:
    """An embedder that acts, and then works until it is cancelled."""

    @contextmanager
    def open_query(
        source: object,
        name: str,
        model_id: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_decoded: OnDecoded | None = None,
    ) -> Iterator[OpenedQuery]:
        act()
        while True:
            threading.Event().wait(0.01)
            cancellation.check()
        yield  # type: ignore[unreachable]

    return open_query


class Restarting:
    """Embedders that do not respond so many times."""

    def __init__(self, failures: int, act: Callable[[], object] = lambda: None) -> None:
        self.left, self.act = failures, act

    @contextmanager
    def __call__(self, *given: Any, **more: Any) -> Iterator[OpenedQuery]:
        if self.left:
            self.left -= 1
            self.act()
            raise EmbedderUnavailableError("no embedder responds")
        with embed(*given, **more) as query:
            yield query


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_FIRST_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("no_pauses")
def test_a_job_waits_while_embedders_restart(queue: Queue) -> None:
    answer, runner = queue.post(), queue.runner(Restarting(3))
    for state in ("queued", "queued", "queued", "done"):
        assert runner.run_next(queue.stopping)
        assert queue.show(answer)["state"] == state
    assert not runner.run_next(queue.stopping)


def test_a_job_that_waits_for_an_embedder_delays_no_other(queue: Queue) -> None:
    waiting, by_id = queue.post(), queue.post(json={"video_id": "a.mp4"})
    runner = queue.runner(Restarting(99))
    assert runner.run_next(queue.stopping)
    assert runner.run_next(queue.stopping)
    assert [queue.show(job)["state"] for job in (waiting, by_id)] == ["queued", "done"]
    assert not runner.run_next(queue.stopping)


def test_a_job_does_not_wait_for_ever(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_EMBEDDER_SECONDS", 0.0)
    answer = queue.post(content=b"down")
    assert queue.run()
    assert queue.show(answer)["error"]["code"] == "embedder"


def test_a_job_that_waits_for_an_embedder_is_cancelled(queue: Queue) -> None:
    answer = queue.post()
    job_id = answer.json()["id"]
    assert queue.run(Restarting(99, lambda: queue.keyed.state.jobs.cancel(job_id, None)))
    assert queue.show(answer)["state"] == "cancelled"


def test_the_work_of_a_cancelled_job_stops(queue: Queue) -> None:
    answer = queue.post()
    job_id = answer.json()["id"]
    assert queue.run(waits_then(lambda: queue.keyed.state.jobs.cancel(job_id, None)))
    assert queue.show(answer)["state"] == "cancelled"
    assert queue.uploads == []
    assert queue.ask("DELETE", answer.headers["Location"]).status_code == 204
    assert queue.show(answer)["state"] == "cancelled"


def test_a_running_job_tells_its_progress(queue: Queue) -> None:
    answer = queue.post()

    @contextmanager
    def open_query(source: Any, *rest: Any) -> Iterator[OpenedQuery]:
        with embed(source, *rest) as query:

            def take(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
                yield from query.take_pass(kind, within)
                while not told():
                    threading.Event().wait(0.01)

            yield replace(query, take_pass=take)

    def told() -> bool:
        job = queue.keyed.state.jobs.get(answer.json()["id"], None)
        return job is not None and (job.progress or {}).get("pieces_done") == 1

    assert queue.run(open_query)
    progress = {"stage": "first pass", "pieces_done": 1, "pieces": 1}
    assert queue.show(answer)["progress"] == progress


def test_a_running_job_tells_how_many_minutes_are_decoded(queue: Queue) -> None:
    answer = queue.post()
    told: list[dict[str, Any]] = []

    def progress() -> dict[str, Any]:
        job = queue.keyed.state.jobs.get(answer.json()["id"], None)
        assert job is not None
        return dict(job.progress or {})

    @contextmanager
    def open_query(
        source: Any, name: str, model_id: str, cancellation: Cancellation, on_decoded: OnDecoded
    ) -> Iterator[OpenedQuery]:
        on_decoded(59.5)
        on_decoded(125.0)
        while "decoded_seconds" not in progress():
            threading.Event().wait(0.01)
        check_schema(queue, queue.show(answer))
        told.append(queue.show(answer)["progress"])
        with embed(source, name, model_id, cancellation) as query:
            yield query

    assert queue.run(open_query)
    assert told == [
        {"stage": "decoding", "pieces_done": 0, "pieces": None, "decoded_seconds": 120.0}
    ]
    assert queue.show(answer)["state"] == "done"


def test_a_queued_job_is_cancelled_at_once(queue: Queue) -> None:
    answer = queue.post()
    assert queue.ask("DELETE", answer.headers["Location"]).status_code == 204
    assert queue.show(answer)["state"] == "cancelled"
    assert queue.uploads == []
    assert not queue.run()


def test_the_upload_of_a_job_that_another_service_cancelled_is_deleted(queue: Queue) -> None:
    answer = queue.post()
    os.utime(queue.uploads[0], (0, 0))
    # The other service has the same state database, and its own folder.
    assert queue.keyed.state.jobs.cancel(answer.json()["id"], None)
    assert not queue.runner().run_next(queue.stopping)
    assert queue.uploads == []


def test_a_job_of_a_service_that_stops_is_done_after_the_next_start(queue: Queue) -> None:
    answer = queue.post()
    assert queue.run(waits_then(queue.stopping.set))
    assert (queue.show(answer)["state"], len(queue.uploads)) == ("queued", 1)
    queue.stopping.clear()
    assert queue.run()
    assert queue.show(answer)["state"] == "done"


def test_a_job_goes_on_while_the_state_database_is_down(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = queue.keyed.state.jobs
    failures: list[str] = []

    def fails_twice(name: str) -> Any:
        ask = getattr(store, name)

        def asked(*given: Any, **more: Any) -> Any:
            if failures.count(name) < 2:
                failures.append(name)
                raise StateError("the database is down")
            return ask(*given, **more)

        return asked

    @contextmanager
    def open_query(
        source: Any, name: str, model_id: str, cancellation: Cancellation, *rest: Any
    ) -> Iterator[OpenedQuery]:
        while failures.count("is_cancelled") < 2:
            threading.Event().wait(0.01)
            cancellation.check()
        with embed(source, name, model_id, cancellation, *rest) as query:
            yield query

    for name in ("is_cancelled", "finish"):
        monkeypatch.setattr(store, name, fails_twice(name))
    answer = queue.post()
    assert queue.run(open_query)
    assert queue.show(answer)["state"] == "done"
    assert failures == ["is_cancelled"] * 2 + ["finish"] * 2
    assert not queue.run()


@pytest.mark.parametrize(("failures", "state"), [(2, "done"), (3, "failed")])
def test_a_job_whose_matches_cannot_be_stored_is_tried_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, failures: int, state: str
) -> None:
    finish, begun = Reviews.finish, []

    def fails(*given: Any, **more: Any) -> dict[str, Any]:
        begun.append(given)
        if len(begun) <= failures:
            raise StateError("the database is down")
        return finish(*given, **more)

    monkeypatch.setattr(Reviews, "finish", fails)
    webhook, _ = queue.keyed.state.webhooks.create(
        NewWebhook("https://example.org/hook", events=["job.finished"])
    )
    answer = queue.post()
    for _ in range(2):
        assert queue.run()
        assert (queue.show(answer)["state"], len(queue.uploads)) == ("queued", 1)
    assert queue.run()
    job = queue.show(answer)
    assert (job["state"], len(queue.uploads)) == (state, 0)
    assert (job["error"] or {}).get("code") == ("state" if state == "failed" else None)
    assert not queue.run()
    assert queue.keyed.state.deliveries.page(webhook.id, None, None, 9)[2] == 1


def test_too_many_jobs_are_refused_with_a_time_to_wait(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue.keyed.state.jobs, "_settings", JobSettings(max_queued_per_key=1))
    assert queue.post().status_code == 202
    refused = queue.post()
    assert error_of(refused) == (429, "too_many_jobs")
    assert int(refused.headers["Retry-After"]) > 0
    assert len(queue.uploads) == 1


def test_a_job_that_is_sent_again_is_queued_once(queue: Queue) -> None:
    given = {"content": b"a.mp4", "headers": {"Idempotency-Key": "mine"}}
    first, again = queue.post(**given), queue.post(**given)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(queue.uploads) == 1
    other = queue.post(content=b"blind.mp4", headers=given["headers"])
    assert error_of(other) == (422, "idempotency_key_reused")
    assert len(queue.uploads) == 1


def test_a_job_counts_its_seconds_and_the_next_one_fails_when_none_is_left(queue: Queue) -> None:
    state = queue.keyed.state
    key, token = state.keys.create(NewKey("a", Role.READER, quota=Quota(video_seconds_per_day=16)))
    queue.key = {"Authorization": f"Bearer {token}"}
    jobs = [queue.post(), queue.post(json={"video_id": "a.mp4"}), queue.post(content=b"a.mp4")]
    for _ in jobs:
        assert queue.run()
    # A video of the catalogue is not decoded.
    assert [queue.show(job)["state"] for job in jobs] == ["done", "done", "failed"]
    assert queue.show(jobs[2])["error"]["code"] == "quota_exceeded"
    assert state.quotas.spend(key.id, Quota(), Use()).use.video_seconds == 16
    for given in ({"content": b"a.mp4"}, {"json": {"uri": "https://host/a.mp4"}}):
        assert error_of(queue.post(**given)) == (429, "quota_exceeded")
    by_id = queue.post(json={"video_id": "a.mp4"})
    assert queue.run()
    assert queue.show(by_id)["state"] == "done"
    assert error_of(queue.post()) == (429, "quota_exceeded")


class LostLater:
    """An embedder that does not respond any more after the first piece of the first pass, once."""

    def __init__(self) -> None:
        self.lost = False

    @contextmanager
    def __call__(self, *given: Any, **more: Any) -> Iterator[OpenedQuery]:
        with embed(*given, **more) as query:

            def take(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
                yield from query.take_pass(kind, within)
                if not self.lost:
                    self.lost = True
                    raise EmbedderUnavailableError("the embedder has gone")

            yield replace(query, take_pass=take)


@pytest.mark.usefixtures("no_pauses")
def test_a_job_that_is_begun_again_counts_its_seconds_once(queue: Queue) -> None:
    state = queue.keyed.state
    key, token = state.keys.create(NewKey("a", Role.READER, quota=Quota(video_seconds_per_day=99)))
    queue.key = {"Authorization": f"Bearer {token}"}
    answer, runner = queue.post(), queue.runner(LostLater())
    for used in (0, 16):
        assert runner.run_next(queue.stopping)
        assert state.quotas.spend(key.id, Quota(), Use()).use.video_seconds == used
    assert queue.show(answer)["state"] == "done"


def test_uploads_that_no_job_needs_are_deleted(tmp_path: Path) -> None:
    files = JobFiles(tmp_path / "jobs")
    for job_id in ("needed", "old", "young"):
        files.path(job_id).write_bytes(b"x")
    for job_id in ("needed", "old"):
        os.utime(files.path(job_id), (0, 0))
    files.sweep({"needed"})
    assert [files.path(one).exists() for one in ("needed", "old", "young")] == [True, False, True]
    assert JobFiles(tmp_path / "jobs").owner == files.owner
    assert JobFiles(tmp_path / "other").owner != files.owner
