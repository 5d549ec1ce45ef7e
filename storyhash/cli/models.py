"""`storyhash models`: what the vectors are made with."""

from __future__ import annotations

import typer

from common.settings import load_settings
from embedder.models import list_models
from storyhash.cli.console import out, print_json
from storyhash.cli.options import JsonOption
from storyhash.profiles import PROFILES, resolve_profile

app = typer.Typer(help="The models and the profiles made of them.", no_args_is_help=True)


@app.command("list")
def list_all(json: JsonOption = False) -> None:
    """Print every model: source, licence, size, where it lies, checksum; and the profiles."""
    settings = load_settings()
    models, chosen = list_models(settings.sscd), resolve_profile(settings)
    if json:
        print_json({"items": [model.to_json() for model in models], "next_cursor": None})
        return
    for model in models:
        where = (
            f"{model.megabytes:.1f} MB, {model.checksum}, {model.path}"
            if model.megabytes is not None
            else f"not installed: {model.note}"
        )
        out.print(f"{model.name}: {model.source}; {model.licence}; {where}", markup=False)
    for profile in PROFILES.values():
        mark = " (in force for a new index)" if profile.name == chosen else ""
        out.print(f"profile {profile.name}: {profile.summary}{mark}", markup=False)
