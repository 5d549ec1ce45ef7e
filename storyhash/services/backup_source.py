"""What a backup of a service is made of."""

from __future__ import annotations

from collections.abc import Callable

from common.settings import Settings
from searcher.api.protocols import ServingIndex
from searcher.backup.backups import Backups
from searcher.backup.create import Source


def backups_of(settings: Settings, current: Callable[[], ServingIndex]) -> Backups:
    """The backups of a service. current: the index that answers; raises NotReadyError."""

    def source() -> Source:
        answering = current()
        elsewhere = settings.state.url is not None
        return Source(answering.index, settings.data_dir, answering.generation, elsewhere)

    return Backups(settings.service.backup_dir, settings.service.backup_keep, source)
