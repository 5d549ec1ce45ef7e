"""Reads the settings from the environment, and says where the data folder comes from."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError as UnparsedError

from common.errors import SettingsError
from common.settings.data_folder import FORMER_DEFAULT
from common.settings.tree import ENV_PREFIX, Settings

# Variables of the test suite, which are not settings.
_TEST_VARIABLES = ("STORYHASH_TEST_", "STORYHASH_REQUIRE")


def _settings(
    model: type[BaseModel] = Settings, prefix: str = ENV_PREFIX
) -> Iterator[tuple[str, Any]]:
    """The environment variable and the type of every single setting, in the order of declaration."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _settings(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", inner


def setting_names() -> Iterator[str]:
    """The environment variable of every single setting, in the order of declaration."""
    return (variable for variable, _ in _settings())


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment. Keyword arguments that are not None override it.

    environ: where names are checked (default: the environment); values are always read from the
    environment. Raises SettingsError with the variable's name and, for an unknown name, the most similar
    one.
    """
    names = set(setting_names())
    for variable in environ if environ is not None else os.environ:
        name = variable.upper()
        if not name.startswith(ENV_PREFIX) or name.startswith(_TEST_VARIABLES) or name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "`storyhash config` lists every setting"
        raise SettingsError(f"unknown setting {variable}: {hint}")
    values = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        variable = ENV_PREFIX + "__".join(str(part).upper() for part in first["loc"])
        raise SettingsError(f"{variable}: {first['msg']}") from None
    except UnparsedError:
        raise SettingsError(f'{_not_json()}: expected JSON; a list is ["a", "b"]') from None


def data_dir_is_given(settings: Settings) -> bool:
    """Whether an option or the environment sets the data folder."""
    return "data_dir" in settings.model_fields_set


def describe_data_dir(settings: Settings) -> str:
    """The data folder and the reason why it is used."""
    if data_dir_is_given(settings):
        reason = "set by --data or STORYHASH_DATA_DIR"
    elif settings.data_dir == FORMER_DEFAULT:
        reason = "found in the current folder; --data names another"
    else:
        reason = "your user data directory; --data names another"
    return f"{settings.data_dir.absolute()} ({reason})"


def _not_json() -> str:
    """The variable of a list or a mapping whose value is not JSON."""
    for variable, kind in _settings():
        if get_origin(kind) in (tuple, dict):
            try:
                json.loads(os.environ.get(variable) or "null")
            except ValueError:
                return variable
    return ENV_PREFIX + "*"
