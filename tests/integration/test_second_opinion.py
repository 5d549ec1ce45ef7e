"""Two real indexes of the same drawn videos: the second profile finds what the first one does not."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from common.errors import StoryHashError
from common.settings import load_settings
from embedder.visual.offline import OfflineBackend
from ingest.decoder_process import DecoderProcess
from ingest.query_decoder import QueryDecoder
from searcher.second_folder import second_folder
from searcher.storage.data_dir import read_manifest
from storyhash.cli import app
from storyhash.services.serve.single_process import run_serve
from tests.e2e.conftest import ROOT, draw, environment
from tests.kafka_broker.broker import free_ports
from tests.support import preloaded
from tests.support.plain_backend import plain_sscd
from tests.support.services import wait_until
from tests.support.sparse_copy import copy_folder

FIRST, SECOND = "sscd-motion", "offline"


@pytest.fixture(scope="module", autouse=True)
def plain() -> Iterator[None]:
    with plain_sscd():
        yield


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(*arguments: str | Path) -> list[dict[str, Any]]:
    """The JSON that a command prints, which must succeed."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the drawn videos and with a data folder."""
    folder = tmp_path_factory.mktemp("second-opinion")
    (folder / "films").mkdir()
    for seed in range(1, 5):
        draw(folder / "films" / f"{seed}.mp4", seed, 6.0)
    # A new data folder of this profile has the second one without being asked.
    (made,) = lines("index", folder / "films", "--data", folder / "data", "--profile", FIRST)
    assert (made["profile"], made["indexed"]) == (FIRST, 4)
    assert made["second_opinion"]["profile"] == SECOND
    assert (made["second_opinion"]["indexed"], made["second_opinion"]["failed"]) == (4, [])
    return folder


@pytest.fixture
def films(made: Path) -> Path:
    return made / "films"


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A data folder of one's own."""
    return copy_folder(made / "data", tmp_path / "data")


def second_ids(data: Path) -> set[str]:
    (page,) = lines("videos", "list", "--data", second_folder(data))
    return {video["video_id"] for video in page["items"]}


def test_the_second_finds_what_the_first_does_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, mirrored, unknown = (
        draw(tmp_path / "copy.mp4", 2, 6.0),
        draw(tmp_path / "mirrored.mp4", 3, 6.0, mirrored=True),
        draw(tmp_path / "unknown.mp4", 77, 6.0),
    )
    decoded: list[str] = []
    embedded: list[int] = []
    decode, encode = QueryDecoder.decode, OfflineBackend.encode

    def counted_decode(decoder: QueryDecoder, source: Any, *more: Any) -> Any:
        decoded.append(Path(source).name)
        return decode(decoder, source, *more)

    def counted_encode(backend: OfflineBackend, pictures: Any, **named: Any) -> Any:
        embedded.append(len(pictures))
        return encode(backend, pictures, **named)

    monkeypatch.setattr(QueryDecoder, "decode", counted_decode)
    monkeypatch.setattr(OfflineBackend, "encode", counted_encode)
    asked = "match", copy, "--data", data
    (answer,) = lines(*asked)
    assert (answer["decision"], answer["matches"][0]["video_id"]) == ("copy", "2.mp4")
    assert answer["matches"][0]["evidence"]["model_id"] == answer["model_id"]
    assert embedded == []

    found, none = lines("match", mirrored, unknown, "--data", data)
    assert decoded == ["copy.mp4", "mirrored.mp4", "unknown.mp4"]
    assert embedded
    assert (found["decision"], found["matches"][0]["video_id"]) == ("copy", "3.mp4")
    assert found["model_id"] == answer["model_id"]
    evidence = found["matches"][0]["evidence"]
    assert evidence["model_id"].startswith(f"{SECOND}-")
    assert evidence["calibration"].startswith("offline-")
    assert none["decision"] == "no_match"
    words = run("match", mirrored, "--data", data).stdout
    assert "found by the second opinion (offline-" in words

    monkeypatch.setenv("STORYHASH_SECOND_OPINION__ENABLED", "false")
    (alone,) = lines("match", mirrored, "--data", data)
    assert alone["decision"] == "no_match"


