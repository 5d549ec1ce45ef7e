"""Options that the commands of `storyhash evaluate` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from evaluation.data.distractors import MAX_DISTRACTORS
from storyhash.evaluation_setup import EvaluationOptions

VideosOption = Annotated[
    Path, typer.Option("--videos", help="Folder of videos, or of DAVIS 2017 with --davis.")
]
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
LookalikesOption = Annotated[
    Path | None,
    typer.Option(
        "--lookalikes",
        help="Folder of look-alikes that are not copies of one another: each is matched, unedited, "
        "against the others and the videos.",
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
    int | None, typer.Option("--per-transform", min=1, help="Videos per transform (default: all).")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache", help="Folder for cached features (default: a folder in the user's cache folder)."
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
DistractorsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--distractors",
        min=0,
        max=MAX_DISTRACTORS,
        help="Match once more with this number of further segments in the catalogue, none of them a "
        "copy; repeat for more.",
    ),
]
DistractorPicturesOption = Annotated[
    Path | None,
    typer.Option(
        "--distractor-pictures",
        help="Folder of pictures: the further segments are those of films that move over them. Give "
        "pictures that no video shows. Without it they are made of the vectors of the videos.",
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

VerdictsOption = Annotated[
    Path | None,
    typer.Option(
        "--verdicts",
        help="Data folder of a service: the fit also uses its verdicts copy, licensed and not_copy "
        "(with STORYHASH_STATE__URL, those of that database).",
    ),
]
VerdictShareOption = Annotated[
    float,
    typer.Option(
        "--verdict-share",
        min=0.0,
        max=0.5,
        help="Largest fraction of the weight of the fit that all verdicts together have.",
    ),
]

OUT = Path("storyhash-evaluation")


def _evaluation_options(
    *,
    videos: VideosOption,
    davis: DavisOption = False,
    split: SplitOption = None,
    families: FamiliesOption = None,
    lookalikes: LookalikesOption = None,
    profile: ProfilesOption = None,
    transforms: TransformsOption = None,
    per_transform: PerTransformOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
) -> EvaluationOptions:
    return EvaluationOptions(
        videos=videos,
        davis=davis,
        split=split,
        families=families,
        lookalikes=lookalikes,
        profiles=profile or (),
        transforms=transforms or (),
        per_transform=per_transform,
        cache=cache,
        workers=workers,
    )


class EvaluationCommand(TyperCommand):
    """A command that has the options of `_evaluation_options` before its own. Its function finds their
    values in `context.obj`, an EvaluationOptions."""

    needs_videos = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        app = typer.Typer(add_completion=False)
        app.command()(_evaluation_options)
        self._shared = typer.main.get_command(app)
        self.params[:0] = self._shared.params
        self.params[0].required = self.needs_videos

    def invoke(self, ctx: Any) -> Any:
        """Convert the shared options, then run the command."""
        values = {param.name: ctx.params.pop(param.name) for param in self._shared.params}
        convert: Any = self._shared.callback
        ctx.obj = convert(**values)
        return super().invoke(ctx)


class OptionalEvaluationCommand(EvaluationCommand):
    """The same if the command can do without videos; then `videos` is None."""

    needs_videos = False
