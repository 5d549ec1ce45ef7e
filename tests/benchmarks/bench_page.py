"""Time from dropping a video on the review page to the answer, stage by stage, and the page's weight.

A drawn video of 30 s, mirrored, is a copy of one of six drawn videos. First the stages of the answer
are measured in this process, on the code path of the service: decode (and pack), embed, search (of the
index), match (alignment and decision) and transform (pictures are compared). Then a service runs, and a
headless Chromium shows its page: upload, answer (all stages, the queue of jobs and how the page waits)
and render. Medians of `--runs`; the first run, which loads models and starts children, is `first`. Also
printed: seconds from the end of the job in the service to the answer on the page (a part of `answer`),
bytes of all files of the page as they are sent, and milliseconds to the first contentful paint.

Needs the extra `test`, and `apt-get install chromium chromium-driver`.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common.settings import Settings, load_settings
from common.types import Float32Array, Hit, PassName, QueryEmbedding, TimeSpans
from common.video import encode_video
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.cascade import match_cascade
from searcher.matching.report.match_report import MatchReport
from searcher.video_index import VideoIndex
from storyhash.demo import CATALOGUE, write_catalogue
from storyhash.samples import FRAMES_PER_SECOND, film, mirror
from storyhash.wiring import QueryServices, open_for_queries
from tests.benchmarks.report import options, publish
from tests.support.browser import missing, opened_browser, wait_for
from tests.support.services import Service

_SECONDS, _QUICK_SECONDS, _RUNS = 30.0, 6.0, 5
_COPIED = "city"
_STAGES = ("decode", "embed", "search", "match", "transform")
_MARKS = {
    "upload": ("asked", "sent"),
    "answer": ("sent", "answered"),
    "render": ("answered", "shown"),
}
_WEIGHT = """
const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((one) => new URL(one.name).pathname === "/" || one.name.includes("/page/"));
const paint = performance.getEntriesByName("first-contentful-paint")[0];
const weight = all.reduce((sum, one) => sum + one.encodedBodySize, 0);
return [weight, all.length, paint ? paint.startTime : null];
"""


class _Stopwatch:
    """Seconds by stage; one stage inside another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.inside: list[float] = []

    def __call__(self, stage: str) -> _Stage:
        return _Stage(self, stage)


class _Stage:
    def __init__(self, watch: _Stopwatch, stage: str) -> None:
        self._watch, self._stage = watch, stage

    def __enter__(self) -> None:
        self._watch.inside.append(0.0)
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._began
        inner = self._watch.inside.pop()
        self._watch.seconds[self._stage] += spent - inner
        if self._watch.inside:
            self._watch.inside[-1] += spent


