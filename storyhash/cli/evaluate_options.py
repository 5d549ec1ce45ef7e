"""Options that the commands of `storyhash evaluate` share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

VideosOption = Annotated[
    Path, typer.Option("--videos", help="Folder of videos, or of DAVIS 2017 with --davis.")
]
DavisOption = Annotated[
    bool, typer.Option("--davis", help="The folder is DAVIS 2017 as published: JPEGImages in it.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Part of DAVIS: a name of ImageSets/2017, as val.")
]
FamiliesOption = Annotated[
    Path | None,
    typer.Option(
        "--families",
        help="CSV with columns file, posgroup (copies of one another) and hardneg (look-alikes).",
    ),
]
ProfilesOption = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Recipe of the vector; may be repeated. The one in force."),
]
TransformsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--transforms",
        help="A transform, a group (paper, photometric, composed, temporal) or a pattern; may be "
        "repeated. All.",
    ),
]
PerTransformOption = Annotated[
    int | None,
    typer.Option("--per-transform", min=1, help="Videos that each transform is made of. All."),
]
CrossValidateOption = Annotated[
    bool,
    typer.Option(
        "--cross-validate",
        help="Fit calibrations on four fifths of the videos and ask the last, five times over.",
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Where features are kept. The user's cache folder."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for rows, tables and figures.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes. As many as there are cores.")
]
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
