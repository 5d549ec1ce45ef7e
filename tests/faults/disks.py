"""Small disks of their own, filled up and emptied, or made read-only. Needs root."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

_LEFT_BYTES = 1 << 20


class Disk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        self._mebibytes = mebibytes

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._mebibytes}m", "storyhash", self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        # Processes that were just killed may hold it for a moment longer.
        _run("umount", "--lazy", self.folder)

    def fill(self) -> None:
        """Leave no room for anything."""
        with (self.folder / "ballast").open("wb") as file:
            block = bytes(_LEFT_BYTES)
            try:
                while True:
                    file.write(block)
                    file.flush()
            except OSError:
                return

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink()

    def writable(self, is_: bool) -> None:
        """Allow writing or forbid it; only while nobody has a file open."""
        _run("mount", "-o", f"remount,{'rw' if is_ else 'ro'}", self.folder)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount."""
    try:
        with Disk(folder, 1):
            return True
    except subprocess.CalledProcessError:
        return False


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
