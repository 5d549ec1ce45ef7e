"""`storyhash evaluate latency`: measures the time of a query, stage by stage."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from common.atomic_write import replacing
from common.errors import UsageError
from common.runtime_tuning import usable_cores
from common.settings import Settings
from embedder.query.session import QuerySession
from evaluation.experiment.latency import CASES, Latency, TimedCase
from evaluation.report.small_tables import stage_times
from ingest.query_decoder import QueryDecoder
from searcher.matching.cascade import Compare
from searcher.matching.scoring.policy import Policies
from searcher.transform.finder import TransformFinder
from searcher.transform.pictures import References
from storyhash.cli.evaluate.options import OUT, OutOption, ProfilesOption
from storyhash.cli.shared.console import check_interrupt, out, print_json
from storyhash.cli.shared.options import JsonOption
from storyhash.cli.shared.progress import progress
from storyhash.evaluation_setup import calibration_of, drawn_film, profile_settings
from storyhash.profiles import build_stage, resolve_profile
from storyhash.query.pictures import ClipPictures, PictureReader

_DRAWN_SECONDS = 60.0


def latency(
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            "--videos",
            metavar="FILE",
            help="Query video; repeat for more (default: a generated video of 60 s).",
        ),
    ] = None,
    profile: ProfilesOption = None,
    vectors: Annotated[
        int, typer.Option("--vectors", min=1, help="Number of segments in the index.")
    ] = 10_000,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Number of runs; the median is reported.")
    ] = 3,
    output: OutOption = OUT,
    json: JsonOption = False,
) -> None:
    """Measure how long a query takes, stage by stage.

    There are three cases: the query is decided after the first pass, after the second pass, and with
    --thorough. The steps of a pass overlap each other and decoding, so they may add up to more than the
    total.

    Also writes latency-PROFILE.json to the --out folder.
    """
    missing = [path for path in videos or [] if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: no such file")
    output.mkdir(parents=True, exist_ok=True)
    reports = []
    with _queries(videos) as queries:
        for settings in profile_settings(profile or ()):
            seconds, timed, model_id = _measure(settings, queries, vectors, runs)
            profile_report = {
                "profile": settings.profile,
                "model_id": model_id,
                "query_seconds": round(seconds, 1),
                "drawn": videos is None,
                "vectors": vectors,
                "runs": runs,
                "cores": usable_cores(),
                "cases": [case.to_json() for case in timed],
            }
            _write(output / f"latency-{settings.profile}.json", profile_report)
            reports.append(profile_report)
            if not json:
                out.print_lines(
                    f"{settings.profile}, a query of {seconds:.1f} s, {vectors:,} segments:\n",
                    markup=False,
                )
                table = stage_times({case.case: case.stages for case in timed})
                out.print_lines(table.to_markdown() + "\n", markup=False)
    if json:
        print_json({"items": reports, "next_cursor": None})


@contextmanager
def _queries(videos: Sequence[Path] | None) -> Iterator[Sequence[Path]]:
    if videos:
        yield [path.absolute() for path in videos]
        return
    with drawn_film(_DRAWN_SECONDS) as path:
        yield [path]


def _measure(
    settings: Settings, queries: Sequence[Path], vectors: int, runs: int
) -> tuple[float, list[TimedCase], str]:
    stage = build_stage(resolve_profile(settings), settings)
    with (
        QueryDecoder(settings.video, settings.ingest) as decoder,
        PictureReader(settings.video) as reader,
        progress() as bar,
    ):
        finder = TransformFinder(reader, settings.matching.transform_seconds)

        def compare_with(
            session: QuerySession, references: References, policies: Policies
        ) -> Compare:
            pictures = ClipPictures(reader, session.segments)
            return lambda report: finder.add_to(report, pictures, references, policies)

        task = bar.task(settings.profile, len(CASES) * len(queries) * (runs + 1), unit="queries")

        def advance(done: int) -> None:
            check_interrupt()
            task.advance(done)

        calibration = calibration_of(stage, settings)
        measured = Latency(stage, calibration, decoder, vectors, compare_with)
        try:
            seconds, timed = measured.measure(queries, runs, advance)
        finally:
            measured.close()
    return seconds, timed, stage.model_id


def _write(path: Path, profile_report: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json_text.dumps(profile_report, indent=1) + "\n", encoding="utf-8")
