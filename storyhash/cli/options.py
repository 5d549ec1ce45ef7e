"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        "--profile", help="Recipe of the vector: auto, or one of `storyhash models list`."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
