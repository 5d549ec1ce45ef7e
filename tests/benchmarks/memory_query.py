"""Peak memory of a query beyond the idle index: `scripts/measure_memory query`.

The films are made here: one picture every two seconds, of a drawing in which things move, or black. The
index holds a film of six hours and 4,500 more segments of made-up vectors in long videos. Each query is
`storyhash match` in a process of its own; the last one is the film of six hours, matched as if new.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from common.settings import load_settings
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION, Embedding, Float32Array, SegmentRef
from embedder.normalise import unit
from searcher.storage.video import Video
from storyhash.wiring import open_for_indexing
from tests.benchmarks.process_memory import Peak, peak_of

_WIDTH, _HEIGHT, _SECONDS_A_PICTURE = 160, 96, 2.0
_LONG, _SEGMENT_SECONDS, _NOISE = "six-hours", 4.0, 0.03
_IDLE = """
from common.settings import load_settings
from storyhash.wiring import open_for_queries
with open_for_queries(load_settings()) as services:
    print(services.index.stats)
"""
_NEW = f"""
from common.settings import load_settings
from storyhash.wiring import open_for_queries
with open_for_queries(load_settings()) as services:
    video = services.index.videos.get({_LONG!r})
    print(services.matcher.match_video(video).decision)
"""

# What passes over a film of so many minutes see: the whole picture at every window, other views now and
# then.
_MADE_UP = """
import sys
import numpy as np
from common.settings import load_settings
from common.types import QueryEmbedding
from embedder.query.pieces import pieces_of
from embedder.query.embedder import window_grid
from embedder.normalise import unit
from embedder.visual.offline.backend import OfflineBackend
from searcher.matching.cascade import match_cascade
from storyhash.wiring import open_for_queries

seconds, rng = 60 * float(sys.argv[1]), np.random.default_rng(5)
with open_for_queries(load_settings()) as services:
    visual = OfflineBackend

    def take(name, within):
        views = visual.views if name == "first" else visual.closer_views
        shares = np.array([1.0 if view == "identity" else 0.05 for view in views])
        for piece in pieces_of(seconds):
            starts, ends = window_grid(seconds, piece.start_seconds, piece.end_seconds)
            known = rng.random((len(views), len(starts))) < shares[:, None]
            vectors = np.zeros((*known.shape, 527), dtype=np.float32)
            for number, some in enumerate(known):
                rows = rng.normal(size=(int(some.sum()), 527)).astype(np.float32)
                vectors[number, some] = unit(rows)
            yield QueryEmbedding(
                "q", seconds, services.index.manifest.model_id, views, starts, ends, vectors, known,
                number=piece.number, pieces=piece.pieces,
            )

    print(match_cascade(services.matcher, take).decision)
"""


def write_film(path: Path, minutes: float, *, black: bool) -> None:
    """A film of one picture every two seconds."""
    rng = np.random.default_rng(int(minutes * 10))
    with av.open(str(path), "w") as box:
        stream = box.add_stream("libx264", rate=Fraction(1, int(_SECONDS_A_PICTURE)))
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        at = rng.uniform(0, 1, (6, 2))
        colours = rng.integers(60, 255, (6, 3))
        for number in range(int(minutes * 60 / _SECONDS_A_PICTURE)):
            picture = np.zeros((_HEIGHT, _WIDTH, 3), dtype=np.uint8)
            if not black:
                if number % 15 == 0:
                    at, colours = rng.uniform(0, 1, (6, 2)), rng.integers(60, 255, (6, 3))
                at = (at + rng.normal(0, 0.03, at.shape)) % 1.0
                for (x, y), colour in zip(at, colours, strict=True):
                    left, top = int(x * (_WIDTH - 30)), int(y * (_HEIGHT - 24))
                    picture[top : top + 24, left : left + 30] = colour
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture)):
                box.mux(packet)
        box.mux(stream.encode())


def made_up(video_id: str, count: int, rng: np.random.Generator, model_id: str) -> list[Embedding]:
    """Segments that are near to one another."""
    centre = unit(rng.normal(size=(1, VECTOR_DIMENSION)).astype(np.float32))
    noise = rng.normal(0, _NOISE, (count, VECTOR_DIMENSION)).astype(np.float32)
    rows: Float32Array = unit(centre + noise)
    graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
    return [
        Embedding(
            SegmentRef(video_id, _SEGMENT_SECONDS * n, _SEGMENT_SECONDS * (n + 1)),
            *(rows[n], graph, True, model_id),
        )
        for n in range(count)
    ]


def make_index() -> None:
    """The film of six hours, and fifteen of twenty minutes."""
    rng = np.random.default_rng(3)
    with open_for_indexing(load_settings(profile="offline")) as services:
        for name, count in {_LONG: 5400, **{f"film-{n}": 300 for n in range(15)}}.items():
            segments = made_up(name, count, rng, services.stage.model_id)
            services.index.replace_video(
                Video(name, f"/films/{name}", version=1, duration_seconds=4.0 * count), segments
            )
        services.index.save_snapshot()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/measure_memory query", description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="*", default=[1.0, 6.0, 60.0, 360.0])
    parser.add_argument(
        "--made-up",
        type=float,
        nargs="*",
        default=[],
        metavar="MINUTES",
        help="queries of made-up vectors: matching alone, in a fraction of the time",
    )
    parser.add_argument("--thorough", action="store_true", help="look closely at every second")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args(arguments)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="storyhash-memory-") as folder:
        os.environ["STORYHASH_DATA_DIR"] = str(Path(folder) / "data")
        make_index()
        python = [sys.executable, "-c"]
        idle = peak_of([*python, _IDLE], os.environ)

        def note(name: str, peak: Peak) -> None:
            row = {
                "query": name,
                "beyond_idle_mib": round(peak.own_mib - idle.own_mib),
                "with_decoder_mib": round(peak.tree_mib - idle.tree_mib),
                "seconds": round(peak.seconds, 1),
            }
            rows.append(row)
            print(*(f"{key}: {value}" for key, value in row.items()), sep="   ", flush=True)

        print(f"idle index: {idle.own_mib:.0f} MiB", flush=True)
        thorough = ["--thorough"] if asked.thorough else []
        for minutes in asked.minutes:
            for black in (False, True):
                film = Path(folder) / "film.mp4"
                write_film(film, minutes, black=black)
                command = [sys.executable, "-m", "storyhash", "match", str(film), *thorough]
                kind = "black" if black else "moving"
                note(f"{minutes:g} min {kind}", peak_of([*command, "--json"], os.environ))
                film.unlink()
        for minutes in asked.made_up:
            command = [*python, _MADE_UP, str(minutes)]
            note(f"{minutes:g} min of made-up vectors", peak_of(command, os.environ))
        note("6 h video of the index, as new", peak_of([*python, _NEW], os.environ))
    if asked.json:
        asked.json.write_text(
            json.dumps({"idle_mib": round(idle.own_mib), "queries": rows}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
