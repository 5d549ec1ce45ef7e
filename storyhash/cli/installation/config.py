"""`storyhash config`: prints the settings in force."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps as to_json
from typing import Any

from pydantic import BaseModel

from common.settings import load_settings, setting_names
from common.uris import without_passwords
from storyhash.cli.shared.console import out, print_json
from storyhash.cli.shared.options import JsonOption


def config(json: JsonOption = False) -> None:
    """Print every setting in force as a STORYHASH_ variable. Secrets, and passwords in addresses, are
    masked."""
    settings = load_settings()
    tree = _masked(settings.model_dump(mode="json"))
    if json:
        print_json(tree)
        return
    for name, value in zip(setting_names(), _leaves(settings, tree), strict=True):
        out.print(f"{name}={shown(value)}", markup=False)


def _masked(value: Any) -> Any:
    """A JSON value in which passwords in addresses are masked."""
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return without_passwords(value) if isinstance(value, str) else value


def _leaves(settings: BaseModel, tree: dict[str, Any]) -> Iterator[Any]:
    """The values of all settings. A mapping (the policies of banks) is one value."""
    for name in type(settings).model_fields:
        inner = getattr(settings, name)
        if isinstance(inner, BaseModel):
            yield from _leaves(inner, tree[name])
        else:
            yield tree[name]


def shown(value: Any) -> str:
    """A value as it is written in the environment."""
    if isinstance(value, dict | list | tuple):
        return to_json(value)
    return "" if value is None else str(value)
