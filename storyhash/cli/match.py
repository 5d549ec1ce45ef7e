"""`storyhash match`: has this video, or a part of it, been seen before?"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from common.settings import load_settings
from storyhash.cli.console import err, out, print_json, progress
from storyhash.cli.options import DataOption, JsonOption
from storyhash.matching import QueryOutcome, Querier
from storyhash.wiring import open_for_queries

VideosArgument = Annotated[
    list[str], typer.Argument(metavar="VIDEO...", help="Files, folders or http(s) URIs.")
]


def match(videos: VideosArgument, data: DataOption = None, json: JsonOption = False) -> None:
    """Match videos against the index; one answer for each, in the order given.

    Exit code 1 when a video could not be read; the others are still answered.
    """
    failed = False
    with open_for_queries(load_settings(data_dir=data)) as services, progress() as bar:
        querier = Querier(services)
        entries = querier.entries(videos)
        task = bar.add_task("matching", total=len(entries))
        for outcome in querier.run(entries):
            bar.advance(task)
            failed |= outcome.error is not None
            if json:
                print_json(outcome.to_json())
            else:
                _show(outcome)
    if failed:
        raise typer.Exit(1)
