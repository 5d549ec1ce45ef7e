"""The paper's steps one by one, as a user runs them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from common.settings import Settings
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import require_manifest
from tests.e2e.conftest import ROOT, draw, environment, storyhash
from tests.e2e.test_models import named
from tests.support.preloaded import start, start_with_networks


def indexed_vectors(data: Path) -> dict[tuple[str, float], np.ndarray]:
    """Every vector of a data folder by video and start."""
    with LocalIndex.open_reader(data, require_manifest(data), Settings()) as index:
        found = {}
        for video in index.videos.all():
            refs, vectors, _ = index.vectors_of(video.video_id)
            for ref, vector in zip(refs, vectors, strict=True):
                found[video.video_id, ref.start_seconds] = vector.copy()
    return found


@pytest.fixture(scope="module")
def steps(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip, action, graph and all three kinds of fused features of the films, by `offline`."""
    folder = tmp_path_factory.mktemp("steps")
    for name in ("clip", "action", "graph"):
        run = storyhash(
            "features", name, films, "--out", folder / f"{name}.npy", "--profile", "offline"
        )
        assert run.exit_code == 0, run.stderr
    for mode in ("storyhash", "paper", "visual"):
        run = storyhash(
            *("features", "fuse", folder / "clip.npy", folder / "action.npy"),
            *("--mode", mode, "--out", folder / f"{mode}.npy"),
        )
        assert run.exit_code == 0, run.stderr
    return folder


def described(path: Path) -> dict[str, object]:
    held: dict[str, object] = json.loads(path.with_suffix(".json").read_text())
    return held


def test_every_file_says_what_it_holds(steps: Path) -> None:
    widths = {"clip": 512, "action": 15, "graph": 8, "storyhash": 527, "paper": 527, "visual": 527}
    for name, width in widths.items():
        values, held = np.load(steps / f"{name}.npy"), described(steps / f"{name}.npy")
        assert held["shape"] == list(values.shape) == [8, width]
        assert {"units", "model_id", "fingerprint", "settings", "rows"} <= set(held)
        assert np.isfinite(values).all()
    assert np.linalg.norm(np.load(steps / "paper.npy"), axis=1) == pytest.approx(np.ones(8))


def test_step_by_step_the_vectors_are_those_of_index(steps: Path, indexed: Path) -> None:
    expected = indexed_vectors(indexed)
    values, held = np.load(steps / "storyhash.npy"), described(steps / "storyhash.npy")
    assert held["model_id"] == require_manifest(indexed).model_id
    rows = held["rows"]
    assert isinstance(rows, list)
    assert len(rows) == len(expected)
    for row, vector in zip(rows, values, strict=True):
        # Matrix products round by how their rows lie in memory, in the last bit.
        at = expected[row["video_id"], row["start_seconds"]]
        np.testing.assert_allclose(vector, at, atol=1e-6)


def test_the_same_holds_for_clip_and_sam2(films: Path, models: Path, tmp_path: Path) -> None:
    profile, one = "clip-sam2", films / "a.mp4"
    settings = {
        **named(models),
        "STORYHASH_DEVICE__PRECISION": "fp32",
        "STORYHASH_SAM2__FRAMES_PER_SECOND": "2",
    }
    clip, action, fused = (tmp_path / f"{name}.npy" for name in ("clip", "action", "fused"))
    data = tmp_path / "data"
    for arguments in (
        ("features", "clip", one, "--out", clip, "--profile", profile),
        ("features", "action", one, "--out", action, "--profile", profile),
        ("features", "fuse", clip, action, "--out", fused),
        ("index", one, "--data", data, "--profile", profile),
    ):
        run = storyhash(*arguments, start=start_with_networks, **settings)
        assert run.exit_code == 0, run.stderr
    expected = indexed_vectors(data)
    held = described(fused)
    assert held["model_id"] == require_manifest(data).model_id
    rows = held["rows"]
    assert isinstance(rows, list)
    for row, vector in zip(rows, np.load(fused), strict=True):
        at = expected[row["video_id"], row["start_seconds"]]
        # Batches are filled otherwise, and matrix products of other sizes round otherwise.
        np.testing.assert_allclose(vector, at, atol=1e-5)


