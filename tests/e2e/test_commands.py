"""The other commands, and what becomes of every kind of mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.settings import Settings
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import read_manifest
from tests.e2e.conftest import Run, copied, storyhash


def test_videos_are_listed_in_pages_shown_and_deleted(
    films: Path, indexed: Path, tmp_path: Path
) -> None:
    data = copied(indexed, tmp_path)
    page = storyhash("videos", "list", "--limit", "3", "--data", data, "--json").json
    assert [video["video_id"] for video in page["items"]] == ["a.mp4", "b.mkv", "c.mov"]
    rest = storyhash(
        "videos", "list", "--cursor", page["next_cursor"], "--data", data, "--json"
    ).json
    assert [video["video_id"] for video in rest["items"]] == ["series one/d.mp4"]
    assert rest["next_cursor"] is None
    shown = storyhash("videos", "show", "a.mp4", "--data", data, "--json").json
    assert set(shown) == {
        "video_id", "uri", "bank", "title", "version", "duration_seconds", "segments",
        "uninformative_segments", "state", "metadata", "indexed_at",
    }  # fmt: skip
    assert (shown["state"], shown["segments"], shown["duration_seconds"]) == ("ready", 2, 6.0)
    assert storyhash("videos", "delete", "a.mp4", "--data", data, "--json").json == {
        "deleted": ["a.mp4"]
    }
    (answer,) = storyhash("match", films / "a.mp4", "--data", data, "--json").lines
    assert answer["decision"] == "no_match"
    assert answer["matches"] == []
    assert "a.mp4" not in {one["video_id"] for one in answer["candidates"]}
    again = storyhash("videos", "show", "a.mp4", "--data", data)
    assert again.exit_code == 2
    assert "storyhash videos list" in again.stderr


def test_config_prints_every_setting_and_masks_secrets() -> None:
    run = storyhash(
        "config", STORYHASH_QDRANT__API_KEY="hunter2", STORYHASH_SEARCHER__EF_SEARCH="99"
    )
    assert run.exit_code == 0
    assert "hunter2" not in run.stdout + run.stderr
    assert "STORYHASH_SEARCHER__EF_SEARCH=99" in run.stdout
    banks = '{"news": {"min_seconds": 10}}'
    shown = storyhash("config", STORYHASH_MATCHING__BANKS=banks).stdout
    assert 'STORYHASH_MATCHING__BANKS={"news": {' in shown
    # Lists are JSON, as the environment takes them.
    assert 'STORYHASH_INGEST__ALLOWED_SCHEMES=["http", "https"]' in shown
    tree = storyhash("config", "--json").json
    assert tree["searcher"]["hnsw_m"] == 16


def test_models_are_listed_with_source_and_licence() -> None:
    items = storyhash("models", "list", "--json").json["items"]
    assert {"sscd", "offline"} <= {item["name"].split()[0] for item in items}
    assert all(item["licence"] for item in items)
    licence = next(item["licence"] for item in items if item["name"] == "sscd")
    assert "Meta's weights: MIT" in licence
    assert "not redistributed" in licence


def test_doctor_finds_this_machine_well(indexed: Path) -> None:
    run = storyhash("doctor", "--data", indexed, "--profile", "offline", "--json")
    assert run.exit_code == 0, run.stdout
    assert run.json["ok"] is True
    assert {"golden vector", "index", "clips"} <= {check["name"] for check in run.json["checks"]}


def test_doctor_notices_a_damaged_snapshot(indexed: Path, tmp_path: Path) -> None:
    data = copied(indexed, tmp_path)
    for file in (data / "snapshots").rglob("names.json"):
        file.write_text("[]")
    run = storyhash("doctor", "--data", data, "--json")
    assert run.exit_code == 1
    assert "names.json does not match its checksum" in run.stdout


def test_doctor_finds_a_folder_well_while_a_service_writes_to_it(
    indexed: Path, tmp_path: Path
) -> None:
    data = copied(indexed, tmp_path)
    manifest = read_manifest(data)
    assert manifest is not None
    with LocalIndex.open_writer(data, manifest, Settings(data_dir=data)):
        # It has not saved one yet.
        shutil.rmtree(data / "snapshots")
        run = storyhash("doctor", "--data", data, "--json")
    (checked,) = [check for check in run.json["checks"] if check["name"] == "index"]
    assert "another process is writing" in checked["message"], checked
    assert run.exit_code == 0, run.stdout


Case = Callable[[Path, Path, Path], Run]


def _other_profile_folder(films: Path, indexed: Path, scratch: Path) -> Run:
    data = copied(indexed, scratch)
    manifest = json.loads((data / "storyhash.json").read_text())
    manifest["model_id"] = "offline-000000000000"
    (data / "storyhash.json").write_text(json.dumps(manifest))
    return storyhash("match", films / "a.mp4", "--data", data)


def _damaged_manifest(films: Path, indexed: Path, scratch: Path) -> Run:
    data = copied(indexed, scratch)
    (data / "storyhash.json").write_text('{"format": 1')
    return storyhash("index", films, "--data", data)


def _damaged_catalogue(films: Path, indexed: Path, scratch: Path) -> Run:
    data = copied(indexed, scratch)
    for name in ("videos.sqlite-wal", "videos.sqlite-shm"):
        (data / name).unlink(missing_ok=True)
    (data / "videos.sqlite").write_bytes(b"not a database" * 400)
    return storyhash("videos", "list", "--data", data)


def _damaged_mirror(films: Path, indexed: Path, scratch: Path) -> Run:
    data = copied(indexed, scratch)
    (data / "mirror" / "shard" / "edge_config.json").write_text("{")
    return storyhash("index", films, "--data", data)


def _in_use(films: Path, indexed: Path, scratch: Path) -> Run:
    data = copied(indexed, scratch)
    manifest = read_manifest(data)
    assert manifest is not None
    with LocalIndex.open_writer(data, manifest, Settings()):
        return storyhash("index", films, "--data", data)


def _empty_folder(films: Path, indexed: Path, scratch: Path) -> Run:
    (scratch / "empty").mkdir()
    (scratch / "empty" / "notes.txt").write_text("no film")
    return storyhash("index", scratch / "empty", "--data", scratch / "data")


def _file_as_data(films: Path, indexed: Path, scratch: Path) -> Run:
    (scratch / "file").write_text("x")
    return storyhash("index", films, "--data", scratch / "file", "--profile", "offline")


def _with_sscd(films: Path, scratch: Path, weights: Path) -> Run:
    return storyhash(
        "index",
        films,
        "--data",
        scratch / "data",
        "--profile",
        "sscd-motion",
        STORYHASH_SSCD__PATH=str(weights),
    )


def _no_server(films: Path, indexed: Path, scratch: Path) -> Run:
    return storyhash(
        "index",
        films,
        "--data",
        scratch / "data",
        "--profile",
        "offline",
        STORYHASH_SEARCHER__MIRROR="server",
        STORYHASH_QDRANT__URL="http://127.0.0.1:9",
    )


# What is done, the exit code, and words the message must hold: what is wrong and what to do next.
MISTAKES: dict[str, tuple[Case, int, str]] = {
    "no such path": (lambda f, i, s: storyhash("index", s / "none", "--data", s / "d"), 2, "none"),
    "no video there": (_empty_folder, 2, "no video"),
    "no index yet": (
        lambda f, i, s: storyhash("match", f / "a.mp4", "--data", s / "d"),
        2,
        "storyhash index",
    ),
    "unknown profile": (
        lambda f, i, s: storyhash("index", f, "--data", s / "d", "--profile", "clip"),
        2,
        "expected one of",
    ),
    "another profile": (
        lambda f, i, s: storyhash("index", f, "--data", i, "--profile", "sscd-motion"),
        2,
        "--data",
    ),
    "another model": (_other_profile_folder, 2, "offline-000000000000"),
    "misspelt setting": (
        lambda f, i, s: storyhash("config", STORYHASH_SEARCHER__EFSEARCH="9"),
        2,
        "STORYHASH_SEARCHER__EF_SEARCH",
    ),
    "impossible setting": (
        lambda f, i, s: storyhash("config", STORYHASH_SEARCHER__HNSW_M="many"),
        2,
        "STORYHASH_SEARCHER__HNSW_M",
    ),
    "unknown option": (lambda f, i, s: storyhash("index", f, "--fast"), 2, "--fast"),
    "no argument": (lambda f, i, s: storyhash("match"), 2, "VIDEO"),
    "a file as data folder": (_file_as_data, 2, "--data"),
    "damaged manifest": (_damaged_manifest, 2, "damaged"),
    "damaged catalogue": (_damaged_catalogue, 1, "restore"),
    "damaged mirror": (_damaged_mirror, 1, "restore"),
    "in use by another process": (_in_use, 2, "in use by process"),
    "no weights": (lambda f, i, s: _with_sscd(f, s, s / "no.onnx"), 3, "--profile offline"),
    "weights that are none": (lambda f, i, s: _with_sscd(f, s, f / "a.mp4"), 3, "not an ONNX or"),
    "no Qdrant server": (_no_server, 3, "does not respond"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_line_and_its_exit_code(
    mistake: str, films: Path, indexed: Path, tmp_path: Path
) -> None:
    case, exit_code, words = MISTAKES[mistake]
    run = case(films, indexed, tmp_path)
    assert run.exit_code == exit_code, run.stdout + run.stderr
    assert words in run.stderr
    assert "internal error" not in run.stderr


def test_the_index_is_unharmed_by_all_of_that(films: Path, indexed: Path) -> None:
    (answer,) = storyhash("match", films / "a.mp4", "--data", indexed, "--json").lines
    assert (answer["decision"], answer["matches"][0]["video_id"]) == ("copy", "a.mp4")
