"""The scripts that fit and measure: small runs, so that none of them rots."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import bench_search
from tests.conftest import run_script


def test_the_action_constants_are_those_the_script_fits() -> None:
    run = run_script("fit_action", "--check")
    assert (run.returncode, run.stdout) == (0, "the same\n")


def test_the_search_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    figures = bench_search.measure(400, 40, 0.5, tmp_path)
    assert figures["vectors"] == 400
    assert figures["recall_at_10"] > 0.95
    assert set(figures["search_microseconds"]) >= {"shard", "plain faiss, 64 candidates"}
    # Of 20 videos, some are in a bank of a fifth.
    assert figures["recall_at_10_by_bank"]["20 %"] > 0.95
    assert figures["bytes_per_vector"]["shard"] > 4 * 527
