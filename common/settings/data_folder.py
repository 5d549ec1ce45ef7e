"""The default data folder, and how one is recognised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

if TYPE_CHECKING:
    from common.settings.tree import Settings

DATA_FOLDER_FILE = "storyhash.json"
"""Every data folder has this file: its manifest."""

# Default of earlier releases, in the folder in which they were started.
FORMER_DEFAULT = Path("storyhash-data")


def default_data_dir() -> Path:
    """`storyhash-data` in the current folder if it exists, otherwise `storyhash` in the user's data
    directory."""
    if FORMER_DEFAULT.is_dir():
        return FORMER_DEFAULT
    return user_data_path("storyhash", appauthor=False)


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
