"""One searcher over a Qdrant index, in a process of its own, as services are.

    python -m tests.benchmarks.qdrant_searcher URL COLLECTION QUERIES.npy SECONDS

It prints `ready`, waits for a line, searches single queries one after another for SECONDS, and prints its
figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from common.errors import DependencyError
from common.settings import QdrantSettings, SearcherSettings
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.store import QdrantStore
from tests.benchmarks.report import quantiles
from tests.support.embeddings import MODEL_ID

_K = 10


def main() -> None:
    """Search."""
    url, collection, path, seconds = sys.argv[1:]
    queries = np.load(path)
    settings = QdrantSettings(url=url, collection=collection)
    store = QdrantStore(Nodes.connect(settings), settings, SearcherSettings(), MODEL_ID)
    store.search(queries[:1], _K)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    spent: list[float] = []
    errors: list[str] = []
    longest, number = 0.0, 0
    began = last = time.perf_counter()
    while (now := time.perf_counter()) < began + float(seconds):
        number += 1
        try:
            store.search(queries[number % len(queries)][None], _K)
        except DependencyError as error:
            errors.append(str(error)[:200])
            continue
        answered = time.perf_counter()
        spent.append(answered - now)
        longest, last = max(longest, answered - last), answered
    longest = max(longest, time.perf_counter() - last)
    figures = {
        **(quantiles(spent) if spent else {}),
        "queries": len(spent),
        "errors": len(errors),
        "first_errors": errors[:3],
        "longest_gap_seconds": round(longest, 3),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    store.close()


if __name__ == "__main__":
    main()
