"""Output of a running evaluation: missing features, progress, and what is kept after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from evaluation.experiment.experiment import Advance, Evaluation, count_edits
from storyhash.cli.shared.console import check_interrupt, err, notice
from storyhash.cli.shared.progress import progress
from storyhash.evaluation_setup import EvaluationOptions, open_evaluation


@contextmanager
def evaluating(options: EvaluationOptions) -> Iterator[Evaluation]:
    """An evaluation with all features extracted and with a progress display."""
    with progress() as bar:

        def watch(description: str, steps: int) -> Advance:
            task = bar.task(description, steps, unit="steps")

            def advance(done: int) -> None:
                check_interrupt()
                task.advance(done)

            return advance

        evaluation = open_evaluation(options, watch)
        for backend in evaluation.backends:
            if not backend.calibration.measured:
                notice(
                    f"{backend.profile}: calibration {backend.calibration.version} was not "
                    "measured: only the order of copies and non-matches is meaningful, not "
                    "the decisions"
                )
        try:
            _extract(evaluation)
            yield evaluation
        except KeyboardInterrupt:
            err.print(
                "stopped; run the same command again to resume: completed work is kept",
                markup=False,
            )
            raise


def _extract(evaluation: Evaluation) -> None:
    jobs = evaluation.missing()
    missing = count_edits(jobs)
    total = len(evaluation.plan.required_features())
    profiles = ", ".join(backend.profile for backend in evaluation.backends)
    videos = len(evaluation.plan.videos) + len(evaluation.plan.lookalikes)
    err.print(
        f"{profiles}: {videos} videos, {total - videos} edited videos; {total - missing} in the "
        f"cache, {missing} to extract",
        markup=False,
    )
    evaluation.extract(jobs)
