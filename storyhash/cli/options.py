"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError
from storyhash.cli.completion import profile_names

PathsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Files, folders (also of numbered pictures), CSV or JSONL manifests, http(s) URIs.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the index [env: STORYHASH_DATA_DIR]."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        autocompletion=profile_names,
        help="Recipe of the vector: auto, or one of `storyhash models list`.",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", help="Address of a running searcher, instead of a data folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def one_of(data: Path | None, server: str | None) -> None:
    """Refuse `--data` beside `--server`."""
    if data is not None and server is not None:
        raise UsageError("--data and --server: give one of them, the index is in one place")
