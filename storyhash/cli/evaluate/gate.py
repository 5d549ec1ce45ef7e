"""`storyhash evaluate gate`: checks whether a change made matching worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError
from evaluation.data.record_io import read_rows
from evaluation.experiment import commands as runs
from evaluation.experiment.regression_baseline import baseline_queries, full_configuration_rows
from evaluation.experiment.regression_gate import compare
from evaluation.records import QueryRow
from storyhash.cli.evaluate.options import OUT, CrossValidateOption, OutOption
from storyhash.cli.evaluate.progress import evaluating
from storyhash.cli.shared.console import out, print_json
from storyhash.cli.shared.options import JsonOption
from storyhash.evaluation_setup import EvaluationOptions


def gate(
    context: typer.Context,
    *,
    baseline: Annotated[
        Path, typer.Option("--baseline", help="Results of an earlier run: rows-PROFILE.jsonl.")
    ],
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            help="Results to compare with the baseline (default: run the evaluation on --videos).",
        ),
    ] = None,
    cross_validate: CrossValidateOption = False,
    output: OutOption = OUT,
    json: JsonOption = False,
) -> None:
    """Compare a run with an earlier run.

    Exit code 1 when recall or the false-positive rate got significantly worse.

    With --videos, the queries and the profile are those of the baseline unless options say otherwise.
    """
    options: EvaluationOptions = context.obj
    if (rows is None) == (options.videos is None):
        raise UsageError("give either --rows or --videos: one run to compare with the baseline")
    before = full_configuration_rows(read_rows(baseline))
    if not before:
        raise UsageError(
            f"{baseline}: no results to compare with; create them with `storyhash evaluate "
            "robustness`"
        )
    if rows is None:
        after = _again(options, before, output, cross_validate=cross_validate)
    else:
        after = full_configuration_rows(read_rows(rows))
    report = compare(before, after)
    if json:
        print_json(report.to_json())
    else:
        out.print_lines(report.to_markdown(), markup=False)
    if report.worse:
        raise typer.Exit(1)


def _again(
    options: EvaluationOptions, before: Sequence[QueryRow], output: Path, *, cross_validate: bool
) -> list[QueryRow]:
    """Match the queries of an earlier run again."""
    before_run = baseline_queries(before)
    every = None if options.transforms else before_run.per_transform
    options = replace(
        options,
        profiles=options.profiles or [before_run.profile],
        transforms=options.transforms or before_run.transforms,
        per_transform=options.per_transform or every,
    )
    output.mkdir(parents=True, exist_ok=True)
    with evaluating(options) as evaluation:
        result = runs.robustness(
            evaluation,
            evaluation.backends[0],
            output,
            cross_validate=cross_validate,
            baselines=False,
        )
    return list(result.rows)
