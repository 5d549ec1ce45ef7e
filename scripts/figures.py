#!/usr/bin/env python3
"""Write the figures in the documents from the JSON that benchmarks and scripts leave.

    python -m scripts.figures RESULTS

RESULTS holds what these wrote with --json: search.json, qdrant.json, backup.json, sizes.json,
embedding.json, models.json and streaming.json (scripts/bench), and NAME.json of what scripts/faults ran.
Each block between `<!-- figures: NAME -->` and `<!-- end -->` is replaced; one whose results are not
there, and the rest of a document, are left as they are. The sizing tables follow from them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import figures_search, figures_stores, sizing
from scripts.document import begin, filled
from scripts.figures_streaming import service, throughput, withstood

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("evaluation", "paper", "streaming")),
    *(ROOT / "docs" / "operations" / f"{name}.md" for name in ("backup", "install", "qdrant")),
)
PROFILES = ("sscd-motion", "offline")

Load = Callable[[str], Any]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def indexing(load: Load) -> str:
    """How fast videos are indexed."""
    profiles = load("embedding")["profiles"]
    factors = " and ".join(
        f"{profiles[name]['realtime_factor']:.0f} (`{name}`)" for name in PROFILES
    )
    return f"On two x86-64 cores, 480p video is indexed at {factors} times real time."


def searching(load: Load) -> str:
    """How fast the index is searched."""
    results = load("search")
    times = results["search_microseconds"]["shard"]
    return (
        f"A search among {results['vectors']:,} segments takes {times['p50']:.0f} microseconds "
        f"(median; 99th percentile {times['p99']:.0f}), is "
        f"{results['ratios']['exact_p50_over_shard']:.0f} times faster than exact search, "
        f"and finds {percent(results['recall_at_10'])} of the ten nearest segments. "
        f"The index takes {results['bytes_per_vector']['shard']} bytes of memory per segment and "
        f"stores {results['writes_per_second']['both']:,} segments per second."
    )


def speed(load: Load) -> str:
    """Milliseconds of work a second of video, by step."""
    results = load("embedding")["profiles"]
    steps = sorted(
        {step for profile in results.values() for step in profile["milliseconds_of_work_a_second"]}
    )
    rows = [
        [
            step,
            *(
                str(results[name]["milliseconds_of_work_a_second"].get(step, ""))
                for name in PROFILES
            ),
        ]
        for step in steps
    ]
    rows.append(
        ["**times real time**", *(f"{results[name]['realtime_factor']}" for name in PROFILES)]
    )
    rows.append(
        ["decoding alone", *[str(load("embedding")["decoding_alone_factor"])] * len(PROFILES)]
    )
    return table(["step", *(f"`{name}`" for name in PROFILES)], rows)


def search(load: Load) -> str:
    """Search beside other engines, over HTTP and in banks; writes; and the chart."""
    results = load("search")
    rows = [
        [name, str(times["p50"]), str(times["p99"]), str(times["p999"])]
        for name, times in results["search_microseconds"].items()
    ]
    ratios = [[f"`{name}`", f"{value}"] for name, value in results["ratios"].items()]
    written = ", ".join(f"{name} {rate:,}" for name, rate in results["writes_per_second"].items())
    figures_search.draw(results, ROOT / "docs" / "figures" / figures_search.CHART)
    parts = [
        table(figures_search.ENGINE_HEAD, figures_search.engine_rows(results)),
        table(["search, microseconds", "p50", "p99", "p99.9"], rows),
        table(figures_search.HTTP_HEAD, figures_search.http_rows(results)),
        table(["ratio", ""], ratios),
        f"![Growth with n, and searches while writing](figures/{figures_search.CHART})",
        f"{results['vectors']:,} vectors; written per second: {written}; the graph builds in "
        f"{results['graph_build_seconds']} s; recall@10 {results['recall_at_10']}, on hard data "
        f"{results.get('hard', {}).get('recall_at_10', 'not measured')}; "
        f"{results['bytes_per_vector']['shard']} bytes per vector.",
        *[f"Not measured: {name} ({why})." for name, why in results["missing"].items()],
    ]
    return "\n\n".join(parts)


def models(load: Load) -> str:
    """The profiles of CLIP and SAM 2 on random weights, and the networks beside their references."""
    results = load("models")
    profiles, memory = results["profiles"], results["memory_by_length"]
    lines = {
        "times real time": "realtime_factor",
        "pictures a second (visual)": "pictures_a_second",
        "frames a second (tracker)": "tracked_frames_a_second",
        "peak of `index`, MiB": "index_peak_mib",
        "peak of `match`, MiB": "match_peak_mib",
    }
    rows = [
        [label, *(str(profile[key]) for profile in profiles.values())]
        for label, key in lines.items()
    ]
    films = next(iter(profiles.values()))
    peers = [
        f"{name} {', '.join(f'{case} {value}' for case, value in results[key].items())}"
        for name, key in (
            ("CLIP, pictures a second:", "clip_pictures_a_second"),
            ("SAM 2 with three things, frames a second:", "sam2_frames_a_second"),
        )
    ]
    return "\n\n".join(
        [
            table(["", *(f"`{name}`" for name in profiles)], rows),
            f"{films['films']} films, {films['video_seconds']} s; SAM 2 at "
            f"{results['sam2_image_size']} pixels.",
            *(f"{peer}." for peer in peers),
            f"The longest film: {memory['half']['peak_mib']} MiB for "
            f"{memory['half']['video_seconds']:.1f} s of it, {memory['full']['peak_mib']} MiB for all "
            f"{memory['full']['video_seconds']:.1f} s.",
        ]
    )


def qdrant(load: Load) -> str:
    """Searches over Qdrant beside FAISS."""
    results = load("qdrant")
    cores = results["machine"]["cores"]
    parts = [
        table(figures_stores.STORE_HEAD, figures_stores.store_rows(results)),
        f"{results['segments']:,} segments; servers and searchers share {cores} cores. "
        f"{figures_stores.interruption(results)}".rstrip(),
        *[f"Not measured: {name} ({why})." for name, why in results["missing"].items()],
    ]
    return "\n\n".join(parts)


def backup(load: Load) -> str:
    """A backup, its verification and its restore."""
    results = load("backup")
    steps = table(figures_stores.BACKUP_HEAD, figures_stores.backup_rows(results))
    return f"{steps}\n\n{figures_stores.backup_summary(results)}"


def sizes(load: Load) -> str:
    """What a segment takes, with one profile and with a second opinion."""
    results = load("sizes")
    rows = table(figures_stores.SIZES_HEAD, figures_stores.size_rows(results))
    small, large = results["segments"]
    return f"{rows}\n\nThe slopes between catalogues of {small:,} and {large:,} segments."


def streaming(load: Load) -> str:
    """Throughput, memory, recovery and latency, each beside its bound."""
    return table(["", "", "compare with"], throughput(load))


def fire(load: Load) -> str:
    """What was broken, and the promises kept."""
    rows = withstood(load)
    if not rows:
        raise FileNotFoundError("no results of scripts/faults")
    head = ["scenario", "size", "segments", "promises kept", "longest interruption", "took"]
    return table(head, rows)


BLOCKS: dict[str, Callable[[Load], str]] = {
    "indexing": indexing,
    "searching": searching,
    "speed": speed,
    "search": search,
    "models": models,
    "qdrant": qdrant,
    "backup": backup,
    "sizes": sizes,
    "streaming": streaming,
    "fire": fire,
    "service": service,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    results: Path = parser.parse_args().results

    def load(name: str) -> Any:
        return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))

    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for name, write in BLOCKS.items():
            if begin(f"figures: {name}") not in text:
                continue
            try:
                block = write(load)
            except FileNotFoundError as error:
                print(f"{path.name}, {name}: left as it is ({error})")
                continue
            text = filled(text, f"figures: {name}", block)
        path.write_text(text, encoding="utf-8")
    # It follows from the figures.
    sizing.write()


if __name__ == "__main__":
    main()
