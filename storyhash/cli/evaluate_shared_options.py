"""What is asked of an evaluation, as options that its commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from storyhash.cli.evaluate_options import ProfilesOption
from storyhash.evaluation_setup import EvaluationOptions

_Command = Callable[..., None]


def _asked(
    videos: Annotated[
        Path | None,
        typer.Option("--videos", help="Folder of videos, or of DAVIS 2017 with --davis."),
    ],
    davis: Annotated[
        bool,
        typer.Option(
            "--davis", help="The folder has the layout of DAVIS 2017, with JPEGImages in it."
        ),
    ] = False,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Split of DAVIS: a name in ImageSets/2017, for example val."),
    ] = None,
    families: Annotated[
        Path | None,
        typer.Option(
            "--families",
            help="CSV with the columns file, posgroup (group of copies of one another) and "
            "hardneg (group of look-alikes).",
        ),
    ] = None,
    profile: ProfilesOption = None,
    transforms: Annotated[
        list[str] | None,
        typer.Option(
            "--transforms",
            help="Transform, group (paper, photometric, composed, temporal) or pattern; repeat "
            "for more (default: all).",
        ),
    ] = None,
    per_transform: Annotated[
        int | None,
        typer.Option("--per-transform", min=1, help="Videos per transform (default: all)."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder for cached features (default: a folder in the user's cache folder).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Number of worker processes (default: one per CPU core)."
        ),
    ] = None,
) -> EvaluationOptions | None:
    if videos is None:
        return None
    return EvaluationOptions(
        *(videos, davis, split, families, profile or (), transforms or ()),
        *(per_transform, cache, workers),
    )


_SHARED = signature(_asked, eval_str=True).parameters


def with_evaluation_options(command: _Command) -> _Command:
    """Puts the options of `EvaluationOptions` before those of a command, in its parameter `asked`."""
    return _with_options(command, _SHARED)


def with_optional_evaluation_options(command: _Command) -> _Command:
    """As `with_evaluation_options`, but without --videos `asked` is None."""
    return _with_options(command, {**_SHARED, "videos": _SHARED["videos"].replace(default=None)})


def _with_options(command: _Command, shared: Mapping[str, Parameter]) -> _Command:
    own = dict(signature(command, eval_str=True).parameters)
    del own["asked"]

    @wraps(command)
    def called(**given: Any) -> None:
        asked = _asked(**{name: given.pop(name) for name in shared})
        command(asked=asked, **given)

    taken = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*shared.values(), *own.values())]
    # Typer reads both.
    called.__signature__ = Signature(taken)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in taken}
    return called
