"""What a second opinion costs: time to index, time per query, memory and disk, each with and without it.

`--videos DIR`: its files (default: drawn videos of 8 s); `--quick` takes eight. The first half is indexed
by `storyhash index` with `sscd-motion`, once alone and once with `offline` for the second opinion. Then
these are matched as copies, and the other half as non-matches, each with and without the second opinion,
in turn. Pictures of matches are not compared. At last every indexed video is compared with the others, as
`storyhash duplicates` does. Memory is that of the largest process; CPU seconds are those of the command
with its child processes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.settings import Settings, load_settings
from searcher.curation.apply_rules import CurationRules
from searcher.second_folder import second_folder
from storyhash.demo import write_catalogue
from storyhash.duplicates.rules import NO_RULES
from storyhash.duplicates.scope import searchable_videos
from storyhash.duplicates.search import DuplicateSearch
from storyhash.query.local import SecondOpinion, run_queries
from storyhash.wiring import QueryServices, open_for_comparing, open_for_queries
from tests.benchmarks.report import options, publish

FIRST, SECOND = "sscd-motion", "offline"
_DRAWN_SECONDS = 8.0
_QUICK_VIDEOS = 8


def _indexed(data: Path, videos: Sequence[Path], *more: str) -> dict[str, float]:
    """Seconds of `storyhash index` into a new data folder: elapsed, and of the CPU."""
    began = time.perf_counter()
    usage = _run("index", *map(str, videos), "--data", str(data), "--profile", FIRST, *more)
    elapsed = time.perf_counter() - began
    return {"elapsed": elapsed, "cpu": usage.ru_utime + usage.ru_stime}


def _run(*arguments: str, enabled: bool = True) -> resource.struct_rusage:
    """What a command and its child processes used. enabled: whether the second index is asked."""
    environment = {**os.environ, "STORYHASH_SECOND_OPINION__ENABLED": str(enabled)}
    command = [sys.executable, "-m", "storyhash", *arguments]
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    process = os.posix_spawn(sys.executable, command, environment, file_actions=[silent])
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"storyhash {' '.join(arguments)} failed")
    return usage


def _timed(
    services: QueryServices, videos: Sequence[Path]
) -> tuple[dict[str, float], dict[str, int]]:
    """Median milliseconds per query without and with the second opinion, and how often each decides that
    it is a copy."""
    opinions: dict[str, SecondOpinion | None] = {
        "without": None,
        "with": services.second_opinion(CurationRules()),
    }
    spent: dict[str, list[float]] = {name: [] for name in opinions}
    copies = dict.fromkeys(opinions, 0)
    for number, path in enumerate(videos):
        for name, second in sorted(opinions.items(), reverse=bool(number % 2)):
            began = time.perf_counter()
            (outcome,) = run_queries(services.queries, services.matcher, [str(path)], second=second)
            spent[name].append(time.perf_counter() - began)
            if outcome.report is None:
                raise SystemExit(f"{path}: {outcome.error}")
            copies[name] += outcome.report.decision == "copy"
    medians = {name: round(1000 * float(np.median(some)), 1) for name, some in spent.items()}
    return {**medians, "ratio": _ratio(spent["with"], spent["without"])}, copies


def _duplicates_cpu_seconds(settings: Settings) -> dict[str, float]:
    """CPU seconds to compare every indexed video with the others."""
    spent = {}
    with open_for_comparing(settings) as (index, matcher, second):
        videos = {video.video_id: video for video in searchable_videos(index.videos)}
        for name, other in (("first call", None), ("without", None), ("with", second)):
            began = time.process_time()
            DuplicateSearch(matcher, videos, NO_RULES, second=other).groups(videos)
            spent[name] = time.process_time() - began
    return _compared(spent["without"], spent["with"], digits=3)


def _ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Median of the ratios, query by query."""
    return round(float(np.median(np.divide(some, others))), 2)


def _compared(without: float, with_it: float, digits: int = 1) -> dict[str, float]:
    ratio = round(with_it / without, 2)
    return {"without": round(without, digits), "with": round(with_it, digits), "ratio": ratio}


def _bytes_in(folder: Path, without: Path | None = None) -> int:
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and (without is None or without not in path.parents)
    )


def _peak_mib(path: Path, data: Path, *, enabled: bool) -> float:
    """MiB of the largest process of `storyhash match`."""
    usage = _run("match", str(path), "--data", str(data), enabled=enabled)
    return round(usage.ru_maxrss / 1024, 1)


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=Path, help="folder of videos")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-second-") as name:
        folder = asked.videos
        if folder is None:
            folder = Path(name) / "videos"
            folder.mkdir()
            write_catalogue(folder, _DRAWN_SECONDS)
        videos = sorted(
            path for path in folder.rglob("*") if path.suffix in (".mp4", ".webm", ".mkv")
        )
        videos = videos[:_QUICK_VIDEOS] if asked.quick else videos
        known, others = videos[: len(videos) // 2], videos[len(videos) // 2 :]
        settings = load_settings(data_dir=Path(name) / "data")
        alone = _indexed(Path(name) / "alone", known, "--second-opinion", "none")
        both = _indexed(settings.data_dir, known, "--second-opinion", SECOND)
        memory = {
            name: _peak_mib(others[0], settings.data_dir, enabled=name == "with")
            for name in ("without", "with")
        }
        with open_for_queries(settings) as services:
            # Once, so that nothing is loaded while it counts.
            list(run_queries(services.queries, services.matcher, [str(others[0])]))
            copy, copies = _timed(services, known)
            non_match, accepted = _timed(services, others)
        second = second_folder(settings.data_dir)
        figures = {
            "videos": len(known),
            "non_matches": len(others),
            "index_seconds": _compared(alone["elapsed"], both["elapsed"]),
            "index_cpu_seconds": _compared(alone["cpu"], both["cpu"]),
            "copy_milliseconds": copy,
            "copies_found": copies,
            "non_match_milliseconds": non_match,
            "non_matches_accepted": accepted,
            "duplicates_cpu_seconds": _duplicates_cpu_seconds(settings),
            "match_peak_mib": memory,
            "disk_megabytes": {
                "first": round(_bytes_in(settings.data_dir, second) / 1e6, 1),
                "second": round(_bytes_in(second) / 1e6, 1),
            },
        }
    publish("second_opinion", figures, asked.json)


if __name__ == "__main__":
    main()
