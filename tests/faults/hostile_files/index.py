"""Hostile files through `index`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.printable import printable
from tests.faults.harness import Trial
from tests.faults.hostile_files.watched import Folder, check_memory, raw_lines, storyhash

_LINE_LENGTH = 600


def through_index(trial: Trial, folder: Folder, data: Path) -> None:
    """The whole folder in one run, and again: then nothing is done twice."""
    ran = storyhash(trial, len(folder.files), "index", folder.path, "--data", data, "--json")
    trial.figures["index"] = ran.memory.figures
    trial.promise("index ends in order", ran.exit_code not in (0, 1) or "Traceback" in ran.stderr)
    summary = json.loads(ran.stdout) if ran.stdout.strip() else {"failed": []}
    ready = {row["video_id"] for row in _rows(trial, data)}
    told = {one["video_id"]: one["message"] for one in summary["failed"]}
    trial.figures["index"] |= {"ready": len(ready), "told": len(told)}
    passed_over = summary.get("passed_over", [])
    trial.figures["index"]["passed over"] = sum(one["count"] for one in passed_over)
    untold = list(_untold(folder, ready, told, passed_over))
    trial.promise("index: every file has a row or a reason", untold)
    trial.promise("index: what is sound is indexed", list(_wrong(folder, ready, told)))
    trial.promise("index: reasons are one clear line", list(_unclear(told)))
    trial.promise("index: nothing raw reaches a terminal", list(raw_lines(ran.stderr)))
    check_memory(trial, "index", ran.memory)
    trial.say("index once more")
    again = storyhash(trial, len(folder.files), "index", folder.path, "--data", data, "--json")
    trial.promise(
        "index: a second run indexes nothing anew", json.loads(again.stdout)["indexed"] > 0
    )


def _rows(trial: Trial, data: Path) -> list[dict[str, Any]]:
    ran = storyhash(trial, 1, "videos", "list", "--data", data, "--json", "--limit", "10000")
    return [row for row in json.loads(ran.stdout)["items"] if row["state"] == "ready"]


def _untold(
    folder: Folder, ready: set[str], told: dict[str, str], passed_over: list[dict[str, Any]]
) -> Iterator[str]:
    """Files without a row and without a reason. What is passed over is told by number: so many of a
    suffix, so many hidden."""
    counts: Counter[str] = Counter()
    for kind in passed_over:
        counts[kind["what"]] += kind["count"]
    # The folder of the film that no playlist may open.
    counts["hidden"] -= 1
    for path, one in folder.files.items():
        if path.name in ready or path.name in told or printable(path.name) in told:
            continue
        what = "hidden" if path.name.startswith(".") else path.suffix.lower() or "no suffix"
        counts[what] -= 1
        if counts[what] < 0:
            yield f"{one.kind}: {one.what} ({path.name!r})"


def _wrong(folder: Folder, ready: set[str], told: dict[str, str]) -> Iterator[str]:
    for path, one in folder.files.items():
        if one.usable is True and path.name not in ready:
            yield f"not indexed: {one.kind}: {one.what}: {told.get(path.name, 'no word')}"
        if one.usable is False and path.name in ready:
            yield f"indexed: {one.kind}: {one.what}"


def _unclear(told: dict[str, str]) -> Iterator[str]:
    for name, message in told.items():
        lined = bool(message) and len(message) <= _LINE_LENGTH and message.isprintable()
        scratch = "/tmp/" in message and "storyhash-fetch" in message
        if not lined or scratch or "internal error" in message:
            yield f"{name!r}: {message[:200]!r}"
