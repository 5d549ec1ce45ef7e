"""Options shared by the commands of `storyhash evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_VIDEOS = typer.Option("--videos", help="Folder of videos, or of DAVIS 2017 with --davis.")
VideosOption = Annotated[Path, _VIDEOS]
OptionalVideosOption = Annotated[Path | None, _VIDEOS]
DavisOption = Annotated[
    bool,
    typer.Option("--davis", help="The folder has the layout of DAVIS 2017, with JPEGImages in it."),
]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="Split of DAVIS: a name in ImageSets/2017, for example val."),
]
FamiliesOption = Annotated[
    Path | None,
    typer.Option(
        "--families",
        help="CSV with the columns file, posgroup (group of copies of one another) and "
        "hardneg (group of look-alikes).",
    ),
]
TransformsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--transforms",
        help="Transform, group (paper, photometric, composed, temporal, hard) or pattern; repeat "
        "for more (default: all but the group hard).",
    ),
]
PerTransformOption = Annotated[
    int | None,
    typer.Option("--per-transform", min=1, help="Videos per transform (default: all)."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder for cached features (default: a folder in the user's cache folder).",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Number of worker processes (default: one per CPU core)."
    ),
]
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
