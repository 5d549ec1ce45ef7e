"""Hostile files through `match`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.harness import Trial
from tests.faults.hostile_files.watched import Folder, check_memory, raw_lines, storyhash
from tests.faults.memory import MemoryWatch

_MATCHED_AT_ONCE = 20


def through_match(trial: Trial, folder: Folder, data: Path) -> None:
    """Every file asked about, some at a time."""
    # Absolute, so that no name is taken for an option.
    paths = sorted(folder.files)
    wrong: list[str] = []
    raw: list[str] = []
    worst = MemoryWatch(0)
    decisions: dict[str, int] = {}
    for start in range(0, len(paths), _MATCHED_AT_ONCE):
        part = paths[start : start + _MATCHED_AT_ONCE]
        ran = storyhash(trial, len(part), "match", *part, "--data", data, "--json")
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        if ran.exit_code not in (0, 1) or "Traceback" in ran.stderr or len(lines) != len(part):
            wrong.append(
                f"{len(lines)} of {len(part)} answers, exit {ran.exit_code}: {ran.stderr[-300:]}"
            )
        for path, line in zip(part, lines, strict=False):
            one = folder.files[path]
            answer = line.get("decision") or line["error"]["code"]
            decisions[answer] = decisions.get(answer, 0) + 1
            if "error" in line and one.usable is True:
                wrong.append(f"{one.kind}: {one.what}: {line['error']['message']}")
        raw += raw_lines(ran.stderr)
        worst = _worse(worst, ran.memory)
    trial.figures["match"] = {**worst.figures, "answers": decisions}
    trial.promise("match: one answer a file, sound ones are read", wrong)
    trial.promise("match: nothing raw reaches a terminal", raw)
    check_memory(trial, "match", worst)


def _worse(one: MemoryWatch, other: MemoryWatch) -> MemoryWatch:
    return MemoryWatch(
        0,
        max(one.process_mib, other.process_mib),
        max(one.child_mib, other.child_mib),
        max(one.together_mib, other.together_mib),
    )
