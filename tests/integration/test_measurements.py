"""The scripts that fit and measure: small runs, so that none of them rots."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.fit_offline import fit, measure
from tests.benchmarks import bench_search
from tests.conftest import run_script


def test_the_action_constants_are_those_the_script_fits() -> None:
    run = run_script("fit_action", "--check")
    assert (run.returncode, run.stdout) == (0, "the same\n")


def test_the_offline_descriptor_is_fitted_from_its_seed_alone() -> None:
    drawn = [measure(5, number) for number in range(4)]
    again = [measure(5, number) for number in range(4)]
    np.testing.assert_allclose(drawn[3][2].bank, again[3][2].bank, atol=1e-5)
    probe = [variants[1] for variants in drawn]
    one, other = fit(drawn, 5).describe(probe), fit(again, 5).describe(probe)
    # Axes of no weight are free to turn; what they describe is not.
    assert float(np.min((one * other).sum(axis=1))) > 0.999


def test_the_search_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    figures = bench_search.measure(400, 40, tmp_path)
    assert figures["vectors"] == 400
    assert figures["recall_at_10"] > 0.95
    assert set(figures["search_microseconds"]) >= {"shard", "plain faiss, 64 candidates"}
    # Of 20 videos, some are in a bank of a fifth.
    assert figures["recall_at_10_by_bank"]["20 %"] > 0.95
    assert figures["bytes_per_vector"]["shard"] > 4 * 527
