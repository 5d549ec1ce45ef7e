"""The `storyhash` command. Exit codes: 0 done, 1 ran but something failed, 2 the caller's mistake,
3 a dependency is down, 130 interrupted."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from common.runtime_tuning import work_in_one_thread
from storyhash.cli import (
    config,
    dead_letters,
    demo,
    doctor,
    evaluate,
    features,
    generations,
    index,
    match,
    models,
    serve,
    services,
    staged,
    topics,
    videos,
)
from storyhash.cli.console import run_guarded

app = typer.Typer(
    name="storyhash",
    help="Know whether a video, or a part of it, has been seen before.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo.demo)
app.command()(index.index)
app.command()(match.match)
app.add_typer(videos.app, name="videos")
app.command()(serve.serve)
app.command()(services.ingest)
app.command()(services.embed)
app.command()(services.search)
app.add_typer(generations.app, name="generations")
app.add_typer(staged.app, name="staged")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(features.app, name="features")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(models.app, name="models")
app.command()(config.config)
app.command()(doctor.doctor)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback when something fails.")
    ] = False,
) -> None:
    """Know whether a video, or a part of it, has been seen before."""


def main() -> None:
    """Entry point of the console script."""
    work_in_one_thread()
    sys.exit(run_guarded(lambda: app(prog_name="storyhash"), debug="--debug" in sys.argv[1:2]))
