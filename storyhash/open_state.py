"""The state that a service and the command line share."""

from __future__ import annotations

from common.settings import Settings
from common.state.state import State
from searcher.storage.data_dir import read_manifest


def open_state(settings: Settings) -> State:
    """Keys and audit log of a data folder, or of the database that the settings name. The folder is made
    where it is missing.

    Raises DataFolderError for a folder of something else, StateError, SettingsError.
    """
    if settings.state.url is None:
        read_manifest(settings.data_dir)
    return State(settings)
