#!/usr/bin/env python3
"""How a real catalogue with known duplicates fares: index it, match every video against it.

    python scripts/measure_duplicates.py FOLDER [--profile P] [--data DIR] [--json FILE]

FOLDER holds videos and a `manifest.csv` with the columns `file` (relative path), `posgroup` (videos
of one non-empty group are copies of one another) and `hardneg` (videos of one group look alike and
are not copies). Every video is matched; what it finds of itself is left out. Printed for every
copy: the rank of the first member of its family, its probability, and the best stranger's.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def storyhash(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does; 1 means some video was refused."""
    run = subprocess.run(
        [sys.executable, "-m", "storyhash", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode not in (0, 1):
        sys.exit(run.returncode)
    return run


def judge(video: dict[str, str], report: dict[str, Any], group: dict[str, str]) -> dict[str, Any]:
    """One query's outcome: where its family ranks, and how near the best stranger comes."""
    others = [match for match in report["matches"] if match["video_id"] != video["file"]]
    best: dict[str, dict[str, Any]] = {}
    for match in others:
        best.setdefault(match["video_id"], match)
    ranked = list(best.values())
    family = video["posgroup"]

    def is_family(match: dict[str, Any]) -> bool:
        return bool(family) and group.get(match["video_id"]) == family

    ranks = [rank for rank, match in enumerate(ranked, 1) if is_family(match)]
    strangers = [match for match in ranked if not is_family(match)]
    first = ranked[ranks[0] - 1] if ranks else None
    return {
        "file": video["file"],
        "posgroup": family,
        "family_rank": ranks[0] if ranks else None,
        "family_decision": first["decision"] if first else None,
        "family_probability": first["probability"] if first else None,
        "family_view": first["view"] if first else None,
        "stranger": strangers[0]["video_id"] if strangers else None,
        "stranger_decision": strangers[0]["decision"] if strangers else "no_match",
        "stranger_probability": strangers[0]["probability"] if strangers else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with (options.folder / "manifest.csv").open(newline="") as file:
        videos = [row for row in csv.DictReader(file) if row["kind"] != "odd"]
    with tempfile.TemporaryDirectory() as scratch:
        data = str(options.data or Path(scratch) / "data")
        manifest = Path(scratch) / "manifest.jsonl"
        manifest.write_text(
            "".join(
                json.dumps(
                    {"video_id": v["file"], "uri": str((options.folder / v["file"]).resolve())}
                )
                + "\n"
                for v in videos
            )
        )
        profile = ["--profile", options.profile] if options.profile else []
        summary = json.loads(
            storyhash("index", str(manifest), "--data", data, *profile, "--json").stdout
        )
        uris = [str((options.folder / v["file"]).resolve()) for v in videos]
        lines = storyhash("match", *uris, "--data", data, "--json").stdout.splitlines()
    group = {v["file"]: v["posgroup"] for v in videos if v["posgroup"]}
    size = {family: list(group.values()).count(family) for family in group.values()}
    rows = [judge(v, json.loads(line), group) for v, line in zip(videos, lines, strict=True)]
    copies = [row for row in rows if size.get(row["posgroup"], 0) > 1]
    alike = {v["file"] for v in videos if v["hardneg"]}
    for row in copies:
        print(
            f"{row['file']:44} family rank {row['family_rank']} {row['family_decision']} "
            f"p={row['family_probability']} {row['family_view']}; "
            f"stranger {row['stranger']} p={row['stranger_probability']}"
        )
    accepted = [row for row in rows if row["stranger_decision"] == "copy"]
    result = {
        "profile": summary["profile"],
        "model_id": summary["model_id"],
        "realtime_factor": summary["realtime_factor"],
        "stage_seconds": summary["stage_seconds"],
        "copies": len(copies),
        "family_first": sum(row["family_rank"] == 1 for row in copies),
        "family_accepted": sum(row["family_decision"] == "copy" for row in copies),
        "queries": len(rows),
        "look_alikes": len(alike),
        "look_alikes_accepted": sum(row["file"] in alike for row in accepted),
        "strangers_accepted": [(row["file"], row["stranger"]) for row in accepted],
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"result": result, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
