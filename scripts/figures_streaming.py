"""Tables of what streaming does and withstands, from the JSON of `scripts/bench streaming` and
`scripts/faults NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Load = Callable[[str], Any]

SCENARIOS = (
    "kills", "replicas", "outages", "deletes", "poison", "backfill", "restarts", "points",
)  # fmt: skip

_BARE, _BATCHED = "bare, its own batching", "bare, the publisher's batching"


def service(load: Load) -> str:
    """What a service does on the machine it was measured on, in a sentence or two."""
    results = load("streaming")
    consuming = results["consuming"]
    through = results["latency"]["segments through embedder and searcher"]["video_milliseconds"]
    kills = load("kills")
    times = sum(kills["figures"]["disturbed"]["kills"].values())
    return (
        f"With Kafka on the same cores, a searcher takes in {consuming['embeddings_per_second']:,} "
        f"embeddings per second ({consuming['embeddings']:,} in the test) and answers again "
        f"{consuming['recovery']['with a snapshot']['seconds']:.0f} s after it is killed, "
        f"if it has a snapshot. A short video is searchable {through['p50'] / 1000:.1f} s after it is "
        f"sent (median; 99th percentile {through['p99'] / 1000:.1f} s). In a test that sent "
        f"{kills['figures']['segments']:,} segments and killed producer, embedders and searcher {times} "
        "times, every segment was searchable exactly once, and the answers were those of an "
        "undisturbed run. More in [docs/streaming.md](docs/streaming.md)."
    )


def throughput(load: Load) -> list[list[str]]:
    """What `scripts/bench streaming` measured: a row each, with the bound next to it."""
    results = load("streaming")
    small, large = (results["producing"][name] for name in ("2.2 kB", "200 kB"))
    consuming, recovery = results["consuming"], results["consuming"]["recovery"]
    single, double = results["embedding"]["one embedder"], results["embedding"]["two embedders"]
    alone = results["embedding"]["stage_alone_segments_per_second"]
    through = results["latency"]["segments through embedder and searcher"]["video_milliseconds"]
    direct = results["latency"]["embeddings through the searcher"]["video_milliseconds"]
    rows = [
        [
            f"produced, {one_kind['bytes_a_value'] / 1000:.1f} kB per message",
            f"{one_kind['messages_per_second']['publisher']:,} per second",
            f"a bare kafka-python loop {one_kind['messages_per_second'][_BARE]:,}, with our batching "
            f"{one_kind['messages_per_second'][_BATCHED]:,}",
        ]
        for one_kind in (small, large)
    ]
    rows += [
        [
            f"{consuming['embeddings']:,} embeddings taken in by a searcher",
            f"{consuming['embeddings_per_second']:,} per second",
            f"the mirror alone {consuming['bounds_per_second']['mirror alone, embeddings']:,}, a bare "
            f"consumer {consuming['bounds_per_second']['bare consumer, messages']:,}",
        ],
        [
            "memory of that searcher",
            f"{consuming['memory']['peak_resident_megabytes']:,} MB at the peak",
            f"{consuming['memory']['own_bytes_a_vector_at_the_peak']:,} bytes per vector; the vector "
            f"alone has {consuming['memory']['bytes_of_a_vector']:,}",
        ],
        [
            "vectors not yet in the graph",
            f"{consuming['waiting_for_the_graph_at_the_end']:,} at the end of that, "
            f"{consuming['folding']['waiting_at_the_end']:,} after "
            f"{consuming['folding']['seconds']:,} s more",
            "a query takes {p50:.0f} ms meanwhile (99th percentile {p99:.0f})".format(
                **consuming["folding"]["query_milliseconds"]
            ),
        ],
        [
            "from the kill of a searcher to its next answer",
            f"{recovery['with a snapshot']['seconds']} s with a snapshot",
            f"{recovery['from the mirror, without a snapshot']['seconds']} s from the mirror, "
            f"{recovery['from the log alone']['seconds']} s from the log alone",
        ],
        [
            "`offline` embedders, one and two",
            f"{single['segments_per_second']} and {double['segments_per_second']} segments per second",
            f"{100 * single['share_of_the_cores']:.0f} and "
            f"{100 * double['share_of_the_cores']:.0f} % of the "
            f"cores; the stage without Kafka {alone}",
        ],
        [
            "from sending a video to finding it, p50 / p99",
            f"{through['p50']:,} / {through['p99']:,} ms",
            f"its embeddings alone {direct['p50']:,} / {direct['p99']:,} ms",
        ],
    ]
    return rows


def withstood(load: Load) -> list[list[str]]:
    """What each scenario broke and what was kept."""
    rows = []
    for name in SCENARIOS:
        try:
            results = load(name)
        except FileNotFoundError:
            continue
        kept_promises = sum(promise["kept"] for promise in results["promises"])
        size = "small" if results["quick"] else "full"
        rows.append(
            [
                f"`{name}`",
                size,
                f"{results['figures'].get('segments', '')}",
                f"{kept_promises} of {len(results['promises'])}",
                _worst(results["figures"]),
                f"{results['seconds']:.0f} s",
            ]
        )
    return rows


def _worst(figures: Any) -> str:
    """The longest time in which nothing new became searchable, where the scenario tells it."""
    longest = [
        (part["longest_interruption_seconds"], name)
        for name, part in figures.items()
        if isinstance(part, dict) and "longest_interruption_seconds" in part
    ]
    return f"{max(longest)[0]:.1f} s ({max(longest)[1]})" if longest else ""
