"""`storyhash config`: the settings in force."""

from __future__ import annotations

from typing import Any

from common.settings import load_settings, setting_names
from storyhash.cli.console import out, print_json
from storyhash.cli.options import JsonOption


def config(json: JsonOption = False) -> None:
    """Print every setting in force, as STORYHASH_ variables; secrets are masked."""
    tree = load_settings().model_dump(mode="json")
    if json:
        print_json(tree)
        return
    for name, value in zip(setting_names(), _leaves(tree), strict=True):
        out.print(f"{name}={'' if value is None else value}", markup=False)


def _leaves(tree: dict[str, Any]) -> list[Any]:
    leaves: list[Any] = []
    for value in tree.values():
        leaves.extend(_leaves(value) if isinstance(value, dict) else [value])
    return leaves
