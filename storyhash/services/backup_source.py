"""What a backup of a service is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.metrics import Metrics
from common.settings import Settings
from searcher.backup.backups import Backups, newest_backup_time
from searcher.backup.create import Source
from searcher.serving import ServingIndex
from searcher.video_index import VideoIndex


def source_of(
    settings: Settings, index: VideoIndex, generation: str, second: VideoIndex | None = None
) -> Source:
    """What a backup of an open index is made of. second: the second index, open too."""
    elsewhere = settings.state.url is not None
    dump = partial(_dump_state, settings)
    return Source(index, settings.data_dir, generation, elsewhere, dump, second)


def _dump_state(settings: Settings, target: Path) -> bool:
    # Nothing else of `storyhash snapshot` needs SQLAlchemy.
    from common.state.postgres_dump import dump_state

    return dump_state(settings, target)


def backups_of(
    settings: Settings,
    current: Callable[[], ServingIndex],
    metrics: Metrics,
    second: Callable[[], VideoIndex | None] = lambda: None,
) -> Backups:
    """The backups of a service. current: the index that answers; raises NotReadyError. metrics: get the
    time of the newest backup, if a folder for backups is set. second: the second index of the data
    folder."""
    folder = settings.service.backup_dir
    if folder is not None:
        metrics.last_backup_timestamp_seconds.set_function(partial(newest_backup_time, folder))

    def source() -> Source:
        answering = current()
        return source_of(settings, answering.index, answering.generation, second())

    return Backups(folder, settings.service.backup_keep, source)
