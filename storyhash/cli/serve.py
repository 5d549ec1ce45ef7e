"""`storyhash serve`: everything in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.logs import start_logging
from common.settings import load_settings
from storyhash.cli.options import DataOption, ProfileOption

WatchOption = Annotated[
    Path | None,
    typer.Option("--watch", help="A folder whose videos are indexed as they appear in it."),
]


def serve(
    watch: WatchOption = None, data: DataOption = None, profile: ProfileOption = None
) -> None:
    """Answer over HTTP, and index what is posted or appears in a folder: everything in one process, no
    Kafka.

    Ends in an orderly way on SIGTERM or Ctrl-C; what is not indexed by then is when it is started again.
    """
    from storyhash.services.shutdown import asked_to_stop
    from storyhash.services.single_process import run_serve

    start_logging()
    settings = load_settings(data_dir=data, profile=profile)
    with asked_to_stop() as stopping:
        run_serve(settings, watch, stopping)
