"""`storyhash snapshot`: makes backups while a service runs, verifies them, and restores one; and moves a
catalogue between machines and backends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import StoryHashError, UsageError
from common.settings import Settings, load_settings
from searcher.backup.backups import listed
from searcher.backup.create import create_backup
from searcher.backup.manifest import STATE_DUMP, BackupManifest, damage, read_manifest
from searcher.backup.restore import restore_backup
from searcher.generations import current_generation, generation_folder
from searcher.storage.data_dir import require_manifest, take_lock
from searcher.video_index import VideoIndex
from storyhash.cli.catalogue.snapshot_transfer import export_file, import_file
from storyhash.cli.shared.console import check_interrupt, err, notice, out, print_json
from storyhash.cli.shared.listing import Item, print_items
from storyhash.cli.shared.options import (
    DataOption,
    JsonOption,
    ServerOption,
    announce_data_folder,
    named_folder,
    one_of,
)
from storyhash.cli.shared.remote_catalogue import remote_catalogue
from storyhash.services.backup_source import source_of
from storyhash.wiring import open_catalogue, open_second_catalogue

if TYPE_CHECKING:
    from storyhash.client.catalogue import RemoteCatalogue

app = typer.Typer(
    help="Make, verify and restore backups; export and import a catalogue.\n\n"
    "A backup has the catalogue, every vector, the index, the second index if there is one, and the "
    "state database (keys, matches, verdicts, exceptions, audit log).",
    no_args_is_help=True,
)
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--to",
        parser=named_folder,
        metavar="DIR",
        help="Folder of backups [env: STORYHASH_SERVICE__BACKUP_DIR].",
    ),
]
SnapshotArgument = Annotated[
    Path, typer.Argument(metavar="SNAPSHOT", help="Folder of one backup, as `create` prints it.")
]
_POLL_SECONDS = 0.5


@app.command("create")
def create(
    to: FolderOption = None,
    data: DataOption = None,
    server: ServerOption = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            help="Complete backups to keep; older ones are deleted "
            "[env: STORYHASH_SERVICE__BACKUP_KEEP].",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a backup.

    If a service uses the data folder, name it with --server: it makes the backup in its own folder
    (STORYHASH_SERVICE__BACKUP_DIR) and continues to answer and to index. This needs an admin key, if the
    service requires keys.
    """
    one_of(data, server)
    if server is not None:
        if to is not None or keep is not None:
            raise UsageError(
                "--to and --keep: with --server, the service decides; set STORYHASH_SERVICE__BACKUP_DIR "
                "and STORYHASH_SERVICE__BACKUP_KEEP there"
            )
        with remote_catalogue(server) as remote:
            backup = _created_by(remote)
    else:
        settings = load_settings(data_dir=data)
        announce_data_folder(settings)
        backup = _created(settings, _folder(settings, to), keep or settings.service.backup_keep)
    if json:
        print_json(backup)
    else:
        out.print(backup["name"] if server is not None else backup["path"], markup=False)
        err.print(_line(backup), markup=False)
    if backup.get("uploads_left_out"):
        notice(
            f"the files of {backup['uploads_left_out']} uploaded videos are not in this backup, only "
            "their vectors; copy the folder `uploads` of the data folder to keep them"
        )
    if backup["state_database"] == "postgresql":
        notice(
            "the state database is PostgreSQL and not in this backup, because pg_dump is not installed "
            "there; install the PostgreSQL client tools, or run pg_dump --format=custom "
            f"--file={STATE_DUMP} DATABASE"
        )


@app.command("list")
def list_snapshots(
    to: FolderOption = None, server: ServerOption = None, json: JsonOption = False
) -> None:
    """Print the backups of a folder, or those of a service."""
    if server is not None and to is not None:
        raise UsageError("--to and --server: give only one of them")
    if server is not None:
        with remote_catalogue(server) as remote:
            items: Sequence[dict[str, Any]] = remote.snapshots()
    else:
        folder = _folder(load_settings(), to)
        if not folder.is_dir():
            raise UsageError(f"{folder}: folder not found")
        items = listed(folder)
    print_items(
        items, lambda item: f"{item['name'] or '(no name yet)'}  {_line(item)}", as_json=json
    )


@app.command("verify")
def verify(
    snapshots: Annotated[list[Path], typer.Argument(metavar="SNAPSHOT")],
    json: JsonOption = False,
) -> None:
    """Read every file of backups and compare it with its checksum.

    Exit code 1 when a backup is damaged; the output says which files.
    """
    results: list[dict[str, Any]] = []
    no_backup: UsageError | None = None
    for path in snapshots:
        try:
            results.append({"snapshot": str(path), "damage": damage(path)})
        except UsageError as error:
            # The others are verified before it is said.
            no_backup = error
    print_items(
        results,
        lambda result: f"{result['snapshot']}: {'; '.join(result['damage']) or 'good'}",
        as_json=json,
    )
    if no_backup is not None:
        raise no_backup
    if any(result["damage"] for result in results):
        raise typer.Exit(StoryHashError.exit_code)


