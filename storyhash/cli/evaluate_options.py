"""Options that the commands of `storyhash evaluate` share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProfilesOption = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Recipe of the vector; may be repeated. The one in force."),
]
CrossValidateOption = Annotated[
    bool,
    typer.Option(
        "--cross-validate",
        help="Fit calibrations on four fifths of the videos and ask the last, five times over.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for rows, tables and figures.")]
PeersOption = Annotated[
    bool, typer.Option("--peers/--no-peers", help="Ask two plain ways of matching beside ours.")
]
ConfigurationsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--configurations", help="Of the ablation; may be repeated. All. `full` comes first always."
    ),
]

OUT = Path("storyhash-evaluation")
