"""Generations: several indexes of one catalogue in a data folder, of different models; one of them
answers.

The first generation has no name and is in the folder itself, others in `generations/NAME`. The file
`current-generation` names the one that answers; without the file it is the first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from common.atomic_write import private_folder, replacing
from common.errors import StorageError, UsageError
from common.settings.data_folder import DATA_FOLDER_FILE

_POINTER = "current-generation"


def generation_folder(data_dir: Path, name: str) -> Path:
    """The folder of a generation's index."""
    return data_dir / "generations" / name if name else data_dir


def known_generations(data_dir: Path) -> list[str]:
    """Names of the generations with a folder here, and the unnamed first one if it has an index."""
    named = data_dir / "generations"
    found = [path.name for path in named.iterdir() if path.is_dir()] if named.is_dir() else []
    first = [""] if (data_dir / DATA_FOLDER_FILE).exists() else []
    return [*first, *sorted(found)]


def make_folder(data_dir: Path, name: str) -> None:
    """Create the folder of a generation, so that it is known. Raises StorageError."""
    folder = generation_folder(data_dir, name)
    try:
        private_folder(folder)
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror}; free some disk space and try again"
        ) from None


def current_generation(data_dir: Path) -> str:
    """The generation that answers."""
    try:
        return (data_dir / _POINTER).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def make_current(data_dir: Path, name: str) -> None:
    """Let a generation answer from now on, durably and atomically. Raises StorageError."""
    path = data_dir / _POINTER
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(f"{name}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; the generation is unchanged") from None


def drop_generation(data_dir: Path, name: str) -> None:
    """Delete the index of a named generation that does not answer. Raises UsageError, StorageError."""
    if not name or name == current_generation(data_dir):
        raise UsageError(
            f"generation {name!r} is active or is the first one; only other generations "
            "can be dropped"
        )
    # Only what lies there by this very name: a path would lead elsewhere.
    if name not in known_generations(data_dir):
        raise UsageError(
            f"there is no generation {name!r}; `storyhash generations list` shows them"
        )
    folder = generation_folder(data_dir, name)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror}; fix that and drop the generation again"
        ) from None