def test_changes_of_the_catalogue_are_made_in_both(
    data: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    decode = DecoderProcess.run

    def counted(decoder: DecoderProcess, uri: str, *more: Any) -> Any:
        decoded.append(Path(uri).name)
        return decode(decoder, uri, *more)

    monkeypatch.setattr(DecoderProcess, "run", counted)
    assert second_ids(data) == {"1.mp4", "2.mp4", "3.mp4", "4.mp4"}
    lines("videos", "delete", "1.mp4", "--data", data)
    assert second_ids(data) == {"2.mp4", "3.mp4", "4.mp4"}
    (receipt,) = lines("videos", "erasure", "1.mp4", "--data", data)
    places = {place["place"]: place["found"] for place in receipt["places"]}
    assert places["second opinion: mirror"] == places["mirror"] == 0

    (films / "3.mp4").rename(films / "other.mp4")
    try:
        draw(films / "2.mp4", 5, 6.0)
        (films / "4.mp4").unlink()
        # Without the option: there is a second index, so it is kept in step.
        (done,) = lines("index", films, "--data", data, "--bank", "news", "--prune")
    finally:
        for seed in range(1, 5):
            draw(films / f"{seed}.mp4", seed, 6.0)
        (films / "other.mp4").unlink()
    assert done["pruned"] == ["3.mp4", "4.mp4"]
    assert (done["indexed"], done["second_opinion"]["indexed"]) == (3, 3)
    assert (done["second_opinion"]["unchanged"], done["second_opinion"]["failed"]) == (0, [])
    # Once for both profiles.
    assert sorted(decoded) == ["1.mp4", "2.mp4", "other.mp4"]
    for folder in (data, second_folder(data)):
        (page,) = lines("videos", "list", "--data", folder)
        assert {video["video_id"]: video["bank"] for video in page["items"]} == dict.fromkeys(
            ("1.mp4", "2.mp4", "other.mp4"), "news"
        )
    lines("videos", "compact", "--data", data)
    (checked,) = [
        check
        for check in json.loads(run("doctor", "--data", data, "--json").stdout)["checks"]
        if check["name"] == "second opinion"
    ]
    assert checked["exit_code"] == 0, checked


def test_duplicates_that_only_the_second_finds_are_in_a_group(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    draw(tmp_path / "more" / "again.mp4", 1, 6.0)
    draw(tmp_path / "more" / "mirrored.mp4", 1, 6.0, mirrored=True)
    lines("index", tmp_path / "more", "--data", data)
    (group,) = lines("duplicates", "--data", data)
    assert {video["video_id"] for video in group["videos"]} == {
        "1.mp4",
        "again.mp4",
        "mirrored.mp4",
    }
    monkeypatch.setenv("STORYHASH_SECOND_OPINION__ENABLED", "false")
    (group,) = lines("duplicates", "--data", data)
    assert {video["video_id"] for video in group["videos"]} == {"1.mp4", "again.mp4"}


def test_a_backup_has_the_second_index(data: Path, tmp_path: Path) -> None:
    backups, home = tmp_path / "backups", tmp_path / "home"
    (made,) = lines("snapshot", "create", "--data", data, "--to", backups)
    assert made["second_opinion"]["videos"] == 4
    (verified,) = lines("snapshot", "verify", made["path"])
    assert [one["damage"] for one in verified["items"]] == [[]]
    lines("snapshot", "restore", made["path"], "--data", home)
    assert second_ids(home) == {"1.mp4", "2.mp4", "3.mp4", "4.mp4"}
    mirrored = draw(tmp_path / "mirrored.mp4", 3, 6.0, mirrored=True)
    (found,) = lines("match", mirrored, "--data", home)
    assert (found["decision"], found["matches"][0]["video_id"]) == ("copy", "3.mp4")


def refusal(*arguments: str | Path) -> StoryHashError:
    error = run(*arguments).exception
    assert isinstance(error, StoryHashError), error
    return error


def test_what_cannot_be_done_is_refused(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    same = refusal("index", films, "--data", data, "--profile", SECOND, "--second-opinion", SECOND)
    assert (same.exit_code, "another profile" in str(same)) == (2, True)
    assert not data.exists()
    lines("index", films, "--data", data, "--profile", FIRST, "--second-opinion", "none")
    monkeypatch.setenv("STORYHASH_SECOND_OPINION__PROFILE", SECOND)
    missing = refusal("match", films / "1.mp4", "--data", data)
    assert "--second-opinion offline" in str(missing)
    monkeypatch.setenv("STORYHASH_SECOND_OPINION__GENERATION", "clip")
    with pytest.raises(StoryHashError, match="only for `storyhash search`"):
        raise refusal("match", films / "1.mp4", "--data", data)


def test_a_data_folder_without_a_second_index_stays_so(films: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    once = "index", films / "1.mp4", "--data", data, "--profile", FIRST
    (alone,) = lines(*once, "--second-opinion", "none")
    assert "second_opinion" not in alone
    (again,) = lines("index", films, "--data", data)
    assert (again["indexed"], "second_opinion" in again) == (3, False)
    assert not second_folder(data).exists()
    (match,) = lines("match", films / "1.mp4", "--data", data)
    assert match["decision"] == "copy"
    (added,) = lines("index", films, "--data", data, "--second-opinion", SECOND)
    assert (added["unchanged"], added["second_opinion"]["indexed"]) == (4, 4)
    there = refusal("index", films, "--data", data, "--second-opinion", "none")
    assert (there.exit_code, "delete that folder" in str(there)) == (2, True)


def test_a_second_index_that_a_crash_left_unmade_is_made_by_the_next_run(
    films: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    asked = "index", films / "1.mp4", "--data", data, "--profile", FIRST
    arguments = ["tests.support.dies_between_indexes", *map(str, asked)]
    killed = preloaded.run(arguments, env=environment(), cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_manifest(data) is not None
    assert not second_folder(data).exists()
    (made,) = lines(*asked)
    assert (made["indexed"], made["second_opinion"]["indexed"]) == (1, 1)
    assert second_ids(data) == {"1.mp4"}


def test_other_profiles_have_no_second_one_unless_it_is_named(films: Path, tmp_path: Path) -> None:
    (made,) = lines("index", films, "--data", tmp_path / "data", "--profile", SECOND)
    assert "second_opinion" not in made


@pytest.fixture
def served(data: Path) -> Iterator[str]:
    """The address of a service over the data folder."""
    settings = load_settings(data_dir=data, http={"port": free_ports(1)[0]})
    stopping = threading.Event()
    service = threading.Thread(target=run_serve, args=(settings, None, stopping))
    service.start()
    url = f"http://127.0.0.1:{settings.http.port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(ready, "the service", 300, 0.1)
        yield url
    finally:
        stopping.set()
        service.join()


def samples(url: str) -> dict[str, float]:
    """What a service tells Prometheus, by the name of a sample with its labels."""
    lines = httpx.get(f"{url}/metrics", timeout=300).text.splitlines()
    parted = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in parted}


def test_a_service_asks_both_and_keeps_them_in_step(
    data: Path, served: str, tmp_path: Path
) -> None:
    mirrored = draw(tmp_path / "mirrored.mp4", 7, 6.0, mirrored=True).read_bytes()

    def match(content: bytes) -> dict[str, Any]:
        answer = httpx.post(f"{served}/v1/match", content=content, timeout=300)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert match(mirrored)["decision"] == "no_match"
    added = httpx.post(
        f"{served}/v1/videos",
        params={"video_id": "seven"},
        content=draw(tmp_path / "7.mp4", 7, 6.0).read_bytes(),
        timeout=300,
    )
    assert added.status_code == 202, added.text
    wait_until(lambda: match(mirrored)["decision"] == "copy", "the second index", 300, 0.5)
    found = match(mirrored)["matches"][0]
    assert found["video_id"] == "seven"
    assert found["evidence"]["model_id"].startswith(f"{SECOND}-")
    stored = httpx.get(f"{served}/v1/matches/{found['match_id']}/evidence", timeout=300)
    assert stored.status_code == 200, stored.text

    # A new video is matched by both too.
    httpx.post(
        f"{served}/v1/videos", params={"video_id": "mirrored"}, content=mirrored, timeout=300
    ).raise_for_status()

    def matched() -> list[dict[str, Any]]:
        page = httpx.get(f"{served}/v1/matches", timeout=300).json()["items"]
        return [one for one in page if one["query"].get("video_id") == "mirrored"]

    wait_until(lambda: matched() != [], "the match of the new video", 300, 0.5)
    assert matched()[0]["ref_video_id"] == "seven"
    httpx.delete(f"{served}/v1/videos/mirrored", timeout=300).raise_for_status()

    # What it did and how long it took is measured; both queries and new videos asked it.
    told = samples(served)
    outcome = "storyhash_second_opinions_total{outcome="
    assert told[f'{outcome}"unchanged"}}'] >= 1
    assert told[f'{outcome}"copy"}}'] >= 2
    for query in ("sent", "indexed"):
        assert told[f'storyhash_second_opinion_duration_seconds_count{{query="{query}"}}'] >= 1
    waiting = 'storyhash_second_opinion_missing_videos{state="waiting"}'
    wait_until(lambda: samples(served)[waiting] == 0, "the second index", 300, 0.5)

    gone = httpx.delete(f"{served}/v1/videos/seven", timeout=300)
    assert gone.status_code == 204, gone.text
    assert match(mirrored)["decision"] == "no_match"
