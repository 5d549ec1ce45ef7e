"""`storyhash evaluate`: how well copies are found, on the user's own videos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from common.errors import UsageError
from evaluation import runs, tables
from evaluation.baseline import of_full, queries_of
from evaluation.calibrating import check_calibrations, write_calibrations
from evaluation.configurations import chosen_configurations
from evaluation.gate import compare
from evaluation.layout import Table
from evaluation.measures.summary import Summary, summarise
from evaluation.report import (
    GROUPS,
    Report,
    ablation_report,
    group_tables,
    robustness_report,
)
from evaluation.results import summaries_to_json, summary_to_json
from evaluation.row_files import read_rows
from evaluation.small_tables import before_and_after
from storyhash.cli.console import notice, out, print_json
from storyhash.cli.evaluate_options import (
    OUT,
    CacheOption,
    ConfigurationsOption,
    CrossValidateOption,
    DavisOption,
    FamiliesOption,
    OutOption,
    PeersOption,
    PerTransformOption,
    ProfilesOption,
    SplitOption,
    TransformsOption,
    VideosOption,
    WorkersOption,
)
from storyhash.cli.evaluate_progress import evaluating
from storyhash.cli.latency import latency
from storyhash.cli.options import JsonOption
from storyhash.evaluating import Asked

app = typer.Typer(
    help="How well copies are found and strangers left alone, on videos of your own.",
    no_args_is_help=True,
)
app.command()(latency)


@app.command()
def robustness(
    videos: VideosOption,
    davis: DavisOption = False,
    split: SplitOption = None,
    families: FamiliesOption = None,
    profile: ProfilesOption = None,
    transforms: TransformsOption = None,
    per_transform: PerTransformOption = None,
    cross_validate: CrossValidateOption = False,
    peers: PeersOption = True,
    cache: CacheOption = None,
    output: OutOption = OUT,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Edit the videos in many ways and ask for each: are originals found, and strangers left alone?

    Run it again after an interruption: what is done is kept.
    """
    asked = Asked(
        videos,
        davis,
        split,
        families,
        profile or (),
        transforms or (),
        per_transform,
        cache,
        workers,
    )

    with evaluating(asked) as evaluation:
        results = [
            runs.robustness(evaluation, one, output, cross_validate=cross_validate, peers=peers)
            for one in evaluation.backends
        ]
    rows = [row for result in results for row in result.rows]
    report = robustness_report(rows, {one.backend.profile: one.path for one in results}, output)
    shown = group_tables(rows).values()
    _tell(results, report, summarise(rows, ("group",)), shown, output, json)