def _once(services: QueryServices, path: Path) -> dict[str, float]:
    """Seconds of one answer by stage."""
    watch = _Stopwatch()
    index = services.index
    search = type(index).search

    def timed_search(
        self: VideoIndex, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        with watch("search"):
            return search(self, vectors, k, only)

    with watch("decode"):
        session = services.queries.open(path, path.name)

    def pieces(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        found = session.pieces(kind, within)
        while True:
            with watch("embed"):
                piece = next(found, None)
            if piece is None:
                return
            yield piece

    def compare(report: MatchReport) -> MatchReport:
        with watch("transform"):
            return services.compare(services.queries.pictures_of(session), report)

    timed = patch.object(type(index), "search", timed_search)
    with timed, session, watch("match"):
        report = match_cascade(services.matcher, pieces, compare=compare)
    if report.decision != "copy":
        raise RuntimeError(f"expected a copy, got {report.decision}")
    return {stage: watch.seconds[stage] for stage in _STAGES}


def _in_process(settings: Settings, path: Path, runs: int) -> list[dict[str, float]]:
    with open_for_queries(settings, decoders=1) as services:
        return [_once(services, path) for _ in range(runs + 1)]


def _in_browser(
    settings: Settings, films: Path, path: Path, log: Path, runs: int
) -> dict[str, Any]:
    """What the page itself measures. films: the files of the catalogue."""
    environment = {
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_HTTP__CONTENT_FOLDERS": json.dumps([str(films)]),
        "STORYHASH_PROFILE": settings.profile,
    }
    service = Service(
        "serve", ("serve", "--data", settings.data_dir), log, environment, preloaded=True
    )
    timed: list[dict[str, float]] = []
    noticed: list[float] = []
    try:
        url = service.start().ready().url
        with opened_browser() as browser:
            browser.get(url)
            wait_for(browser, ".drop .hint", "videos")
            weight, files, paint = browser.execute_script(_WEIGHT)
            for _ in range(runs + 1):
                browser.get(f"{url}/?{len(timed)}#/ask")
                wait_for(browser, ".drop .hint", "videos")
                browser.find_element("id", "file").send_keys(str(path))
                wait_for(browser, ".verdict", "Copy")
                began, marks = browser.execute_script(
                    "return [performance.timeOrigin, Object.fromEntries("
                    "performance.getEntriesByType('mark').map((one) => [one.name, one.startTime]))]"
                )
                noticed.append((began + marks["answered"] - _job_ended(settings)) / 1000)
                timed.append(
                    {
                        stage: (marks[end] - marks[start]) / 1000
                        for stage, (start, end) in _MARKS.items()
                    }
                )
            log_lines = browser.get_log("browser")  # type: ignore[no-untyped-call]
            errors = [one for one in log_lines if one["level"] == "SEVERE"]
    finally:
        service.stop()
    return {
        "seconds": _summary(timed),
        "seconds_after_the_job": round(statistics.median(noticed[1:]), 3),
        "weight_bytes": weight,
        "files": files,
        "first_contentful_paint_ms": None if paint is None else round(paint, 1),
        "console_errors": len(errors),
    }


def _job_ended(settings: Settings) -> float:
    """When the newest job ended: milliseconds since 1970."""
    with closing(sqlite3.connect(settings.data_dir / "state.sqlite")) as database:
        query = "SELECT finished_at FROM jobs ORDER BY number DESC LIMIT 1"
        return float(database.execute(query).fetchone()[0])


def _summary(timed: list[dict[str, float]]) -> dict[str, Any]:
    """The first run, and the median of the others; with the sum of all stages."""
    totals = [{**one, "total": sum(one.values())} for one in timed]
    first, *others = totals
    return {
        "first": {name: round(seconds, 3) for name, seconds in first.items()},
        "median": {
            name: round(statistics.median(one[name] for one in others), 3) for name in first
        },
    }


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--profile", default="offline", help="profile of the index and the query")
    parser.add_argument("--runs", type=int, default=0, help="runs after the first")
    asked = parser.parse_args()
    how = missing()
    if how:
        sys.exit(f"a browser is missing: {how}")
    seconds = _QUICK_SECONDS if asked.quick else _SECONDS
    runs = asked.runs or (1 if asked.quick else _RUNS)
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-page-") as name:
        folder = Path(name)
        films, upload = folder / "films", folder / "upload.mp4"
        films.mkdir()
        write_catalogue(films, seconds)
        encode_video(upload, map(mirror, film(CATALOGUE[_COPIED], seconds)), FRAMES_PER_SECOND)
        command = ["index", films, "--data", folder / "data", "--profile", asked.profile]
        subprocess.run([sys.executable, "-m", "storyhash", *map(str, command)], check=True)
        settings = load_settings(data_dir=folder / "data", profile=asked.profile)
        figures = {
            "profile": asked.profile,
            "query_seconds": seconds,
            "query_bytes": upload.stat().st_size,
            "runs": runs,
            "stages": _summary(_in_process(settings, upload, runs)),
            "page": _in_browser(settings, films, upload, folder / "log", runs),
        }
        publish("page", figures, asked.json)


if __name__ == "__main__":
    main()
