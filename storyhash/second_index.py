"""The second index of a data folder: another profile over the same videos, for a second opinion.

It is an ordinary data folder, `second-opinion` in that of the first index. Every change of the first
catalogue is made there too (`storyhash/pipeline/second_plan.py`). Until that is done, `covered_by` leaves
out what differs.
"""

from __future__ import annotations

from common.errors import DataFolderError, SettingsError
from common.settings import Settings
from ingest.fingerprint import same_source
from searcher.matching.second_opinion import Covers
from searcher.opening import stored_manifest
from searcher.second_folder import second_folder, settings_of_second
from searcher.storage.data_dir import read_manifest
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex
from storyhash.profiles import AUTO

NONE = "none"
"""The name of no second profile."""


def second_settings(settings: Settings) -> Settings | None:
    """The settings of the second index: its folder, its profile, its Qdrant collection. None if there is
    none and the settings want none. Raises SettingsError if they name a generation, DataFolderError."""
    if settings.second_opinion.generation is not None:
        raise SettingsError(
            "STORYHASH_SECOND_OPINION__GENERATION is only for `storyhash search`; set "
            "STORYHASH_SECOND_OPINION__PROFILE instead"
        )
    wanted = settings.second_opinion.profile
    there = read_manifest(second_folder(settings.data_dir)) is not None
    if wanted == NONE:
        if there:
            raise SettingsError(
                f"there is a second index in {second_folder(settings.data_dir)}: delete that folder to "
                "remove it, or set STORYHASH_SECOND_OPINION__ENABLED=false to keep it without asking it"
            )
        return None
    if wanted is None and not there:
        return None
    return settings_of_second(settings, wanted or AUTO)


def require_second(settings: Settings) -> None:
    """Raises DataFolderError if a second index is wanted and there is none. settings: of the second
    index."""
    if stored_manifest(settings) is None:
        raise DataFolderError(
            f"there is no second index in {settings.data_dir}; make one with: "
            f"storyhash index PATH --second-opinion {settings.profile}"
        )


def covered_by(first: VideoStore, second: VideoStore) -> Covers:
    """Whether both catalogues have the same file of a video, in this bank."""

    def covers(video_id: str, bank: str) -> bool:
        row, other = first.get(video_id), second.get(video_id)
        return (
            row is not None
            and other is not None
            and (row.state, other.state) == ("ready", "ready")
            and row.bank == other.bank == bank
            and same_source(row.fingerprint, other.fingerprint)
        )

    return covers


def behind(first: VideoIndex, second: VideoIndex) -> str:
    """A notice if the second index has fewer videos than the first one; empty otherwise."""
    ready, there = (index.videos.counts().get("ready", 0) for index in (first, second))
    if there >= ready:
        return ""
    return (
        f"the second opinion knows {there} of {ready} videos; `storyhash index` with any path of the "
        "catalogue adds the others"
    )
