"""Opens the state database, which services and the command line share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from common.errors import DataFolderError
from common.settings import Settings
from common.sqlite import Database
from common.state.files import FILES
from searcher.storage.data_dir import read_manifest

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and most commands do not need it.
    from common.state.state import State
    from searcher.curation.apply_rules import CurationRules


def open_state(settings: Settings) -> State:
    """The state database of a data folder, or the one that the settings name. The folder is created if it
    does not exist.

    Raises DataFolderError if the folder belongs to something else, StateError, SettingsError.
    """
    from common.state.state import State

    if settings.state.url is None:
        read_manifest(settings.data_dir)
    return State(settings)


def open_existing_state(settings: Settings) -> State:
    """As `open_state`, but no folder is created, so that a mistyped name is noticed. Raises
    DataFolderError also if the folder has neither an index nor keys."""
    if not has_state(settings) and read_manifest(settings.data_dir) is None:
        raise DataFolderError(
            f"{settings.data_dir} has no index and no keys; give the data folder with --data"
        )
    return open_state(settings)


@contextmanager
def opened_rules(settings: Settings) -> Iterator[CurationRules]:
    """What people have set about the videos of a data folder, as a service obeys it: disabled videos,
    banks and exceptions. Nothing without a state database. Raises what `open_state` raises."""
    from searcher.curation.apply_rules import CurationRules

    if not has_state(settings):
        yield CurationRules()
        return
    with open_state(settings) as state:
        yield CurationRules(state.curation.current, state.exceptions.of_references)


def has_state(settings: Settings) -> bool:
    """Whether there is a state database, so that opening it creates none."""
    return settings.state.url is not None or (settings.data_dir / FILES[0]).exists()


def note_change(state: State, action: str, item_id: str, status: int) -> None:
    """Write a change of the command line into the audit log, as a request would be written."""
    from common.state.audit import Change

    state.audit.record(Change(action, "command line", item_id, status))


def compact_state(settings: Settings) -> None:
    """Rewrite the state database without the bytes of what was deleted, if it is in the data folder.
    Raises StorageError, CorruptIndexError."""
    path = settings.data_dir / FILES[0]
    if settings.state.url is None and path.exists():
        with closing(Database(path, "", remedy="restore a backup")) as database:
            database.compact()


def forget_videos(settings: Settings, video_ids: Iterable[str]) -> None:
    """Delete what the state database, if there is one, has of deleted videos, and note the deletions in
    the audit log. Raises what `open_state` raises."""
    ids = list(video_ids)
    if not ids or not has_state(settings):
        return
    with open_state(settings) as state:
        for video_id in ids:
            state.forget_video(video_id)
            note_change(state, "videos.delete", video_id, 204)
