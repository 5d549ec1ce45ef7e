"""`storyhash evaluate` as a user runs it, on a few films drawn on the spot."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest

from common.video import encode_video
from embedder.normalise import unit
from evaluation.data.datasets import read_dataset
from evaluation.data.extraction import ORIGINAL, FeatureStore
from evaluation.data.feature_cache import write_cached_query
from storyhash.samples import FRAMES_PER_SECOND
from tests.e2e.conftest import ROOT, Run, draw, environment, storyhash
from tests.support.evaluation_features import seen
from tests.support.preloaded import Start, start
from tests.support.services import children, wait_gone
from tests.unit.searcher.transform.drawing import drawn as drawn_picture

NO_FIGURES = "tests.support.without_figures"
FEW = ("crop_10", "flip_v", "trim_middle")
PLAIN = (*FEW, "blur", "gamma_light", "letterbox", "compress_50")


def options(transforms: tuple[str, ...], cache: Path, **more: object) -> list[str | Path]:
    asked: list[str | Path] = ["--profile", "offline", "--workers", "1", "--cache", cache]
    for name in transforms:
        asked += ["--transforms", name]
    for name, value in more.items():
        asked += [f"--{name.replace('_', '-')}", str(value)]
    return asked


def evaluate(*arguments: str | Path, start: Start = start, **settings: Any) -> Run:
    """settings: of the environment, or `module`."""
    return storyhash("evaluate", *arguments, start=start, OMP_NUM_THREADS="1", **settings)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four films of 2 s."""
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(4):
        draw(folder / f"{number}.mp4", 20 + number, 2.0)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def made(drawn: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in the middle and begun again."""
    out = tmp_path_factory.mktemp("made")
    arguments = ["evaluate", "robustness", "--videos", drawn, *options(FEW, cache, out=out)]
    # The features are extracted by two processes first, and then by the command itself.
    killed = [*arguments, "--workers", "2"]
    environ = environment(OMP_NUM_THREADS="1")
    with open(os.devnull, "wb") as nowhere:
        process = start(
            ["storyhash", *map(str, killed)], env=environ, cwd=ROOT, stdout=nowhere, stderr=nowhere
        )
    while len(list(cache.rglob("*.npz"))) < 6:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    workers = children(process.pid)
    process.kill()
    process.wait()
    # They see that it is gone, and end.
    wait_gone(workers)
    kept = len(list(cache.rglob("*.npz")))
    assert 6 <= kept < 16
    run = storyhash(*arguments, "--json", OMP_NUM_THREADS="1")
    assert run.exit_code == 0, run.stderr
    assert f"{kept} in the cache, {16 - kept} to extract" in run.stderr
    (out / "told.json").write_text(run.stdout)
    return out


def test_rows_tables_and_figures_are_left(made: Path) -> None:
    told = json.loads((made / "told.json").read_text())
    groups = {(one["configuration"], one["group"]): one for one in told["groups"]}
    assert groups["full", "paper"]["recall_at_1"]["value"] == 1.0
    assert groups["full", "temporal"]["recall_at_1"]["total"] == 4
    assert ("peer-median", "paper") in groups
    assert {Path(path).name for path in told["written"]} >= {
        "rows-offline.jsonl", "rows-offline.parquet", "groups.md", "transforms.tex", "peers.md",
        "similarity.png", "roc.pdf",
    }  # fmt: skip
    assert all(Path(path).stat().st_size for path in told["written"])
    (about,) = told["runs"]
    assert (about["videos"], about["edits"], about["cross_validated"]) == (4, 12, False)


def test_distractors_may_be_films_over_pictures(
    made: Path, drawn: Path, cache: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        cv2.imwrite(str(pictures / f"{number}.png"), drawn_picture(number, 640, 400))
    arguments: list[str | Path] = ["robustness", "--videos", drawn]
    arguments += options(FEW[:1], cache, out=tmp_path / "out")
    more: list[str | Path] = ["--distractors", "9", "--distractor-pictures", pictures]
    run = evaluate(*arguments, "--no-baselines", *more, "--json")
    assert run.exit_code == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["runs"][0]["distractor_kind"] == "pictures"
    assert {one["configuration"] for one in told["groups"]} == {"full", "full+9"}
    (pictures / "0.png").write_bytes(b"damaged")
    run = evaluate(*arguments, *more)
    assert (run.exit_code, "take it out of the folder" in run.stderr) == (2, True), run.stderr


def test_the_gate_is_open_to_the_same_and_shut_to_worse(made: Path, tmp_path: Path) -> None:
    rows = made / "rows-offline.jsonl"
    run = evaluate("gate", "--baseline", rows, "--rows", rows)
    assert (run.exit_code, run.stdout[:4]) == (0, "None")
    spoilt = tmp_path / "spoilt.jsonl"
    lines = [orjson.loads(line) for line in rows.read_bytes().splitlines()]
    for line in lines:
        line["matches"] = [one for one in line["matches"] if one["relation"] != "self"]
    spoilt.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    run = evaluate("gate", "--baseline", rows, "--rows", spoilt, "--json")
    assert run.exit_code == 1
    assert run.json["worse"] is True
    assert {one["verdict"] for one in run.json["checks"]} == {"worse", "same"}


def test_the_gate_asks_what_the_baseline_asked(
    made: Path, drawn: Path, cache: Path, tmp_path: Path
) -> None:
    baseline = made / "rows-offline.jsonl"
    where = ("--videos", drawn, "--cache", cache, "--out", tmp_path, "--workers", "1")
    run = evaluate("gate", "--baseline", baseline, *where)
    assert run.exit_code == 0, run.stderr
    assert "16 in the cache, 0 to extract" in run.stderr
    ours = [line for line in baseline.read_text().splitlines() if '"configuration":"full"' in line]
    assert (tmp_path / baseline.name).read_text().splitlines() == ours


def test_too_little_to_calibrate_on_is_said(made: Path, drawn: Path, cache: Path) -> None:
    file = cache / "none.json"
    run = evaluate("calibrate", "--videos", drawn, *options(FEW, cache, out=file))
    assert run.exit_code == 2
    assert "too few answers" in run.stderr
    assert "more videos or more transforms" in run.stderr
    assert not file.exists()


@pytest.fixture
def made_up(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Four films, and a cache with features of every edit, made by hand. Extraction, which the run `made`
    has too, would take minutes. Pictures of one colour are compared in no time."""
    about = json.loads((made / "robustness-offline.json").read_text())
    films = tmp_path / "films"
    films.mkdir()
    for number in range(4):
        frames = [np.full((48, 64, 3), 60 * number, dtype=np.uint8)] * 24
        encode_video(films / f"{number}.mp4", frames, FRAMES_PER_SECOND)
    videos = read_dataset(films)
    store = FeatureStore(tmp_path / "cache" / "features", {"offline": about["model_id"]}, videos)
    rng = np.random.default_rng(5)
    for video in videos:
        direction = unit(rng.normal(size=512)).astype(np.float32)
        for number, name in enumerate((ORIGINAL, *PLAIN)):
            features = seen(rng, direction, 0.001 * number, 2.0)
            write_cached_query(store.path("offline", video, name), features)
    return films, tmp_path / "cache"


def test_a_calibration_is_fitted_written_and_used(
    made_up: tuple[Path, Path], tmp_path: Path
) -> None:
    films, cache = made_up
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({"clip": json.loads(shipped())["clip"]}))
    where = ("--videos", films)
    run = evaluate("calibrate", *where, *options(PLAIN, cache, out=file), "--json")
    assert run.exit_code == 0, run.stderr
    assert "32 in the cache, 0 to extract" in run.stderr
    (told,) = run.json["calibrations"]
    assert told["version"].startswith("offline-2")
    assert told["cross_validated"]["copies_accepted"]["total"] == 28
    held = json.loads(file.read_text())
    assert list(held) == ["clip", "offline"]
    assert held["offline"]["version"] == told["version"]
    out = tmp_path / "out"
    run = evaluate(
        *("ablation", *where, *options(PLAIN, cache, out=out)),
        *("--configurations", "paper-fusion", "--configurations", "visual-only"),
        module=NO_FIGURES,
    )
    assert run.exit_code == 0, run.stderr
    assert "no figures: they need matplotlib" in run.stderr
    table = (out / "tables" / "fusion.md").read_text()
    assert all(f"| `{name}` |" in table for name in ("full", "paper-fusion", "visual-only"))
    assert "| `paper-fusion` | photometric |" in run.stdout
    assert (out / "ablation-offline.jsonl").stat().st_size


