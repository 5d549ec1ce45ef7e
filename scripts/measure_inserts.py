#!/usr/bin/env python3
"""How well a few copied seconds inside another film are found and placed, on a folder of real videos.

    python -m scripts.measure_inserts FOLDER --data DIR [--seconds 3] [--films 40] [--json FILE]

DIR is an index of FOLDER (`storyhash index FOLDER --data DIR`). For each of the films some seconds from
its middle are cut into the middle of another one; the result is matched. The host is in the index too; it
and its copies (by FOLDER/manifest.csv) are left out. What is asked is whether the insert, or a copy of
it, comes first of all others, is accepted, and where it is said to begin and end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.errors import VideoError
from common.process import work_in_one_thread
from common.settings import Settings, load_settings
from common.types import UInt8Array
from common.video import Decoder, encode_video
from ingest.catalog import read_catalog
from scripts.measure_visual import families
from storyhash.querying import QueryOutcome, run_queries
from storyhash.wiring import open_for_queries

_RATE = 12.0
_SIZE = (480, 360)
_HOST_SECONDS = 12.0
_HOST_DISTANCE = 5


def frames_of(uri: str, seconds: float) -> list[UInt8Array]:
    """Frames of the first `seconds`, 12 a second, squashed to 480 x 360."""
    decoder = Decoder(Path(uri), Settings().video, frames_per_second=_RATE, short_side=360)
    try:
        taken = list(islice(decoder, round(seconds * _RATE)))
    except VideoError:
        return []
    return [cv2.resize(frame.rgb, _SIZE, interpolation=cv2.INTER_AREA) for frame in taken]


def compose(host: list[UInt8Array], copied: list[UInt8Array]) -> list[UInt8Array]:
    """`copied` in the middle of `host`."""
    middle = len(host) // 2
    return [*host[:middle], *copied, *host[middle:]]


def _host(names: list[str], family: set[str], number: int) -> str:
    """A film a few places on that is no relative of the one inserted."""
    later = names[number + _HOST_DISTANCE :] + names[:number]
    return next(name for name in later if name not in family)


def judge(
    outcome: QueryOutcome, hosts: set[str], inserted: set[str], start: float, seconds: float
) -> dict[str, Any]:
    """Whether the insert came first of all but the hosts, was accepted, how far off its place is.

    hosts, inserted: each film with its copies.
    """
    if outcome.report is None:
        raise outcome.error or RuntimeError("no answer")
    judged = zip(outcome.report.matches, outcome.report.decisions, strict=True)
    others = [(match, decision) for match, decision in judged if match.video_id not in hosts]
    row: dict[str, Any] = {"inserted": sorted(inserted), "first": False, "accepted": False}
    if others and others[0][0].video_id in inserted:
        match, decision = others[0]
        row["first"] = True
        row["accepted"] = decision == "copy"
        row["start_error_seconds"] = round(abs(match.query_start_seconds - start), 2)
        row["end_error_seconds"] = round(abs(match.query_end_seconds - start - seconds), 2)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    work_in_one_thread()
    films: dict[str, list[UInt8Array]] = {}
    for listed in read_catalog([str(asked.folder)], "default"):
        frames = frames_of(listed.entry.uri, _HOST_SECONDS)
        if len(frames) >= 2 * asked.seconds * _RATE:
            films[listed.entry.video_id] = frames
    names = list(films)
    related = families(asked.folder, names)
    family = {
        name: {other for other, same in zip(names, row, strict=True) if same}
        for name, row in zip(names, related, strict=True)
    }
    pairs = [(_host(names, family[name], n), name) for n, name in enumerate(names)][: asked.films]
    count = round(asked.seconds * _RATE)
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_for_queries(load_settings(data_dir=asked.data)) as services,
    ):
        paths: list[str] = []
        starts: list[float] = []
        for host, inserted in pairs:
            cut = len(films[inserted]) // 2 - count // 2
            path = Path(scratch) / f"{len(paths)}.mp4"
            whole = compose(films[host], films[inserted][cut : cut + count])
            encode_video(path, whole, _RATE, crf=28)
            paths.append(str(path))
            starts.append((len(films[host]) // 2) / _RATE)
        rows = [
            judge(outcome, family[host], family[inserted], start, asked.seconds)
            for outcome, (host, inserted), start in zip(
                run_queries(services, paths), pairs, starts, strict=True
            )
        ]
    found = [row for row in rows if row["first"]]
    result = {
        "films": len(rows),
        "seconds": asked.seconds,
        "first": round(len(found) / len(rows), 4),
        "accepted": round(sum(row["accepted"] for row in found) / len(rows), 4),
        "median_start_error_seconds": float(
            np.median([row["start_error_seconds"] for row in found])
        ),
        "median_end_error_seconds": float(np.median([row["end_error_seconds"] for row in found])),
    }
    if asked.json is not None:
        asked.json.write_text(json.dumps({"result": result, "rows": rows}, indent=1) + "\n")
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    for row in rows:
        if not row["first"] or not row["accepted"]:
            sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
