"""`storyhash serve`: everything in one process, asked as a client and killed as an operator may."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI

from common.settings import load_settings
from common.types import Float32Array
from storyhash.wiring import open_catalogue
from tests.e2e.conftest import copied, draw, storyhash
from tests.support.http_server import running
from tests.support.routes import references
from tests.support.services import Service, wait_until

_MAX_UPLOAD_BYTES = 4 << 20
SETTINGS = {
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_HTTP__MAX_UPLOAD_BYTES": str(_MAX_UPLOAD_BYTES),
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_INGEST__ALLOWED_HOSTS": '["127.0.0.1"]',
    "STORYHASH_INGEST__QUIET_SECONDS": "0.3",
    "STORYHASH_INGEST__WATCH_SECONDS": "0.1",
    "STORYHASH_INGEST__WORKERS": "1",
    "STORYHASH_SERVICE__AUDIT_SECONDS": "1",
}


def serve(scratch: Path, *arguments: str | Path) -> Service:
    """A process over `scratch/data`, not started yet."""
    arguments = ("serve", "--data", scratch / "data", *arguments)
    return Service("serve", arguments, scratch / "serve.log", SETTINGS, preloaded=True)


class FilmHost:
    """A web server of films. It keeps those who ask for /slow/... waiting until `go_on` is set."""

    def __init__(self, folder: Path) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.url = ""
        host = self

        class Films(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/slow/"):
                    host.asked.set()
                    host.go_on.wait(300)
                self.send_response(200)
                self.end_headers()
                # Whoever asked may be dead by now.
                try:
                    self.wfile.write((folder / Path(self.path).name).read_bytes())
                except ConnectionError:
                    self.close_connection = True

        self.handler = Films


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FilmHost]:
    made = FilmHost(tmp_path)
    with running(made.handler) as made.url:
        yield made
        made.go_on.set()


@pytest.fixture(scope="module")
def served(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A process over a copy of the four films' index."""
    scratch = tmp_path_factory.mktemp("served")
    copied(indexed, scratch)
    process = serve(scratch).start().ready()
    yield process
    assert process.stop() == 0, process.text()
    assert "Traceback" not in process.text(), process.text()


