"""Writes a catalogue to a file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from searcher.transfer.parquet import Header, catalogue_writer, row_groups
from searcher.transfer.sources import Source


def export_catalogue(
    source: Source,
    path: Path,
    *,
    calibration: str = "",
    written: Callable[[int], None] = lambda videos: None,
) -> Header:
    """Write every searchable video. The file has its name when it is complete; one of this name is
    replaced. written: called with the number of videos of each group; it may raise to give up.

    Raises StorageError, UsageError without pyarrow, and the errors of reading the index.
    """
    with catalogue_writer(
        path, source.profile, source.model_id, calibration, version("storyhash")
    ) as writer:
        for group in row_groups(source.videos()):
            writer.write(group)
            written(len(group))
        return writer.header