def shipped() -> str:
    path = Path(__file__).parents[2] / "searcher" / "matching" / "scoring" / "calibrations.json"
    return path.read_text()


def test_the_time_of_a_query_is_told_by_stage(drawn: Path, tmp_path: Path) -> None:
    run = evaluate(
        *("latency", "--videos", drawn / "1.mp4", "--profile", "offline", "--json"),
        *("--vectors", "100", "--runs", "1", "--out", tmp_path),
    )
    assert run.exit_code == 0, run.stderr
    (told,) = run.json["items"]
    assert told == json.loads((tmp_path / "latency-offline.json").read_text())
    cases = {one["case"]: one for one in told["cases"]}
    assert cases["copy"]["decision"] == "copy"
    assert cases["stranger"]["decision"] != "copy"
    assert "closer look: visual encode" in cases["stranger"]["seconds"]
    assert "closer look: visual encode" not in cases["copy"]["seconds"]
    assert "thorough look: retrieve and align" in cases["thorough"]["seconds"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("robustness", "--videos", "nowhere"), "expected a folder of videos"),
        (("robustness", "--videos", "{drawn}", "--transforms", "melt"), "names no transform"),
        (("robustness", "--videos", "{drawn}", "--davis"), "JPEGImages"),
        (("gate", "--baseline", "nothing.jsonl"), "give either --rows or --videos"),
    ],
)
def test_mistakes_are_told_at_once(arguments: tuple[str, ...], said: str, drawn: Path) -> None:
    run = evaluate(*(one.format(drawn=drawn) for one in arguments))
    assert run.exit_code == 2
    assert said in run.stderr