@pytest.fixture(scope="module")
def client(served: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as made:
        yield made


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[list[Service]]:
    """Processes of the test's own: put in here, they are dead when it ends."""
    started: list[Service] = []
    yield started
    for one in started:
        if one.running:
            one.kill()


def state(client: httpx.Client, video_id: str) -> str:
    answer = client.get(f"/v1/videos/{video_id}")
    return "unknown" if answer.status_code == 404 else str(answer.json()["state"])


def is_ready(client: httpx.Client, video_id: str) -> bool:
    return state(client, video_id) == "ready"


def error(answer: httpx.Response) -> tuple[int, str]:
    told = answer.json()["error"]
    assert set(told) == {"code", "message"}
    assert "\n" not in told["message"]
    return answer.status_code, told["code"]


def vectors_of(data: Path, video_id: str) -> Float32Array:
    with open_catalogue(load_settings({}, data_dir=data), writer=False) as index:
        return index.vectors_of(video_id)[1]


def test_it_says_that_it_lives_and_is_ready(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    items = client.get("/v1/videos", params={"limit": 3}).json()
    assert [one["video_id"] for one in items["items"]] == ["a.mp4", "b.mkv", "c.mov"]
    rest = client.get("/v1/videos", params={"cursor": items["next_cursor"]}).json()
    assert [one["video_id"] for one in rest["items"]] == ["series one/d.mp4"]
    assert rest["next_cursor"] is None


def test_an_uploaded_copy_is_found_and_a_stranger_is_not(
    client: httpx.Client, tmp_path: Path
) -> None:
    copy = draw(tmp_path / "copy.mp4", 2, mirrored=True)
    stranger = draw(tmp_path / "stranger.mp4", 77)
    found = client.post("/v1/match?name=mine", content=copy.read_bytes()).json()
    assert (found["query"]["uri"], found["decision"]) == ("mine", "copy")
    best = found["matches"][0]
    assert (best["video_id"], best["view"], best["decision"]) == ("b.mkv", "identity", "copy")
    with stranger.open("rb") as file:
        unknown = client.post("/v1/match", files={"file": file}).json()
    assert (unknown["query"]["uri"], unknown["decision"]) == ("stranger.mp4", "no_match")


def test_a_video_of_the_catalogue_is_matched_against_the_others(client: httpx.Client) -> None:
    answer = client.post("/v1/match", json={"video_id": "series one/d.mp4"}).json()
    assert answer["decision"] == "no_match"
    assert answer["matches"] == []
    assert {one["video_id"] for one in answer["candidates"]} == {"a.mp4", "b.mkv", "c.mov"}
    assert error(client.post("/v1/match", json={"video_id": "e"})) == (404, "unknown_video")


def test_raw_vectors_find_their_own_segments(client: httpx.Client, indexed: Path) -> None:
    vectors = vectors_of(indexed, "c.mov")
    raw = {"content-type": "application/octet-stream"}
    answer = client.post(
        "/v1/search?k=3", content=vectors.astype("<f4").tobytes(), headers=raw
    ).json()
    assert len(answer["items"]) == len(vectors) == 2
    for number, hits in enumerate(answer["items"]):
        assert (hits[0]["video_id"], hits[0]["start_seconds"]) == ("c.mov", 4.0 * number)
        assert hits[0]["score"] == pytest.approx(1.0, abs=1e-4)
        assert len(hits) == 3
    assert error(client.post("/v1/search", content=b"123", headers=raw)) == (400, "usage")
    other = client.post("/v1/search?model_id=other-1", content=vectors.tobytes(), headers=raw)
    assert error(other) == (409, "model_mismatch")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"content": b"no film at all"}, (422, "unreadable")),
        ({"content": b""}, (400, "usage")),
        ({"content": bytes(_MAX_UPLOAD_BYTES + 1)}, (413, "too_large")),
        ({"json": {"uri": "/etc/passwd"}}, (400, "usage")),
        ({"json": {"uri": "file:///etc/passwd"}}, (422, "fetch")),
        ({"json": {"uri": "http://169.254.169.254/latest"}}, (422, "fetch")),
        ({"json": {"uri": "http://127.0.0.1/a", "video_id": "a.mp4"}}, (400, "usage")),
    ],
)
def test_what_cannot_be_matched_is_refused_with_a_code(
    client: httpx.Client, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error(client.post("/v1/match", **request_)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"uri": "/etc/passwd"}, (400, "usage")),
        ({"uri": "http://10.0.0.1/a.mp4"}, (422, "fetch")),
        ({"uri": "http://127.0.0.1/a.mp4", "colour": "red"}, (400, "usage")),
        ({"title": "without an address"}, (400, "usage")),
        (
            {"uri": "http://127.0.0.1/a.mp4", "metadata": {"long": "x" * (1 << 20)}},
            (413, "too_large"),
        ),
    ],
)
def test_what_may_not_be_indexed_is_refused_and_leaves_no_row(
    client: httpx.Client, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error(client.post("/v1/videos", json=body)) == expected
    assert len(client.get("/v1/videos").json()["items"]) == 4


def test_an_uploaded_video_is_indexed_and_its_file_goes_with_it(
    served: Service, client: httpx.Client, tmp_path: Path
) -> None:
    film = draw(tmp_path / "new.mp4", 91)
    posted = client.post("/v1/videos?name=new.mp4", content=film.read_bytes())
    assert (posted.status_code, posted.json()["state"]) == (202, "pending")
    place, uploads = posted.headers["Location"], served.log.parent / "data" / "uploads"
    assert posted.json()["uri"] == f"{place}/content"

    def files() -> list[bytes]:
        return [path.read_bytes() for path in uploads.rglob("*") if path.is_file()]

    client.post("/v1/videos?video_id=broken", content=b"no film at all")
    wait_until(lambda: is_ready(client, posted.json()["video_id"]), "the upload to be indexed")
    wait_until(lambda: state(client, "broken") == "failed", "the broken one to fail")
    told = client.get("/v1/videos/broken").json()["error"]
    assert (told["code"], str(uploads) in told["message"]) == ("unreadable", False)
    assert files() == [film.read_bytes()]
    found = client.post("/v1/match", content=film.read_bytes()).json()
    assert (found["decision"], found["matches"][0]["video_id"]) == (
        "copy",
        posted.json()["video_id"],
    )
    assert client.delete(place).status_code == client.delete("/v1/videos/broken").status_code == 204
    wait_until(lambda: client.get(f"{place}/erasure").json()["erased"], "it to be erased")
    assert not files()


def test_a_posted_video_is_indexed_matched_and_forgotten_again(
    served: Service, client: httpx.Client, host: FilmHost, tmp_path: Path
) -> None:
    draw(tmp_path / "again.mp4", 3)
    matched = served.metric("storyhash_match_probability_count")
    asked = {
        "uri": f"{host.url}/again.mp4", "video_id": "posted/again", "title": "Seen before",
        "bank": "new", "metadata": {"n": [1, None]},
    }  # fmt: skip
    answer = client.post("/v1/videos", json=asked)
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    wait_until(lambda: state(client, "posted/again") == "ready", "the film to be indexed")
    row = client.get("/v1/videos/posted/again").json()
    assert {name: row[name] for name in asked} == asked
    assert (row["version"], row["segments"], row["duration_seconds"]) == (1, 2, 6.0)
    assert client.post("/v1/videos", json=asked).json()["state"] == "ready"
    # The newcomer is matched against the catalogue, and what is found is told.
    wait_until(
        lambda: served.metric("storyhash_match_probability_count") > matched, "it to be matched"
    )
    told = "'posted/again': indexed, 6.0 s, segments: 2; copy, >99.9%"
    wait_until(lambda: told in served.text(), "the match to be told")
    assert "of 'c.mov'" in served.text()
    kept = client.get("/v1/videos/posted/again/matches").json()
    assert [(one["query"]["video_id"], one["ref_video_id"]) for one in kept["items"]] == [
        ("posted/again", "c.mov")
    ]
    job = client.post("/v1/jobs", json={"video_id": "c.mov"}).headers["Location"]
    wait_until(lambda: client.get(job).json()["state"] == "done", "the job to be done")
    assert client.get(job).json()["result"]["decision"] == "copy"

    again = client.post("/v1/match", json={"video_id": "c.mov"}).json()
    assert (again["decision"], again["matches"][0]["video_id"]) == ("copy", "posted/again")
    elsewhere = client.post("/v1/match?bank=default", json={"video_id": "c.mov"}).json()
    assert elsewhere["decision"] == "no_match"

    assert client.delete("/v1/videos/posted/again").status_code == 204
    assert client.post("/v1/match", json={"video_id": "c.mov"}).json()["decision"] == "no_match"
    assert error(client.delete("/v1/videos/posted/again")) == (404, "unknown_video")
    assert client.get("/v1/matches?video_id=posted/again").json()["total"] == 0
    assert state(client, "posted/again") == "unknown"


def test_metrics_tell_of_indexing_and_of_questions(served: Service) -> None:
    """They are those of the tests above, which ran in this process."""
    for name, labels in {
        "stage_duration_seconds_count": {"stage": "ingest"},
        "encode_duration_seconds_count": {"model": "offline"},
        "segments_total": {"stage": "search", "outcome": "done"},
        "videos_total": {"stage": "search", "outcome": "done"},
        "freshness_seconds_count": {},
        "search_duration_seconds_count": {},
        "query_duration_seconds_count": {},
        "match_probability_count": {},
        "build_info": {"service": "serve"},
    }.items():
        assert served.metric(f"storyhash_{name}", **labels) > 0, name
    # One posted by its address, the upload, and the upload that failed.
    assert served.metric("storyhash_videos_total", stage="search", outcome="deleted") == 3
    assert served.metric("storyhash_index_vectors", state="live") == 4 * 2
    assert served.metric("storyhash_ready") == 1
    wait_until(
        lambda: served.metric("storyhash_index_recall_ratio") == 1, "the index to be audited"
    )
    assert served.metric("storyhash_mirror_divergence_ratio") == 0
    assert served.metric("storyhash_query_duration_seconds_bucket", le="0.001") >= 0


def test_the_contract_is_a_valid_openapi_document(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    operations = {(path, method) for path, ways in document["paths"].items() for method in ways}
    assert operations >= {
        ("/v1/search", "post"), ("/v1/match", "post"), ("/v1/videos", "get"),
        ("/v1/videos", "post"), ("/v1/videos/{video_id}", "get"),
        ("/v1/videos/{video_id}", "delete"), ("/livez", "get"), ("/readyz", "get"),
        ("/metrics", "get"),
    }  # fmt: skip
    for path, ways in document["paths"].items():
        for way in ways.values():
            assert way["responses"], path
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_a_video_under_way_is_finished_after_a_kill_and_gone_after_a_deletion(
    starting: list[Service], host: FilmHost, tmp_path: Path
) -> None:
    for name, seed in {"killed.mp4": 1, "deleted.mp4": 2, "last.mp4": 3}.items():
        draw(tmp_path / name, seed)
    process = serve(tmp_path)
    starting.append(process)
    with httpx.Client(base_url=process.start().ready().url, timeout=60) as client:
        for name in ("killed", "later"):
            asked = {"uri": f"{host.url}/slow/killed.mp4", "video_id": name}
            assert client.post("/v1/videos", json=asked).status_code == 202
        assert host.asked.wait(300), "the film is never fetched"
        assert state(client, "killed") == "pending"
    process.kill()
    host.go_on.set()
    with httpx.Client(base_url=process.start().ready().url, timeout=60) as client:
        assert "resuming 2 pending videos" in process.text()
        for name in ("killed", "later"):
            wait_until(partial(is_ready, client, name), f"{name} to be indexed")

        host.asked.clear()
        host.go_on.clear()
        asked = {"uri": f"{host.url}/slow/deleted.mp4", "video_id": "deleted"}
        assert client.post("/v1/videos", json=asked).status_code == 202
        assert host.asked.wait(300), "the film is never fetched"
        assert client.delete("/v1/videos/deleted").status_code == 204
        host.go_on.set()
        asked = {"uri": f"{host.url}/last.mp4", "video_id": "last"}
        assert client.post("/v1/videos", json=asked).status_code == 202
        wait_until(lambda: state(client, "last") == "ready", "the last film to be indexed")
        wait_until(lambda: "'deleted': dropped" in process.text(), "the deletion to be told")
        names = [one["video_id"] for one in client.get("/v1/videos").json()["items"]]
        assert names == ["killed", "last", "later"]
        found = client.post("/v1/match", content=(tmp_path / "deleted.mp4").read_bytes())
        assert found.json()["decision"] == "no_match"


def test_a_watched_folder_is_indexed_as_it_grows(starting: list[Service], tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    process = serve(tmp_path, "--watch", folder)
    starting.append(process)
    with httpx.Client(base_url=process.start().ready().url, timeout=60) as client:
        assert "profile offline" in process.text()
        # A film as a browser saves it, and one that is no film.
        draw(folder / "a.part.mp4", 1).rename(folder / "a.mp4")
        (folder / "noise.mp4").write_bytes(os.urandom(4000))
        wait_until(lambda: state(client, "a.mp4") == "ready", "the film to be indexed")
        wait_until(lambda: state(client, "noise.mp4") == "failed", "the noise to be refused")
        draw(tmp_path / "new.mp4", 5).rename(folder / "a.mp4")
        wait_until(lambda: client.get("/v1/videos/a.mp4").json()["version"] == 2, "the new version")
        assert client.delete("/v1/videos/a.mp4").status_code == 204
    assert process.stop() == 0, process.text()
    assert "Traceback" not in process.text()

    with httpx.Client(base_url=process.start().ready().url, timeout=60) as client:
        draw(folder / "b.mp4", 6)
        wait_until(lambda: state(client, "b.mp4") == "ready", "the next film to be indexed")
        names = [one["video_id"] for one in client.get("/v1/videos").json()["items"]]
        assert names == ["b.mp4", "noise.mp4"]
    assert process.stop() == 0
    # What was indexed here is any other command's too.
    answer = storyhash("match", folder / "b.mp4", "--data", tmp_path / "data", "--json")
    assert json.loads(answer.stdout)["matches"][0]["video_id"] == "b.mp4"
    # A machine that is slow is told how far the command is.
    told = [one for one in answer.stderr.splitlines() if not one.startswith("matching ")]
    assert told == []


def test_a_start_that_cannot_be_is_refused_in_one_line(served: Service, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    taken = storyhash("serve", "--data", tmp_path / "data", STORYHASH_HTTP__PORT=port)
    assert (taken.exit_code, "STORYHASH_HTTP__PORT" in taken.stderr) == (2, True)
    missing = storyhash("serve", "--watch", tmp_path / "nowhere", "--data", tmp_path / "data")
    assert (missing.exit_code, "folder not found" in missing.stderr) == (2, True)
    data = served.log.parent / "data"
    used = storyhash("serve", "--data", data, STORYHASH_HTTP__PORT="0")
    assert (used.exit_code, "in use by process" in used.stderr) == (2, True)
    for one in (taken, missing, used):
        assert len(one.stderr.splitlines()) == 1, one.stderr
    assert not (tmp_path / "data").exists()
