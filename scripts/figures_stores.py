"""Tables of `scripts/bench qdrant`, `scripts/bench backup` and `scripts/bench sizes`."""

from __future__ import annotations

from typing import Any

STORE_HEAD = [
    "index",
    "one query, ms: p50",
    "p99",
    "batch of 100, ms: p50",
    "p99",
    "recall@10",
    "queries per second of 1, 2 and 4 searchers",
    "written, segments per second",
    "memory per node, MiB",
]
_NAMES = {"faiss": "FAISS", "server": "one Qdrant server", "cluster": "three Qdrant nodes"}
BACKUP_HEAD = ["step", "seconds"]
SIZES_HEAD = ["bytes per segment", "one profile", "with a second opinion", "ratio"]
_SIZES = {
    "memory": "memory of the index and of the mirror's process",
    "mirror": "mirror, on disk",
    "snapshots": "two snapshots",
    "backup": "a backup",
}
_STEPS = {
    "create": "create, while the index answers",
    "verify": "verify",
    "restore": "restore",
    "open": "open the restored folder until it is ready",
}


def store_rows(results: dict[str, Any]) -> list[list[str]]:
    """A row for each store that was measured, and one for the cluster while a node is gone."""
    rows = []
    for store, times in results["times"].items():
        name = _NAMES.get(store, store)
        rows.append(_row(name, times))
        if "node_killed" in times:
            rows.append(_row(f"{name}, one killed", times["node_killed"]))
    return [row for row in rows if row]


def _row(name: str, times: dict[str, Any]) -> list[str]:
    """The cells of a store; none if its queries were not measured."""
    if "batch_of_100" not in times:
        return []
    milliseconds = [
        f"{times[case][part] / 1000:.2f}"
        for case in ("one_query", "batch_of_100")
        for part in ("p50", "p99")
    ]
    rates = times.get("queries_per_second_by_searchers", {}).values()
    memory = [f"{size / 2**20:.0f}" for size in times.get("node_bytes", ())]
    written = times.get("segments_per_second")
    return [
        name,
        *milliseconds,
        f"{times['recall']:.4f}",
        ", ".join(f"{rate:,}" for rate in rates),
        "" if written is None else f"{written:,}",
        ", ".join(memory),
    ]


def interruption(results: dict[str, Any]) -> str:
    """What callers notice when a node is killed; empty if that was not measured."""
    killed = results["times"].get("cluster", {}).get("node_killed", {})
    if "longest_gap_seconds" not in killed:
        return ""
    return (
        f"When a node is killed, two searchers wait at most {killed['longest_gap_seconds']:.1f} s for an "
        f"answer and get {killed['errors']} errors."
    )


def backup_rows(results: dict[str, Any]) -> list[list[str]]:
    """A row for each step."""
    return [[_STEPS[step], f"{seconds:.1f}"] for step, seconds in results["seconds"].items()]


def backup_summary(results: dict[str, Any]) -> str:
    """The size of a backup, and what searches notice of it."""
    beside = results["searches_while_it_was_made"]
    return (
        f"{results['segments']:,} segments with eight frame codes each; a backup takes "
        f"{results['bytes_per_segment']:,} bytes per segment. Of {beside['searches']:,} searches while "
        f"it was made, the slowest took {beside['slowest_ms']:.0f} ms."
    )


def size_rows(results: dict[str, Any]) -> list[list[str]]:
    """A row for each kind of bytes."""
    one, two = results["one profile"], results["with a second opinion"]
    return [
        [name, f"{one[kind]:,}", f"{two[kind]:,}", f"{two[kind] / one[kind]:.2f}"]
        for kind, name in _SIZES.items()
    ]
