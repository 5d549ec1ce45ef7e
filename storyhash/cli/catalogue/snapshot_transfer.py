"""`storyhash snapshot export` and `import`: a catalogue as one file, for another machine or backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError
from common.settings import Settings, load_settings
from searcher.generations import current_generation, generation_folder
from searcher.matching.scoring.calibration import load_calibration
from searcher.opening import open_writer
from searcher.storage.data_dir import FolderManifest, take_lock
from searcher.transfer.exporting import export_catalogue
from searcher.transfer.importing import import_catalogue
from searcher.transfer.parquet import Header, read_header
from searcher.transfer.sources import BackupSource, IndexSource, Source
from storyhash.cli.shared.console import check_interrupt, notice, out, print_json
from storyhash.cli.shared.options import DataOption, JsonOption, announce_data_folder
from storyhash.cli.shared.progress import progress
from storyhash.profiles import PROFILES
from storyhash.wiring import open_catalogue

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Parquet file of a catalogue, for example a.parquet.")
]
# Videos that are named.
_NAMED = 5


def export_file(
    file: FileArgument,
    data: DataOption = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="SNAPSHOT", help="Export this backup instead of a data folder."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the catalogue to one Parquet file.

    The file has every video with its vectors and frame codes, but no keys, matches, verdicts and
    exceptions. Another machine or another backend reads it with `import`, and other tools read its
    columns. While a service uses the data folder, make a backup and export that with --from.
    """
    if snapshot is not None and data is not None:
        raise UsageError("--from and --data: give only one of them")
    settings = load_settings(data_dir=data)
    with _source(settings, snapshot) as (source, total), _counted("exporting", total) as advance:
        calibration = _calibration(source.profile, settings)
        header = export_catalogue(source, file, calibration=calibration, written=advance)
    if source.incomplete:
        named = ", ".join(source.incomplete[:_NAMED])
        more = len(source.incomplete) - _NAMED
        notice(
            f"not exported, because segments are missing: {named}"
            + (f" and {more} more" if more > 0 else "")
        )
    if json:
        print_json({"file": str(file), **asdict(header), "incomplete": source.incomplete})
    else:
        out.print(
            f"exported {header.videos} videos and {header.segments} segments to {file} "
            f"({file.stat().st_size / 1e6:.1f} MB)",
            markup=False,
        )


def import_file(file: FileArgument, data: DataOption = None, json: JsonOption = False) -> None:
    """Add the videos of an exported file.

    They are added to a data folder, or to the index in Qdrant. A new folder gets the profile of the
    file. A folder of another model is refused. If an id of the file belongs to another video in the
    folder, nothing is imported. After an interruption, run the same command again: it resumes.
    """
    settings = load_settings(data_dir=data)
    announce_data_folder(settings)
    header = read_header(file)
    _check_profile(header, settings)
    folder = generation_folder(settings.data_dir, current_generation(settings.data_dir))
    manifest = FolderManifest(header.profile, header.model_id, settings.searcher.store)
    with (
        open_writer(folder, manifest, settings) as index,
        _counted("importing", header.videos) as advance,
    ):
        imported = import_catalogue(file, index, done=advance)
    if json:
        print_json(
            {
                "data": str(settings.data_dir),
                "model_id": header.model_id,
                "videos": imported.videos,
                "segments": imported.segments,
                "present": imported.present,
            }
        )
        return
    out.print(
        f"imported {imported.videos} videos and {imported.segments} segments; "
        f"{imported.present} videos had been imported before",
        markup=False,
    )


@contextmanager
def _source(settings: Settings, snapshot: Path | None) -> Iterator[tuple[Source, int]]:
    """What is exported, and the number of its videos."""
    if snapshot is not None:
        backup = BackupSource.open(snapshot)
        yield backup, backup.count
        return
    announce_data_folder(settings)
    folder = generation_folder(settings.data_dir, current_generation(settings.data_dir))
    writer = settings.searcher.backend != "qdrant"
    if writer and folder.is_dir():
        lock = take_lock(folder)
        if lock is None:
            raise UsageError(
                f"{folder} is in use by a service; make a backup with `storyhash snapshot create "
                "--server URL`, and export that with --from"
            )
        lock.close()
    opened = settings.model_copy(update={"data_dir": folder})
    with open_catalogue(opened, writer=writer) as index:
        yield IndexSource(index), index.videos.total()


@contextmanager
def _counted(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows progress, and ends at Ctrl-C between two groups of videos."""
    with progress() as bar:
        task = bar.task(description, total)

        def advance(videos: int) -> None:
            task.advance(videos)
            check_interrupt()

        yield advance


def _check_profile(header: Header, settings: Settings) -> None:
    """Raises UsageError if this version cannot search with the vectors of a file."""
    if header.profile not in PROFILES:
        raise UsageError(
            f"the file is of profile {header.profile}, which this version does not have; use version "
            f"{header.storyhash}, which wrote it, or a newer one"
        )
    own = _calibration(header.profile, settings)
    if header.calibration and header.calibration != own:
        notice(
            f"the calibration of the file is {header.calibration}, and that of this machine {own}: the "
            "same videos are found, with other probabilities"
        )


def _calibration(profile: str, settings: Settings) -> str:
    known = PROFILES.get(profile)
    if known is None:
        return ""
    return load_calibration(known.visual, settings.matching.calibration).version
