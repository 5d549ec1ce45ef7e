"""Streaming over a real broker: producing, consuming, embedding and the way through, each beside a peer.

Times depend on the machine and on what else runs on it; ratios are of this one run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from tests.benchmarks.report import options, publish
from tests.benchmarks.streaming import consuming, embedding, latency, producing
from tests.benchmarks.streaming.broker import broker
from tests.benchmarks.streaming.films import films

PARTS = ("producing", "consuming", "embedding", "latency")


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts alone")
    parser.add_argument("--messages", type=int, help="messages produced at once (20,000)")
    parser.add_argument("--embeddings", type=int, help="embeddings consumed (1,000,000)")
    parser.add_argument(
        "--fold-seconds",
        type=float,
        default=900.0,
        help="how long the graph may take to catch up with the log",
    )
    parser.add_argument(
        "--videos", type=Path, help="a folder of films to use instead of drawn ones"
    )
    parser.add_argument(
        "--folder", type=Path, help="where brokers and indexes lie; a temporary one by default"
    )
    asked = parser.parse_args()
    # BLAS in several threads makes small products no faster and takes cores from what is measured.
    threadpool_limits(1, user_api="blas")
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch, broker(Path(scratch)) as servers:
        figures = measure(asked, servers, Path(scratch))
    publish("streaming", figures, asked.json)


def measure(asked: argparse.Namespace, servers: str, folder: Path) -> dict[str, Any]:
    """The figures of the parts that are wanted."""
    wanted, quick = asked.only or PARTS, asked.quick
    figures: dict[str, Any] = {}
    if "producing" in wanted:
        messages = asked.messages or (5_000 if quick else 20_000)
        figures["producing"] = producing.measure(servers, messages)
    if "consuming" in wanted:
        embeddings = asked.embeddings or (20_000 if quick else 1_000_000)
        figures["consuming"] = consuming.measure(
            servers, embeddings, folder / "consuming", asked.fold_seconds
        )
    if "embedding" in wanted or "latency" in wanted:
        cut = films(asked.videos, 3 if quick else 12, folder / "films")
    if "embedding" in wanted:
        segments = 60 if quick else 400
        figures["embedding"] = embedding.measure(servers, cut, segments, folder / "embedding")
    if "latency" in wanted:
        figures["latency"] = latency.measure(
            servers, cut, 20 if quick else 200, embedding.stage_alone(cut), folder / "latency"
        )
    return figures


if __name__ == "__main__":
    main()
