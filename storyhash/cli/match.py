"""`storyhash match`: has this video, or a part of it, been seen before?"""

from __future__ import annotations

from typing import Annotated

import typer

from common.errors import VideoError
from common.settings import load_settings
from searcher.matching.report import error_to_json, report_to_json
from storyhash.cli.console import check_interrupt, notice, out, print_json, progress
from storyhash.cli.options import DataOption, JsonOption
from storyhash.querying import QueryOutcome, list_queries, run_queries
from storyhash.wiring import QueryServices, open_for_queries

VideosArgument = Annotated[
    list[str], typer.Argument(metavar="VIDEO...", help="Files, folders or http(s) URIs.")
]
# Candidates that are no match are worth a line each only up to here.
_SHOWN = 3


def match(videos: VideosArgument, data: DataOption = None, json: JsonOption = False) -> None:
    """Match videos against the index; one answer for each, in the order given.

    Exit code 1 when a video could not be read; the others are still answered.
    """
    uris = list_queries(videos)
    failed = False
    with open_for_queries(load_settings(data_dir=data)) as services, progress() as bar:
        for message in services.index.notices:
            notice(message)
        task = bar.add_task("matching", total=len(uris))
        for outcome in run_queries(services, uris):
            check_interrupt()
            bar.advance(task)
            failed |= outcome.error is not None
            if json:
                print_json(to_json(outcome, services))
            else:
                _show(outcome)
    if failed:
        raise typer.Exit(1)


def to_json(outcome: QueryOutcome, services: QueryServices) -> dict[str, object]:
    """One line of `match --json`."""
    if outcome.report is None:
        return error_to_json(outcome.uri, outcome.error or VideoError("no answer"))

    def uri_of(video_id: str) -> str:
        video = services.index.videos.get(video_id)
        return "" if video is None else video.uri

    return report_to_json(outcome.report, uri_of)


def _show(outcome: QueryOutcome) -> None:
    report = outcome.report
    if report is None:
        out.print(f"{outcome.uri}: cannot be matched: {outcome.error}", style="red", markup=False)
        return
    out.print(f"{outcome.uri}: {report.decision}", style="bold", markup=False)
    if report.reason:
        out.print(f"    {report.reason}", markup=False)
    shown = zip(report.matches, report.decisions, strict=True)
    for number, (found, decision) in enumerate(shown):
        if decision == "no_match" and number >= _SHOWN:
            break
        out.print(
            f"    {decision:8} {found.probability:6.1%}  {found.video_id}"
            f"  {_span(found.query_start_seconds, found.query_end_seconds)} is "
            f"{_span(found.ref_start_seconds, found.ref_end_seconds)} of it"
            + ("" if found.view == "identity" else f", {found.view}"),
            markup=False,
        )


def _span(start: float, end: float) -> str:
    return f"{start:.1f}-{end:.1f} s"
