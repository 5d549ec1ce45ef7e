"""The default data folder, and how one is recognised."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

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
