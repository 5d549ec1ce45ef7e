"""`storyhash evaluate`: measures how well copies are found among the user's own videos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from common.errors import UsageError
from evaluation.calibration.folds import check_calibrations, write_calibrations
from evaluation.calibration.judged import DEFAULT_SHARE
from evaluation.experiment import commands as runs
from evaluation.measures.summary import Summary, summarise
from evaluation.methods.configurations import chosen_configurations
from evaluation.report import tables
from evaluation.report.report import (
    GROUPS,
    Report,
    ablation_report,
    group_tables,
    robustness_report,
)
from evaluation.report.small_tables import before_and_after
from evaluation.report.summary_json import summaries_to_json, summary_to_json
from evaluation.report.table import Table
from storyhash.cli.evaluate.gate import gate
from storyhash.cli.evaluate.latency import latency
from storyhash.cli.evaluate.options import (
    OUT,
    BaselinesOption,
    ConfigurationsOption,
    CrossValidateOption,
    DistractorPicturesOption,
    DistractorsOption,
    EvaluationCommand,
    OptionalEvaluationCommand,
    OutOption,
    VerdictShareOption,
    VerdictsOption,
)
from storyhash.cli.evaluate.progress import evaluating
from storyhash.cli.shared.console import notice, out, print_json
from storyhash.cli.shared.options import JsonOption
from storyhash.judged_pairs import judged_pairs

app = typer.Typer(
    help="Measure on your own videos how well copies are found.", no_args_is_help=True
)
app.command()(latency)


@app.command(cls=EvaluationCommand)
def robustness(
    context: typer.Context,
    *,
    cross_validate: CrossValidateOption = False,
    baselines: BaselinesOption = True,
    distractors: DistractorsOption = None,
    distractor_pictures: DistractorPicturesOption = None,
    output: OutOption = OUT,
    json: JsonOption = False,
) -> None:
    """Edit the videos in many ways, and match every edited video.

    The results say how often the original is found and how often another video is reported.

    After an interruption, run the same command again: it resumes.
    """
    output.mkdir(parents=True, exist_ok=True)
    with evaluating(context.obj) as evaluation:
        results = [
            runs.robustness(
                evaluation,
                run,
                output,
                cross_validate=cross_validate,
                baselines=baselines,
                distractors=[count for count in distractors or () if count],
                pictures=distractor_pictures,
            )
            for run in evaluation.backends
        ]
    rows = [row for result in results for row in result.rows]
    report = robustness_report(rows, {run.backend.profile: run.path for run in results}, output)
    printed = group_tables(rows).values()
    _print_results(results, report, summarise(rows, ("group",)), printed, output, json)


@app.command(cls=EvaluationCommand)
def ablation(
    context: typer.Context,
    *,
    configurations: ConfigurationsOption = None,
    output: OutOption = OUT,
    json: JsonOption = False,
) -> None:
    """Measure what each part of the method contributes.

    The same queries are matched with parts of the method removed or replaced.

    Every configuration gets its own calibrations in 5-fold cross-validation: they are fitted on four
    folds of the videos and applied to the fifth.
    """
    chosen = chosen_configurations(configurations or ())
    output.mkdir(parents=True, exist_ok=True)
    with evaluating(context.obj) as evaluation:
        results = [
            runs.ablation(evaluation, run, output, chosen, notice) for run in evaluation.backends
        ]
    rows = [row for result in results for row in result.rows]
    report = ablation_report(
        rows,
        {run.backend.profile: run.path for run in results},
        output,
        results[0].about["action_energy"],
    )
    summaries = summarise(rows, ("group",))
    printed = [tables.per_configuration(summaries, GROUPS)]
    _print_results(results, report, summaries, printed, output, json)


@app.command(cls=EvaluationCommand)
def calibrate(
    context: typer.Context,
    *,
    file: Annotated[
        Path,
        typer.Option(
            "--out",
            help="JSON file to write. Calibrations of other visual backends in it are kept.",
        ),
    ],
    verdicts: VerdictsOption = None,
    verdict_share: VerdictShareOption = DEFAULT_SHARE,
    json: JsonOption = False,
) -> None:
    """Fit the constants that turn a score into a probability.

    These constants are the calibration. They are fitted to edited copies of the videos, and with
    --verdicts also to verdicts.

    The printed figures come from cross-validation: every video was left out of the fit that it was
    measured with.
    """
    check_calibrations(file)
    today = f"{datetime.now(UTC):%Y%m%d}"
    with evaluating(context.obj) as evaluation:
        visuals = [run.visual for run in evaluation.backends]
        if len(set(visuals)) < len(visuals):
            raise UsageError(
                "--profile: two profiles have the same visual backend, which has one "
                "calibration; name only one of them"
            )
        judged = {} if verdicts is None else judged_pairs(verdicts, visuals, verdict_share)
        for visual, pairs in judged.items():
            notice(f"{visual}: {len(pairs)} matches with a verdict are extra pairs")
        fitted = [
            runs.calibrate(evaluation, run, today, judged.get(run.visual))
            for run in evaluation.backends
        ]
    write_calibrations(file, {run.backend.visual: run.calibration for run in fitted})
    if json:
        print_json({"out": str(file), "calibrations": [_fit_to_json(run) for run in fitted]})
        return
    for run in fitted:
        table = before_and_after(
            summarise(run.before)[0], summarise(run.after)[0], tables.DECISIONS
        )
        out.print_lines(f"{run.backend.visual}: {run.calibration.version}\n", markup=False)
        out.print_lines(table.to_markdown() + "\n", markup=False)
    out.print(f"to use it: export STORYHASH_MATCHING__CALIBRATION={file.absolute()}", markup=False)


app.command(cls=OptionalEvaluationCommand)(gate)


def _print_results(
    results: Sequence[runs.Result],
    report: Report,
    summaries: Sequence[Summary],
    printed: Iterable[Table],
    folder: Path,
    json: bool,
) -> None:
    for message in report.notices:
        notice(message)
    if json:
        print_json(
            {
                "out": str(folder),
                "runs": [result.about for result in results],
                "groups": summaries_to_json(summaries),
                "written": [str(path) for path in report.written],
            }
        )
        return
    for table in printed:
        out.print_lines(table.to_markdown() + "\n", markup=False)
    out.print(f"results, tables and figures are in {folder}", markup=False)


def _fit_to_json(fitted: runs.FittedCalibration) -> dict[str, Any]:
    return {
        "visual": fitted.backend.visual,
        "version": fitted.calibration.version,
        "before": summary_to_json(summarise(fitted.before)[0]),
        "cross_validated": summary_to_json(summarise(fitted.after)[0]),
    }
