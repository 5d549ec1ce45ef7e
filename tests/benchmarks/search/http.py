"""Searches over HTTP: our route, an empty one, FastAPI with JSON, all over one index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.settings import Settings
from common.types import Float32Array
from searcher.local_index import LocalIndex
from tests.benchmarks.report import microseconds
from tests.benchmarks.search import http_server
from tests.benchmarks.search.http_clients import json_request, load, raw_request
from tests.benchmarks.search.runs import Unmeasured

_CLIENTS = 8
_K = 10
_QUERIES = 200


def measure(
    folder: Path, asked: Float32Array, seconds: float, missing: dict[str, str]
) -> dict[str, Any]:
    """Microseconds by case, over the index in a data folder. seconds: of each case. missing: gets the
    reasons of the cases that could not be measured."""
    raw = [raw_request(query) for query in asked[:_QUERIES]]
    as_json = [json_request(query) for query in asked[:_QUERIES]]
    with LocalIndex.open_reader(folder, http_server.MANIFEST, Settings()) as index:
        times: dict[str, Any] = {
            "in process": microseconds(
                lambda number: index.search(asked[number % len(asked)][None], _K), len(asked)
            )
        }

    def case(name: str, kinds: Sequence[str], requests: Sequence[bytes], clients: int) -> None:
        try:
            with _servers(kinds, folder) as ports:
                load(ports, requests, clients, min(1.0, seconds))
                times[name] = load(ports, requests, clients, seconds)
        except (OSError, RuntimeError, Unmeasured) as error:
            missing[f"http, {name}"] = str(error)

    case("empty route", ["empty"], raw, 1)
    case("our route", ["ours"], raw, 1)
    case("FastAPI and JSON", ["fastapi"], as_json, 1)
    case("empty route, 8 clients", ["empty"], raw, _CLIENTS)
    case("our route, 8 clients", ["ours"], raw, _CLIENTS)
    case("FastAPI and JSON, 8 clients", ["fastapi"], as_json, _CLIENTS)
    case("our route, 8 clients, 2 processes", ["ours", "ours"], raw, _CLIENTS)
    # Last, because it changes the index.
    case("our route while writing", ["writing"], raw, 1)
    return times


def ratios(times: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """The ratios of these times; one whose times are missing raises KeyError."""
    return {
        "http_p50_over_in_process_plus_loopback": lambda: (
            times["our route"]["p50"] / (times["in process"]["p50"] + times["empty route"]["p50"])
        ),
        "http_p99_while_writing_over_idle": lambda: (
            times["our route while writing"]["p99"] / times["our route"]["p99"]
        ),
        "http_throughput_over_fastapi_json": lambda: (
            times["our route, 8 clients"]["queries_per_second"]
            / times["FastAPI and JSON, 8 clients"]["queries_per_second"]
        ),
        "http_p99_at_8_clients_over_3_ms": lambda: times["our route, 8 clients"]["p99"] / 3000,
        "http_two_processes_throughput_over_one": lambda: (
            times["our route, 8 clients, 2 processes"]["queries_per_second"]
            / times["our route, 8 clients"]["queries_per_second"]
        ),
    }


@contextmanager
def _servers(kinds: Sequence[str], folder: Path) -> Iterator[list[int]]:
    """Servers in processes of their own; gives their ports. Raises Unmeasured."""
    command = [sys.executable, "-m", http_server.__name__]
    started = [
        subprocess.Popen(
            [*command, kind, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind in kinds
    ]
    try:
        ports = []
        for process in started:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip().isdigit():
                _, said = process.communicate(timeout=60)
                raise Unmeasured((said.strip().splitlines() or ["the server ended"])[-1][:300])
            ports.append(int(line))
        yield ports
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.communicate()
