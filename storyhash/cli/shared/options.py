"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError
from common.settings import Settings, data_dir_is_given, describe_data_dir
from storyhash.cli.shared.completion import profile_names
from storyhash.cli.shared.console import err

PathsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        help="Video files, folders of videos or of numbered images, CSV or JSONL manifests, or "
        "http(s) URIs.",
    ),
]


def named_folder(text: str) -> Path:
    """The folder of an option. Raises UsageError for an empty name, which a script passes if its variable
    is not set: it does not mean the current folder."""
    if not text.strip():
        raise UsageError(f"expected a folder, got '{text}'; use . for the current folder")
    return Path(text)


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=named_folder,
        metavar="<path>",
        help="Data folder (default: the one that `storyhash config` prints) [env: STORYHASH_DATA_DIR].",
    ),
]
BankOption = Annotated[str, typer.Option("--bank", help="Bank that the videos belong to.")]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        autocompletion=profile_names,
        help="Profile that makes the vectors, one of `storyhash models list` (default: the profile of "
        "the index; for a new index sscd-motion if it is installed, else offline) "
        "[env: STORYHASH_PROFILE].",
    ),
]
SecondOpinionOption = Annotated[
    str | None,
    typer.Option(
        "--second-opinion",
        metavar="PROFILE",
        autocompletion=profile_names,
        help="Index all videos with this profile too. `match` and `serve` ask it if the first profile "
        "finds no copy. With none, a new data folder has one profile (default: the second profile of the "
        "data folder; for a new one of sscd-motion, offline) [env: STORYHASH_SECOND_OPINION__PROFILE].",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", help="Address of a running service, to use instead of a data folder."),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Skip files and folders below the given folders if their relative path matches this "
        ".gitignore pattern (without !), for example *.tmp.mp4, raw/ or raw/*.mov. Repeatable.",
    ),
]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")]
_CURSOR = "Continue after this row: the cursor that the previous page printed."
CursorOption = Annotated[str, typer.Option(help=_CURSOR)]
NumberCursorOption = Annotated[int | None, typer.Option(min=1, help=_CURSOR)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def announce_data_folder(settings: Settings) -> None:
    """Print the data folder, unless the caller named it."""
    if not data_dir_is_given(settings):
        err.print(f"data folder: {describe_data_dir(settings)}", markup=False)


def one_of(data: Path | None, server: str | None) -> None:
    """Refuse `--data` together with `--server`. Raises UsageError."""
    if data is not None and server is not None:
        raise UsageError("--data and --server: give only one of them")