@app.command()
def ablation(
    videos: VideosOption,
    davis: DavisOption = False,
    split: SplitOption = None,
    families: FamiliesOption = None,
    profile: ProfilesOption = None,
    transforms: TransformsOption = None,
    per_transform: PerTransformOption = None,
    configurations: ConfigurationsOption = None,
    cache: CacheOption = None,
    output: OutOption = OUT,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the same queries with parts of the method left out or replaced: what does each part do?

    Every configuration has calibrations of its own, fitted on four fifths of the videos and asked of the
    last, five times over.
    """
    chosen = chosen_configurations(configurations or ())
    asked = Asked(
        videos,
        davis,
        split,
        families,
        profile or (),
        transforms or (),
        per_transform,
        cache,
        workers,
    )
    with evaluating(asked) as evaluation:
        results = [
            runs.ablation(evaluation, one, output, chosen, notice) for one in evaluation.backends
        ]
    rows = [row for result in results for row in result.rows]
    report = ablation_report(
        rows,
        {one.backend.profile: one.path for one in results},
        output,
        results[0].about["action_energy"],
    )
    summaries = summarise(rows, ("group",))
    shown = [tables.per_configuration(summaries, GROUPS)]
    _tell(results, report, summaries, shown, output, json)


@app.command()
def calibrate(
    videos: VideosOption,
    file: Annotated[
        Path, typer.Option("--out", help="The JSON file; other backends' calibrations in it stay.")
    ],
    davis: DavisOption = False,
    split: SplitOption = None,
    families: FamiliesOption = None,
    profile: ProfilesOption = None,
    transforms: TransformsOption = None,
    per_transform: PerTransformOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Fit the calibration to the videos, so that a probability of 0.9 is right nine times in ten on them.

    What is printed of it was measured on videos that it was not fitted on.
    """
    check_calibrations(file)
    asked = Asked(
        videos,
        davis,
        split,
        families,
        profile or (),
        transforms or (),
        per_transform,
        cache,
        workers,
    )
    today = f"{datetime.now(UTC):%Y%m%d}"
    with evaluating(asked) as evaluation:
        visuals = [one.visual for one in evaluation.backends]
        if len(set(visuals)) < len(visuals):
            raise UsageError(
                "--profile: a visual backend has one calibration; name one profile of each"
            )
        fitted = [runs.calibrate(evaluation, one, today) for one in evaluation.backends]
    write_calibrations(file, {one.backend.visual: one.calibration for one in fitted})
    if json:
        print_json({"out": str(file), "calibrations": [_fit_to_json(one) for one in fitted]})
        return
    for one in fitted:
        table = before_and_after(
            summarise(one.before)[0], summarise(one.after)[0], tables.DECISIONS
        )
        out.print(f"{one.backend.visual}: {one.calibration.version}\n", markup=False)
        out.print(table.to_markdown() + "\n", markup=False)
    out.print(f"to use it: export STORYHASH_MATCHING__CALIBRATION={file.absolute()}", markup=False)


@app.command()
def gate(
    baseline: Annotated[
        Path, typer.Option("--baseline", help="Rows of an earlier run: rows-PROFILE.jsonl.")
    ],
    rows: Annotated[
        Path | None,
        typer.Option("--rows", help="Rows of the run to judge, if it was made already."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option("--videos", help="Or the folder to run on now.")
    ] = None,
    davis: DavisOption = False,
    split: SplitOption = None,
    families: FamiliesOption = None,
    profile: ProfilesOption = None,
    transforms: TransformsOption = None,
    per_transform: PerTransformOption = None,
    cross_validate: CrossValidateOption = False,
    cache: CacheOption = None,
    output: OutOption = OUT,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Compare a run with an earlier one.

    Exit code 1 when recall or false positives got worse beyond chance.

    With --videos it asks what the baseline asked, with its profile, unless told otherwise.
    """
    if (rows is None) == (videos is None):
        raise UsageError("give --rows or --videos: one run to compare with the baseline")
    before = of_full(read_rows(baseline))
    if not before:
        raise UsageError(f"{baseline}: no rows to compare with; make it with `evaluate robustness`")
    if rows is not None:
        after = of_full(read_rows(rows))
    else:
        known = queries_of(before)
        asked = Asked(
            videos or Path(),
            davis,
            split,
            families,
            profile or [known.profile],
            transforms or known.transforms,
            per_transform or (None if transforms else known.per_transform),
            cache,
            workers,
        )
        with evaluating(asked) as evaluation:
            (backend,) = evaluation.backends[:1]
            result = runs.robustness(
                evaluation, backend, output, cross_validate=cross_validate, peers=False
            )
        after = list(result.rows)
    report = compare(before, after)
    if json:
        print_json(report.to_json())
    else:
        out.print(report.to_markdown(), markup=False)
    if report.worse:
        raise typer.Exit(1)


def _tell(
    results: Sequence[runs.Result],
    report: Report,
    summaries: Sequence[Summary],
    shown: Iterable[Table],
    folder: Path,
    json: bool,
) -> None:
    for message in report.notices:
        notice(message)
    if json:
        print_json(
            {
                "out": str(folder),
                "runs": [one.about for one in results],
                "groups": summaries_to_json(summaries),
                "written": [str(path) for path in report.written],
            }
        )
        return
    for table in shown:
        out.print(table.to_markdown() + "\n", markup=False)
    out.print(f"rows, tables and figures are in {folder}", markup=False)


def _fit_to_json(fitted: runs.Fitted) -> dict[str, Any]:
    return {
        "visual": fitted.backend.visual,
        "version": fitted.calibration.version,
        "before": summary_to_json(summarise(fitted.before)[0]),
        "cross_validated": summary_to_json(summarise(fitted.after)[0]),
    }
