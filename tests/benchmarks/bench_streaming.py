"""Streaming over a real broker: producing, consuming, embedding and the way through, each beside a peer.

Times depend on the machine and on what else runs on it; ratios are of this one run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.report import options, publish
from tests.benchmarks.streaming import consuming, producing
from tests.benchmarks.streaming.broker import broker


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parts = ("producing", "consuming")
    parser.add_argument("--only", choices=parts, action="append", help="these parts alone")
    parser.add_argument("--messages", type=int, help="messages produced at once (20,000)")
    parser.add_argument("--embeddings", type=int, help="embeddings consumed (1,000,000)")
    parser.add_argument(
        "--fold-seconds",
        type=float,
        default=900.0,
        help="how long the graph may take to catch up with the log",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the broker and the indexes lie; a temporary one by default",
    )
    asked = parser.parse_args()
    quick = asked.quick
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch, broker(Path(scratch)) as servers:
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "producing": lambda: producing.measure(
                servers, asked.messages or (5_000 if quick else 20_000)
            ),
            "consuming": lambda: consuming.measure(
                servers,
                asked.embeddings or (20_000 if quick else 1_000_000),
                Path(scratch) / "consuming",
                asked.fold_seconds,
            ),
        }
        figures = {name: measures[name]() for name in asked.only or parts}
    publish("streaming", figures, asked.json)


if __name__ == "__main__":
    main()