def test_an_index_file_answers_with_the_nearest_and_their_scores(
    steps: Path, tmp_path: Path
) -> None:
    index = tmp_path / "catalogue.faiss"
    run = storyhash("features", "index", steps / "storyhash.npy", "--out", index, "--json")
    assert run.exit_code == 0, run.stderr
    assert run.json["rows"] == 8
    run = storyhash("features", "query", index, steps / "storyhash.npy", "--k", "3", "--json")
    assert len(run.lines) == 8
    for line in run.lines:
        assert len(line["hits"]) == 3
        assert line["hits"][0]["video_id"] == line["query"]["video_id"]
        assert line["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
        scores = [hit["score"] for hit in line["hits"]]
        assert scores == sorted(scores, reverse=True)
    run = storyhash("features", "query", index, steps / "storyhash.npy")
    assert "1.0000  a.mp4  0.0-4.0 s" in run.stdout
    run = storyhash("features", "query", index, steps / "paper.npy")
    assert (run.exit_code, "same" in run.stderr) == (2, True)


def test_a_row_a_video_as_in_the_paper(films: Path, tmp_path: Path) -> None:
    clip, action, fused = (tmp_path / f"{name}.npy" for name in ("clip", "action", "fused"))
    for step, out in (("clip", clip), ("action", action)):
        run = storyhash(
            "features", step, films, "--out", out, "--profile", "offline", "--per", "video"
        )
        assert run.exit_code == 0, run.stderr
    assert np.load(clip).shape == (4, 512)
    assert np.linalg.norm(np.load(clip), axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    run = storyhash("features", "fuse", clip, action, "--out", fused, "--mode", "paper")
    assert run.exit_code == 0, run.stderr
    assert np.load(fused).shape == (4, 527)


def test_a_film_that_cannot_be_read_is_left_out_and_named(films: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    out = tmp_path / "clip.npy"
    run = storyhash(
        *("features", "clip", films / "a.mp4", tmp_path / "broken.mp4"),
        *("--out", out, "--profile", "offline", "--json"),
    )
    assert run.exit_code == 1
    assert [one["video_id"] for one in run.json["failed"]] == ["broken.mp4"]
    assert np.load(out).shape == (2, 512)


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for seed in range(6):
        draw(folder / f"{seed}.mp4", seed, 2.0)
    out = tmp_path / "clip.npy"
    arguments = ("features", "clip", folder, "--out", out, "--profile", "offline", "--json")
    with open(os.devnull, "wb") as nowhere:
        running = start(
            ["storyhash", *map(str, arguments)],
            env=environment(STORYHASH_INGEST__WORKERS="1"),
            cwd=ROOT,
            stdout=nowhere,
            stderr=nowhere,
        )
    parts = Path(f"{out}.parts")
    while running.poll() is None and len(list(parts.glob("*.npz"))) < 2:
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert not out.exists()
    done = len(list(parts.glob("*.npz")))
    run = storyhash(*arguments)
    assert run.exit_code == 0, run.stderr
    assert run.json["resumed"] == done >= 2
    assert np.load(out).shape == (6, 512)
    assert not parts.exists()


def _cut_otherwise(steps: Path, films: Path, scratch: Path) -> tuple[object, ...]:
    other = scratch / "action.npy"
    run = storyhash(
        *("features", "action", films / "a.mp4", "--out", other),
        *("--profile", "offline", "--per", "video"),
    )
    assert run.exit_code == 0, run.stderr
    return "fuse", steps / "clip.npy", other, "--out", scratch / "x.npy"


def _other_films(steps: Path, films: Path, scratch: Path) -> tuple[object, ...]:
    other = scratch / "action.npy"
    run = storyhash("features", "action", films / "b.mkv", "--out", other, "--profile", "offline")
    assert run.exit_code == 0, run.stderr
    return "fuse", steps / "clip.npy", other, "--out", scratch / "x.npy"


def _damaged_index(steps: Path, films: Path, scratch: Path) -> tuple[object, ...]:
    index = scratch / "i.faiss"
    storyhash("features", "index", steps / "storyhash.npy", "--out", index)
    index.write_bytes(b"none")
    return "query", index, steps / "storyhash.npy"


@pytest.mark.parametrize(
    ("case", "exit_code", "words"),
    [
        (_cut_otherwise, 2, "different segment settings"),
        (_other_films, 2, "same videos"),
        (_damaged_index, 1, "create it again"),
        (lambda s, f, t: ("clip", f, "--out", t / "clip.txt"), 2, ".npy"),
        (lambda s, f, t: ("fuse", s / "no.npy", s / "no.npy", "--out", t / "x.npy"), 2, "No such"),
        (lambda s, f, t: ("fuse", s / "action.npy", s / "clip.npy", "--out", t / "x.npy"), 2, "visual"),
        (lambda s, f, t: ("index", s / "clip.npy", "--out", t / "x"), 2, "expected fused"),
        (lambda s, f, t: ("query", t / "none", s / "paper.npy"), 2, "features index"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_clear_line(
    case: object, exit_code: int, words: str, steps: Path, films: Path, tmp_path: Path
) -> None:
    run = storyhash("features", *case(steps, films, tmp_path))  # type: ignore[operator]
    assert run.exit_code == exit_code, run.stderr
    assert words in run.stderr
