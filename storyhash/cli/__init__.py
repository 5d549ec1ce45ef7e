"""The `storyhash` command.

Exit codes: 0 done, 1 something failed, 2 a mistake of the caller, 3 a dependency is down, 130
interrupted.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from storyhash.cli.lazy_commands import LazyGroup
from storyhash.cli.shared.console import run_guarded

app = typer.Typer(
    name="storyhash",
    cls=LazyGroup,
    help="Find out whether a video, or a part of it, is a copy of a video you already have.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_given: bool) -> None:
    if is_given:
        try:
            typer.echo(f"storyhash {version('storyhash')}")
        except PackageNotFoundError:
            typer.echo("storyhash, version unknown: it is not installed as a package")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback when a command fails.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Find out whether a video, or a part of it, is a copy of a video you already have."""
    from common.runtime_tuning import work_in_one_thread

    work_in_one_thread()


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_guarded(lambda: app(prog_name="storyhash"), debug="--debug" in sys.argv[1:2]))
