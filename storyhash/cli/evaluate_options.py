"""Options that the commands of `storyhash evaluate` share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProfilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--profile", help="Profile to evaluate; repeat for more (default: the profile in force)."
    ),
]
CrossValidateOption = Annotated[
    bool,
    typer.Option(
        "--cross-validate",
        help="Fit calibrations in 5-fold cross-validation and apply each to the fold that was "
        "left out.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for results, tables and figures.")]
BaselinesOption = Annotated[
    bool,
    typer.Option(
        "--baselines/--no-baselines",
        "--peers/--no-peers",
        help="Also evaluate two baseline methods.",
    ),
]
ConfigurationsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--configurations",
        help="Configuration of the ablation; repeat for more (default: all). `full` always "
        "runs first.",
    ),
]

OUT = Path("storyhash-evaluation")
