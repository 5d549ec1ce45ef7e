"""`storyhash serve`: runs the complete service in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.logs import start_logging
from common.settings import load_settings
from common.tracing import start_tracing
from ingest.exclusion import Exclusion
from storyhash.cli.shared.options import (
    DataOption,
    ExcludeOption,
    ProfileOption,
    announce_data_folder,
)
from storyhash.cli.shared.shutdown import asked_to_stop

WatchOption = Annotated[
    Path | None, typer.Option("--watch", help="Index new videos of this folder as they appear.")
]


def serve(
    watch: WatchOption = None,
    exclude: ExcludeOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Run the whole service in one process, without Kafka.

    It matches videos over HTTP, and indexes videos that are posted or that appear in a folder.

    SIGTERM or Ctrl-C stops it cleanly. Videos still waiting are indexed after the next start.
    """
    from storyhash.services.serve.single_process import run_serve

    exclusion = Exclusion(exclude or ())
    settings = load_settings(data_dir=data, profile=profile)
    start_logging(settings.service)
    start_tracing("serve", settings.service)
    announce_data_folder(settings)
    with asked_to_stop() as stopping:
        run_serve(settings, watch, stopping, exclusion)
