"""The scripts that fit and measure: small runs, so that none of them rots."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np

from embedder.normalise import unit
from embedder.visual.offline import OfflineBackend
from scripts.fit_offline import fit, measure
from scripts.measure_visual import measure as measure_visual
from scripts.visual_edits import EDITS
from storyhash.features.files import Features, Row, write_features
from storyhash.samples import film
from tests.benchmarks import bench_search
from tests.conftest import run_script


def test_the_action_constants_are_those_the_script_fits() -> None:
    run = run_script("fit_action", "--check")
    assert (run.returncode, run.stdout) == (0, "the same\n")


def test_the_offline_descriptor_is_fitted_from_its_seed_alone() -> None:
    drawn = [measure(5, number) for number in range(12)]
    again = [measure(5, number) for number in range(12)]
    np.testing.assert_allclose(drawn[3][2].bank, again[3][2].bank, atol=1e-5)
    probe = [variants[1] for variants in drawn]
    one, other = fit(drawn, 5).describe(probe), fit(again, 5).describe(probe)
    # Axes of no weight are free to turn; what they describe is not.
    assert float(np.min((one * other).sum(axis=1))) > 0.999


def test_copies_are_told_from_strangers_edit_by_edit() -> None:
    videos = {f"{seed}": list(islice(film(seed, 2.0), 0, 20, 10)) for seed in range(10)}
    edits = {name: EDITS[name] for name in ("jpeg 10", "mirror", "inset 40 %")}
    found = measure_visual(OfflineBackend(), videos, np.eye(10, dtype=bool), edits)
    assert found["edits"]["jpeg 10"]["recall@1"] == 1.0
    assert found["edits"]["mirror"]["recall@1"] == 1.0
    assert found["edits"]["inset 40 %"]["recall@1"] < 1.0


def test_the_search_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    figures = bench_search.measure(400, 40, tmp_path)
    assert figures["vectors"] == 400
    assert figures["recall_at_10"] > 0.95
    assert set(figures["search_microseconds"]) == {"shard", "faiss flat", "mirror"}
    assert figures["bytes_per_vector"]["shard"] > 4 * 527


def test_fusions_are_compared_on_copies_and_strangers_of_a_manifest(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scenes = np.repeat(rng.normal(size=(6, 512)), 2, axis=0)
    visual = unit(scenes + 0.2 * rng.normal(size=scenes.shape)).astype(np.float32)
    action = rng.normal(size=(12, 15)).astype(np.float32)
    names = [f"{number}.mp4" for number in range(12)]
    lines = [f"clips/{name},{number // 2}," for number, name in enumerate(names)]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(["file,posgroup,hardneg", *lines]))
    settings = {"sampling": "s", "rows": "video"}
    rows = tuple(Row(name, 0.0, 4.0) for name in names)
    for kind, values in (("visual", visual), ("action", action)):
        features = Features(kind, values, rows, "", kind, kind, kind, settings)
        write_features(tmp_path / f"{kind}.npy", features)
    out = tmp_path / "fusion.json"
    run = run_script(
        "measure_fusion",
        *map(str, (tmp_path / "visual.npy", tmp_path / "action.npy", manifest, "--json", out)),
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(out.read_text())
    assert (found["copies"], found["strangers"]) == (6, 60)
    ours, paper = found["fusions"]["storyhash"], found["fusions"]["paper"]
    assert ours["mean of strangers"] < 0.2 < 0.5 < paper["mean of strangers"]
    assert ours["d-prime"] > paper["d-prime"]
