"""The scripts that fit and measure: small runs, so that none of them rots."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts import figures, figures_search
from tests.benchmarks import bench_qdrant, bench_search, search_while_writing
from tests.benchmarks.search import data, engine_process, http, http_server, runs, shards
from tests.support import preloaded
from tests.support.queries import Client
from tests.unit.searcher.api.test_api import RAW

HTTP_TIMES = {
    "in process": {"p50": 200.0, "p99": 250.0},
    "empty route": {"p50": 100.0, "p99": 150.0},
    "our route": {"p50": 450.0, "p99": 600.0, "queries_per_second": 2000},
    "our route while writing": {"p50": 500.0, "p99": 900.0, "queries_per_second": 1900},
    "our route, 8 clients": {"p50": 1000.0, "p99": 1500.0, "queries_per_second": 6000},
}


def test_the_action_constants_are_those_the_script_fits() -> None:
    run = preloaded.run(["scripts.fit_action", "--check"], env=os.environ, cwd=preloaded.ROOT)
    assert (run.returncode, run.stdout) == (0, "the same\n")


def test_the_search_benchmark_measures_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "measure", lambda *_: HTTP_TIMES)
    saved: list[str] = []
    benchmark = bench_search.Benchmark(
        runs.Budget(0.0), tmp_path, lambda figures: saved.append("".join(figures["times"]))
    )
    figures = benchmark.run([100, 400], 40, 0.5, ["usearch"])
    assert figures["vectors"] == 400
    assert figures["recall_at_10"] > 0.95
    assert set(figures["search_microseconds"]) >= {"shard", "plain faiss, 64 candidates"}
    # Of 20 videos, some are in a bank of a fifth.
    assert figures["recall_at_10_by_bank"]["20 %"] > 0.95
    assert figures["bytes_per_vector"]["shard"] > 4 * 527
    assert set(figures["ratios"]) >= {
        "shard_p50_over_faiss",
        "tuned_shard_p50_over_faiss",
        "recall_at_equal_ef_minus_faiss",
        "search_p99_while_writing_over_idle",
        "search_p50_with_1500_waiting_over_none",
        "search_p50_with_100_deleted_over_none",
        "memory_over_vectors_links_and_codes",
        "http_p50_over_in_process_plus_loopback",
        "http_p99_while_writing_over_faiss_p99",
    }
    assert figures["ratios"]["http_p50_over_in_process_plus_loopback"] == 1.5
    assert figures["ratios"]["http_p99_at_8_clients_over_3_ms"] == 0.5
    assert "shard" in figures["growth_exponent_of_p50"]
    # What no time was left for is named with the reason, and nothing else is lost.
    assert set(figures["missing"]) == {
        "usearch, 100 vectors",
        "usearch, 400 vectors",
        "hard data",
        "http_throughput_over_fastapi_json",
        "http_two_processes_throughput_over_one",
    }
    assert "0 s are left" in figures["missing"]["usearch, 400 vectors"]
    assert "--budget" in figures["missing"]["hard data"]
    assert "FastAPI and JSON, 8 clients" in figures["missing"]["http_throughput_over_fastapi_json"]
    assert saved[0] == "100"
    # The document's table and chart are made of it.
    assert [row[0] for row in figures_search.engine_rows(figures)] == ["shard"]
    figures_search.draw(figures, tmp_path / "search.svg")
    assert "HTTP while writing" in (tmp_path / "search.svg").read_text()


@pytest.mark.parametrize("name", ["exact", "faiss", "qdrant-edge", "client local mode"])
def test_an_engine_finds_what_is_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engine_process, "_THROUGHPUT_SECONDS", 0.02)
    rng = np.random.default_rng(5)
    vectors = data.hard(rng, 100)
    asked = data.asked(rng, vectors, 20)
    runs.save_data(tmp_path, vectors, asked, data.exact(vectors, asked, 10))
    figures = engine_process.measure(name, tmp_path, 10)
    assert figures["recall"] == 1.0
    assert (figures["candidates"] is None) is (name in ("exact", "client local mode"))
    assert 0 < figures["p50"] <= figures["p99"] <= figures["p999"]


def test_an_engine_that_fails_is_reported_with_its_reason() -> None:
    code = "import sys; print('{{\"p50\": 1.0}}'); sys.exit('no such engine' if {} else 0)"

    def output(fails: bool) -> dict[str, Any]:
        return runs.output_of([sys.executable, "-c", code.format(fails)], 60.0)

    assert output(False) == {"p50": 1.0}
    with pytest.raises(runs.Unmeasured, match="no such engine"):
        output(True)


def test_the_servers_that_are_compared_give_the_same_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    points = data.make(rng, 60)
    shard, _ = shards.built(points)
    search_while_writing.fill(points, shard, tmp_path)
    query = points[21].vector
    with http_server.served("ours", tmp_path) as app, Client(app) as client:
        raw = client.post("/v1/search", content=query.tobytes(), headers=RAW).json()["items"]
    with http_server.served("fastapi", tmp_path) as app, Client(app) as client:
        body = {"vectors": [query.tolist()]}
        as_json = client.post("/v1/search", json=body).json()["items"]
    assert as_json == raw
    assert raw[0][0]["segment_id"] == points[21].ref.segment_id
    with http_server.served("empty", tmp_path) as app, Client(app) as client:
        assert len(client.post("/v1/search", content=query.tobytes()).content) == 1500


def test_ratios_of_qdrant_are_those_of_what_was_measured() -> None:
    one = {"p50": 100.0, "p99": 200.0}
    times: dict[str, dict[str, Any]] = {
        "faiss": {"one_query": one, "batch_of_100": one},
        "cluster": {
            "one_query": {"p50": 500.0, "p99": 800.0},
            "queries_per_second_by_searchers": {"1": 100, "2": 150, "4": 200},
            "node_killed": {"one_query": {"p50": 600.0, "p99": 1600.0}},
        },
    }
    assert bench_qdrant.ratios("cluster", times) == {
        "cluster_one_query_p50_over_faiss": 5.0,
        "cluster_one_query_p99_over_faiss": 4.0,
        "cluster_one_query_p50_node_killed_over_whole": 1.2,
        "cluster_one_query_p99_node_killed_over_whole": 2.0,
        "cluster_throughput_2_searchers_over_one": 1.5,
        "cluster_throughput_4_searchers_over_one": 2.0,
    }


def test_the_documents_tell_what_the_benchmarks_of_stores_and_backups_wrote() -> None:
    one = {"p50": 500.0, "p99": 2500.0}
    results: dict[str, Any] = {
        "qdrant": {
            "segments": 1000,
            "machine": {"cores": 2},
            "missing": {"server": "it did not start"},
            "times": {
                "faiss": {"recall": 1.0, "one_query": one, "batch_of_100": one},
                "server": {"segments_per_second": 900},
                "cluster": {
                    "recall": 0.99,
                    "one_query": one,
                    "batch_of_100": one,
                    "segments_per_second": 2000,
                    "queries_per_second_by_searchers": {"1": 100, "2": 150},
                    "node_bytes": [2**20, 2**21],
                    "node_killed": {
                        "recall": 0.98,
                        "one_query": one,
                        "batch_of_100": one,
                        "longest_gap_seconds": 2.34,
                        "errors": 0,
                    },
                },
            },
        },
        "backup": {
            "segments": 1000,
            "seconds": {"create": 1.5, "verify": 0.5, "restore": 2.0, "open": 1.0},
            "bytes_per_segment": 5000,
            "searches_while_it_was_made": {"searches": 90, "slowest_ms": 12.0},
        },
    }
    stores = figures.qdrant(results.__getitem__).splitlines()
    assert "| FAISS | 0.50 | 2.50 | 0.50 | 2.50 | 1.0000 |  |  |  |" in stores
    cluster = (
        "| three Qdrant nodes | 0.50 | 2.50 | 0.50 | 2.50 | 0.9900 | 100, 150 | 2,000 | 1, 2 |"
    )
    assert cluster in stores
    assert (
        "| three Qdrant nodes, one killed | 0.50 | 2.50 | 0.50 | 2.50 | 0.9800 |  |  |  |" in stores
    )
    # What was not measured is no row of empty cells.
    assert not any(line.startswith("| one Qdrant server") for line in stores)
    assert "Not measured: server (it did not start)." in stores
    assert any("at most 2.3 s for an answer and get 0 errors" in line for line in stores)
    backup = figures.backup(results.__getitem__).splitlines()
    assert "| restore | 2.0 |" in backup
    assert any("Of 90 searches while it was made, the slowest took 12 ms." in one for one in backup)


def test_every_block_of_a_document_has_a_function() -> None:
    named = [
        name
        for path in figures.DOCUMENTS
        for name in re.findall("<!-- figures: ([a-z]+) -->", path.read_text(encoding="utf-8"))
    ]
    # Each block of this script is in a document; `detection` and `match` are of other scripts.
    assert figures.BLOCKS.keys() <= {*named}