@app.command("restore")
def restore(
    snapshot: SnapshotArgument,
    data: DataOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace all that is in the data folder.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Restore a backup into a data folder that no process uses.

    It is verified first. Without --force, the data folder must be empty. Videos that were added after
    the backup are missing, and videos that were deleted after it are back; a searcher over Kafka
    corrects both from its log when it starts.
    """
    settings = load_settings(data_dir=data)
    announce_data_folder(settings)
    manifest = restore_backup(snapshot, settings, force=force)
    if json:
        print_json({"data": str(settings.data_dir), **manifest.to_json(snapshot.resolve().name)})
    else:
        out.print(
            f"restored {manifest.videos} videos and {manifest.segments} segments of "
            f"{manifest.created_at} into {settings.data_dir}",
            markup=False,
        )
        second = manifest.second_opinion
        if second is not None:
            out.print(
                f"second opinion: {second.videos} videos and {second.segments} segments",
                markup=False,
            )
    left_out = _restore_state(snapshot, manifest, settings)
    if left_out:
        notice(f"the state database (keys, matches, verdicts) was not restored: {left_out}")


def _restore_state(snapshot: Path, manifest: BackupManifest, settings: Settings) -> str:
    """Restore a PostgreSQL database, if it is empty; why it is not restored, else an empty string. Raises
    StateError."""
    if manifest.state_database == "postgresql":
        return "it is PostgreSQL and not in this backup"
    dumped = manifest.state_database == "postgresql_dump"
    if settings.state.url is None:
        return "it is PostgreSQL; name the database in STORYHASH_STATE__URL" if dumped else ""
    if not dumped:
        return "STORYHASH_STATE__URL names a PostgreSQL database, and this backup has none"
    # SQLAlchemy is needed by nothing else here.
    from common.state.postgres_dump import restore_state

    if restore_state(settings, snapshot / STATE_DUMP):
        return ""
    return (
        "the database that STORYHASH_STATE__URL names has tables already; to replace them, stop all "
        "services and run pg_restore --clean --if-exists --no-owner --single-transaction "
        f"--dbname=DATABASE {snapshot.resolve() / STATE_DUMP}"
    )


app.command("export")(export_file)
app.command("import")(import_file)


def _folder(settings: Settings, to: Path | None) -> Path:
    folder = to or settings.service.backup_dir
    if folder is None:
        raise UsageError(
            "name the folder of the backups: --to DIR, or STORYHASH_SERVICE__BACKUP_DIR"
        )
    return folder


def _created(settings: Settings, folder: Path, keep: int) -> dict[str, Any]:
    """Back up a data folder that no service uses."""
    generation = current_generation(settings.data_dir)
    index_dir = generation_folder(settings.data_dir, generation)
    require_manifest(index_dir)
    lock = take_lock(index_dir)
    if lock is None:
        raise UsageError(
            f"{index_dir} is in use by a service; name it with --server URL, and it makes the backup"
        )
    lock.close()
    own = settings.model_copy(update={"data_dir": index_dir})
    with open_catalogue(own, writer=True) as index, _second_of(settings) as second:
        path = create_backup(source_of(settings, index, generation, second), folder, keep=keep)
    return {"path": str(path), **read_manifest(path).to_json(path.name)}


def _second_of(settings: Settings) -> AbstractContextManager[VideoIndex | None]:
    """The second index of the data folder. That of a searcher over Kafka is a generation, which is read
    from its log again."""
    if settings.second_opinion.generation is not None:
        return nullcontext()
    return open_second_catalogue(settings)


def _created_by(remote: RemoteCatalogue) -> dict[str, Any]:
    """Have a service make a backup, and wait for it."""
    before = {item["name"] for item in remote.snapshots()}
    remote.create_snapshot()
    while True:
        check_interrupt()
        items = remote.snapshots()
        if not items:
            raise StoryHashError("the backup is gone; see the log of the service")
        if items[0]["state"] == "failed":
            raise StoryHashError(f"the backup failed: {items[0]['error']['message']}")
        if items[0]["state"] == "complete" and items[0]["name"] not in before:
            return items[0]
        time.sleep(_POLL_SECONDS)


def _line(item: Item) -> str:
    if item["state"] != "complete":
        return f"{item['state']}  {item.get('error', {}).get('message', '')}".rstrip()
    second = item.get("second_opinion")
    more = "" if second is None else f", second opinion: {second['videos']} videos"
    return (
        f"{item['created_at']}  {item['videos']} videos, {item['segments']} segments{more}, "
        f"{item['bytes'] / 1e6:.1f} MB"
    )
