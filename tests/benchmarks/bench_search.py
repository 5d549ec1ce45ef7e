"""Searching beside other engines and over HTTP, idle and while the index is written to.

1. Every engine at the smaller sizes, for growth with n. 2. One shard at the largest size, beside plain
   FAISS in the same process; banks that hold a share of the videos; writes with the embedded mirror.
3. A service's index, idle and while it is written to (`search_while_writing`). 4. HTTP. 5. Searches
   while rows wait or are deleted. 6. Three engines at the largest size, hard data, and more engines, as
   far as the time reaches (`--budget`).

Queries are segments with noise, one at a time on one thread. Plain FAISS builds its graph of all vectors
at once; the shard gets them video after video. Other engines have a process each, and are searched with
the fewest candidates that reach the recall target of the settings. What could not be measured is in
`missing`, with the reason. The file of --json is written after each part. Ratios are of this one run;
times depend on the machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from searcher.index.state import Filter
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.benchmarks import search_while_writing
from tests.benchmarks.report import options, publish, save
from tests.benchmarks.search import data, http, runs
from tests.benchmarks.search.engines import ENGINES
from tests.benchmarks.search.shards import (
    TRIED,
    Figures,
    K,
    compared,
    recall,
    timed,
    with_deleted,
    with_waiting,
    write,
)
from tests.support.embeddings import MODEL_ID

_FIRST_SIZES = (1_000, 10_000)
_BUDGET_SECONDS, _QUICK_BUDGET_SECONDS = 1100.0, 250.0
# Hard data: of the largest size, or of one of these if the time does not reach; what they take besides
# two graphs.
_HARD_SIZES = (30_000, 10_000)
_HARD_SECONDS = 30.0
# Rows that wait for a merge, as many as arrive during one; rows that are deleted.
_WAITING, _DELETED = 1500, 100
# Engines that come before hard data; the others have the time that is left.
_BEFORE_HARD = 3


# What can be left out. The shard of the largest size is always measured: the others need it.
PARTS = ("banks", "writes", "while writing", "http", "changes", "hard data", "engines")


class Benchmark:
    """The figures so far. Each part adds its own; one that fails is noted with its reason."""

    def __init__(
        self,
        budget: runs.Budget,
        folder: Path,
        saved: Callable[[Figures], object],
        parts: Sequence[str] = (),
    ) -> None:
        """saved: called with all figures after each part. parts: those of `PARTS` to measure (default:
        all)."""
        self.figures: Figures = {"times": {}, "ratios": {}, "missing": {}, "seconds": {}}
        self._budget = budget
        self._folder = folder
        self._saved = saved
        self._parts = parts or PARTS

    def part(self, name: str, measure: Callable[[], None]) -> None:
        """Measure a part, if it is wanted."""
        if name in PARTS and name not in self._parts:
            return
        began = time.monotonic()
        try:
            measure()
        except Exception as error:
            self.figures["missing"][name] = f"{type(error).__name__}: {error}"[:300]
        self.figures["seconds"][name] = round(time.monotonic() - began, 1)
        self._saved(self.figures)

    def run(
        self,
        sizes: Sequence[int],
        repeats: int,
        seconds: float,
        engines: Sequence[str],
        export: Path | None = None,
    ) -> Figures:
        """Everything. sizes: ascending. seconds: of each search of a service's index."""
        largest = sizes[-1]
        if "engines" not in self._parts:
            sizes, engines = sizes[-1:], ()
        for size in sizes[:-1]:
            self.part(f"{size:,} vectors", partial(self._small, size, repeats, engines))
        self._at(largest, repeats, seconds)
        first, others = engines[:_BEFORE_HARD], engines[_BEFORE_HARD:]
        if engines:
            self.part(f"{largest:,} vectors", lambda: self._engines(largest, repeats, first))
        self.part("hard data", lambda: self._hard(largest, repeats, export))
        if others:
            self.part(f"{largest:,} vectors, more", lambda: self._engines(largest, repeats, others))
        self.part("growth", lambda: self._growth(sizes))
        return self.figures

    def _at(self, largest: int, repeats: int, seconds: float) -> None:
        """The parts that need the shard of the largest size."""
        rng = np.random.default_rng(7)
        points = data.make(rng, largest)
        asked = data.asked(rng, np.stack([one.vector for one in points]), repeats * 2)
        self.figures["vectors"] = largest
        folder = self._folder / "data"
        shards: list[Shard] = []
        self.part("shard", lambda: shards.append(self._largest(points, asked, repeats)))
        self.part("banks", lambda: self._banks(shards[0], asked, repeats // 4))
        self.part("writes", lambda: self._writes(points))
        self.part(
            "while writing", lambda: self._while_writing(points, shards[0], asked, folder, seconds)
        )
        self.part("http", lambda: self._http(points, shards[0], asked, folder, seconds / 6))
        self.part("changes", lambda: self._changes(shards[0], asked, repeats))

    def _small(self, size: int, repeats: int, engines: Sequence[str]) -> None:
        rng = np.random.default_rng(7)
        points = data.make(rng, size)
        asked = data.asked(rng, np.stack([one.vector for one in points]), repeats)
        _, figures = compared(points, asked, repeats)
        self._note(size, figures)
        self._engines(size, repeats, engines)

    def _largest(self, points: list[Embedding], asked: Float32Array, repeats: int) -> Shard:
        shard, figures = compared(points, asked, repeats)
        self._note(len(points), figures)
        self.figures["ratios"] |= figures.pop("ratios")
        self.figures |= figures
        return shard

    def _note(self, size: int, figures: Figures) -> None:
        """The shard and plain FAISS of one size, in the form of the other engines."""
        times = self.figures["times"].setdefault(f"{size}", {})
        searches = figures["search_microseconds"]
        times["shard"] = {
            **searches["shard"],
            "candidates": figures["candidates"],
            "recall": figures["recall_at_10"],
            "build_seconds": figures["graph_build_seconds"],
            "bytes_per_vector": figures["bytes_per_vector"]["shard"],
            "queries_per_second": figures["queries_per_second"],
        }
        for name in ("shard, 64 candidates", "plain faiss, 64 candidates"):
            times[name] = searches[name]

    def _banks(self, shard: Shard, asked: Float32Array, repeats: int) -> None:
        found = {}
        for name in data.BANKS:
            only = Filter(banks=frozenset({name}))
            # A catalogue of fewer than 500 videos lacks some.
            if not shard.search(asked[:1], 1, only)[0]:
                continue
            self.figures["search_microseconds"][f"shard, bank of {name}"] = timed(
                shard, asked, repeats, only
            )
            found[name] = recall(shard, asked[:TRIED], only)
        self.figures["recall_at_10_by_bank"] = found

    def _changes(self, shard: Shard, asked: Float32Array, repeats: int) -> None:
        """Searches of a shard in which rows wait for a merge, or are deleted."""
        times = self.figures["search_microseconds"]
        unchanged = timed(shard, asked, repeats)["p50"]
        for name, changed in (
            (f"{_WAITING}_waiting", with_waiting(shard, _WAITING)),
            (f"{_DELETED}_deleted", with_deleted(shard, _DELETED)),
        ):
            times[f"shard, {name.replace('_', ' ')}"] = found = timed(changed, asked, repeats)
            ratio = round(found["p50"] / unchanged, 2)
            self.figures["ratios"][f"search_p50_with_{name}_over_none"] = ratio

    def _writes(self, points: list[Embedding]) -> None:
        # No row leaves the delta while it is written: building the graph is timed apart.
        mirror = QdrantEmbeddedMirror(self._folder / "mirror", MODEL_ID)
        rates = write(Shard(SearcherSettings(delta_rows=len(points) + 1)), mirror, points)
        mirror.close()
        self.figures["writes_per_second"] = rates
        ratio = round(rates["both"] / 5000, 2)
        self.figures["ratios"]["writes over the goal of 5,000 a second"] = ratio

    def _while_writing(
        self,
        points: list[Embedding],
        shard: Shard,
        asked: Float32Array,
        folder: Path,
        seconds: float,
    ) -> None:
        beside = search_while_writing.measure(points, shard, asked, folder, seconds)
        self.figures["ratios"] |= beside.pop("ratios")
        self.figures["while_writing"] = beside

    def _http(
        self,
        points: list[Embedding],
        shard: Shard,
        asked: Float32Array,
        folder: Path,
        seconds: float,
    ) -> None:
        if not (folder / "storyhash.json").exists():
            search_while_writing.fill(points, shard, folder)
        missing = self.figures["missing"]
        times = http.measure(folder, asked[:1000], seconds, missing)
        self.figures["http_microseconds"] = times
        ratios = http.ratios(times)
        plain = self.figures["search_microseconds"]["plain faiss, 64 candidates"]["p99"]
        ratios["http_p99_while_writing_over_faiss_p99"] = lambda: (
            times["our route while writing"]["p99"] / plain
        )
        for name, ratio in ratios.items():
            try:
                self.figures["ratios"][name] = round(ratio(), 3)
            except KeyError as error:
                missing[name] = f"{error.args[0]!r} was not measured"

    def _hard(self, size: int, repeats: int, export: Path | None) -> None:
        build = 2.2 * self.figures["graph_build_seconds"]
        fitting = [
            tried
            for tried in (size, *_HARD_SIZES)
            if tried <= size
            and _HARD_SECONDS + build * (tried / size) ** runs.BUILD_EXPONENT < self._budget.left
        ]
        if not fitting:
            raise runs.Unmeasured("no time is left; allow more with --budget")
        size = fitting[0]
        rng = np.random.default_rng(8)
        vectors = data.hard(rng, size, export)
        asked = data.asked(rng, vectors, repeats)
        _, figures = compared(data.embeddings_of(vectors), asked, repeats)
        ratios = {f"hard_{name}": value for name, value in figures.pop("ratios").items()}
        self.figures["hard"] = {
            "vectors": size,
            "from": "synthetic vectors" if export is None else "an export, with noise",
            **figures,
        }
        self.figures["ratios"] |= ratios

    def _engines(self, size: int, repeats: int, engines: Sequence[str]) -> None:
        """The other engines at one size, over the same rows as the shard."""
        rng = np.random.default_rng(7)
        vectors = np.stack([one.vector for one in data.make(rng, size)])
        asked = data.asked(rng, vectors, max(TRIED, repeats))
        folder = self._folder / f"{size}" / "arrays"
        runs.save_data(folder, vectors, asked, data.exact(vectors, asked[:TRIED], K))
        del vectors
        times = self.figures["times"].setdefault(f"{size}", {})
        for name in engines:
            try:
                times[name] = runs.engine(
                    name, folder, size, repeats, self._budget, self._smaller(name, size)
                )
            except runs.Unmeasured as why:
                self.figures["missing"][f"{name}, {size:,} vectors"] = str(why)
            self._saved(self.figures)

    def _smaller(self, name: str, size: int) -> tuple[int, float] | None:
        """The next smaller size at which an engine was built, and its seconds."""
        known = [
            (int(other), figures[name]["build_seconds"])
            for other, figures in self.figures["times"].items()
            if int(other) < size and name in figures
        ]
        return max(known, default=None)

    def _growth(self, sizes: Sequence[int]) -> None:
        """Ratios of engines at the largest size, and how each grows with n: the exponent of its p50."""
        times = self.figures["times"]
        largest, ratios = times[f"{sizes[-1]}"], self.figures["ratios"]
        for name in ENGINES:
            if name in largest and "shard" in largest:
                key = f"{name.replace(' ', '_').replace('-', '_')}_p50_over_shard"
                ratios[key] = round(largest[name]["p50"] / largest["shard"]["p50"], 2)
        growth = {}
        for name in ("shard", *ENGINES):
            known = [
                (size, times[f"{size}"][name]["p50"]) for size in sizes if name in times[f"{size}"]
            ]
            if len(known) > 1:
                n, p50 = np.log(np.array(known, dtype=np.float64)).T
                growth[name] = round(float(np.polyfit(n, p50, 1)[0]), 3)
        self.figures["growth_exponent_of_p50"] = growth


def main() -> None:
    """The command line."""
    parser = options((__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--vectors", type=int, default=100_000, help="largest size (--quick: 3/10 of it)"
    )
    parser.add_argument(
        "--budget",
        type=float,
        help="seconds after which no more engines are begun (default: 1100; --quick: 250)",
    )
    parser.add_argument(
        "--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES), help="default: all"
    )
    parser.add_argument(
        "--catalogue",
        type=Path,
        help="hard data are made of this export of a real catalogue (storyhash snapshot export)",
    )
    parser.add_argument(
        "--parts", nargs="*", default=[], choices=PARTS, help="measure only these (default: all)"
    )
    asked = parser.parse_args()
    largest = 3 * asked.vectors // 10 if asked.quick else asked.vectors
    first = _FIRST_SIZES[:1] if asked.quick else (*_FIRST_SIZES, 100_000)
    sizes = [*(size for size in first if size < largest), largest]
    repeats, seconds = (500, 12.0) if asked.quick else (2000, 48.0)
    budget = runs.Budget(
        asked.budget or (_QUICK_BUDGET_SECONDS if asked.quick else _BUDGET_SECONDS)
    )
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-") as folder:
        benchmark = Benchmark(
            budget, Path(folder), lambda figures: save("search", figures, asked.json), asked.parts
        )
        figures = benchmark.run(sizes, repeats, seconds, asked.engines, asked.catalogue)
        publish("search", figures, asked.json)


if __name__ == "__main__":
    main()
