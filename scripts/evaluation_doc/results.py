"""Reads the results for the document from one folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError
from evaluation.data.record_io import read_rows
from evaluation.experiment.regression_baseline import full_configuration_rows
from evaluation.measures.second_opinion import with_second_opinion
from evaluation.records import QueryRow
from evaluation.report.report import without_baselines
from scripts import figures
from scripts.document import END, begin
from storyhash.profiles import PROFILES

FIRST = ("sscd-motion", "offline")
"""The profiles that need no download."""
ORDER = (*FIRST, *(name for name in PROFILES if name not in FIRST))


@dataclass(frozen=True, slots=True)
class Results:
    """Rows and how they were made, by profile. hard: rows of the hard transforms, from the folder `hard`
    in it. latency: JSON of `storyhash evaluate latency`. distractors: rows of the shipped configuration
    without and with distractors, of the profiles that have such rows. pictures: the same with films over
    still pictures as distractors, from the folder `pictures` in it."""

    folder: Path
    robustness: Mapping[str, Sequence[QueryRow]]
    ablation: Mapping[str, Sequence[QueryRow]]
    about: Mapping[str, Mapping[str, Any]]
    about_ablation: Mapping[str, Mapping[str, Any]]
    latency: Mapping[str, Mapping[str, Any]]
    hard: Mapping[str, Sequence[QueryRow]]
    distractors: Mapping[str, Sequence[QueryRow]]
    pictures: Mapping[str, Sequence[QueryRow]]

    @property
    def full(self) -> dict[str, list[QueryRow]]:
        """The rows of the shipped configuration."""
        return {profile: full_configuration_rows(rows) for profile, rows in self.robustness.items()}

    @property
    def answers(self) -> dict[str, Sequence[QueryRow]]:
        """`full`, and before it the rows of a new data folder of the first profile, which asks the second
        one too, if both have rows."""
        full = self.full
        if not set(FIRST) <= full.keys():
            return dict(full)
        together = [both for *_, both in with_second_opinion(*(full[name] for name in FIRST))]
        return {together[0].profile: together, **full} if together else dict(full)

    def block(self, name: str, document: str) -> str:
        """A block of `scripts.figures`, from its results or else from the present document; empty without
        either."""

        def load(file_name: str) -> Any:
            return json.loads((self.folder / f"{file_name}.json").read_text(encoding="utf-8"))

        start = begin(f"figures: {name}")
        try:
            text = figures.BLOCKS[name](load) + "\n"
        except FileNotFoundError:
            if start not in document:
                return ""
            text = document.split(start, 1)[1].split(END, 1)[0]
        return f"{start}{text}{END}"


def read_results(folder: Path) -> Results:
    """Read all results. Raises UsageError without a robustness run, or if a file of a run is missing."""
    robustness = dict(_each(folder, "rows-{}.jsonl", read_rows))
    if not robustness:
        raise UsageError(
            f"{folder}: no rows-PROFILE.jsonl; make them with `storyhash evaluate robustness`"
        )
    ablation = dict(_each(folder, "ablation-{}.jsonl", read_rows))
    runs = dict(_each(folder, "robustness-{}.json", _json))
    about_ablation = dict(_each(folder, "ablation-{}.json", _json))
    for rows, written, name in (
        (robustness, runs, "robustness"),
        (ablation, about_ablation, "ablation"),
    ):
        lacking = [profile for profile in rows if profile not in written]
        if lacking:
            raise UsageError(
                f"{folder}: {name}-{lacking[0]}.json is missing; `storyhash evaluate` writes it beside "
                "the rows"
            )
    latency = dict(_each(folder, "latency-{}.json", _json))
    hard = dict(_each(folder / "hard", "rows-{}.jsonl", read_rows))
    pictures = _with_distractors(dict(_each(folder / "pictures", "rows-{}.jsonl", read_rows)))
    distractors = _with_distractors(robustness)
    robustness = {
        profile: [row for row in rows if not row.distractors]
        for profile, rows in robustness.items()
    }
    return Results(
        *(folder, robustness, ablation, runs, about_ablation, latency, hard, distractors, pictures)
    )


def _with_distractors(
    robustness: Mapping[str, Sequence[QueryRow]],
) -> dict[str, Sequence[QueryRow]]:
    """The rows without baselines, of the profiles that have some with distractors."""
    return {
        profile: without_baselines(rows)
        for profile, rows in robustness.items()
        if any(row.distractors for row in rows)
    }


def _each(folder: Path, name: str, read: Callable[[Path], Any]) -> Iterator[tuple[str, Any]]:
    for profile in ORDER:
        path = folder / name.format(profile)
        if path.is_file():
            yield profile, read(path)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