def test_a_folder_that_cannot_be_made_is_told_before_the_work(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache, out = tmp_path / "cache", tmp_path / "file" / "results"
    run = evaluate("robustness", "--videos", drawn, *options(FEW, cache, out=out))
    assert run.exit_code == 1
    assert f"Not a directory ({out})" in run.stderr
    assert not cache.exists()


def test_a_file_that_is_no_video_stops_the_run_before_anything_is_made_of_it(
    tmp_path: Path, cache: Path
) -> None:
    draw(tmp_path / "good.mp4", 1, 1.0)
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    run = evaluate("robustness", "--videos", tmp_path, *options(("crop_10",), cache))
    assert run.exit_code == 2
    assert "bad.mp4 cannot be evaluated on" in run.stderr


def test_a_video_beyond_a_limit_is_read_after_the_limit_was_raised(
    tmp_path: Path, cache: Path
) -> None:
    for number, seconds in enumerate((1.0, 2.0, 1.0)):
        draw(tmp_path / f"{number}.mp4", 50 + number, seconds)
    arguments = ("robustness", "--videos", tmp_path, *options(("crop_10",), cache))
    run = evaluate(*arguments, STORYHASH_VIDEO__MAX_SECONDS="1.5")
    assert run.exit_code == 2
    assert "1.mp4 cannot be evaluated on" in run.stderr
    out = tmp_path / "out"
    assert evaluate(*arguments, "--out", out, module=NO_FIGURES).exit_code == 0
