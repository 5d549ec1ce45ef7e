"""API keys and the audit log over one database."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from common.settings import Settings
from common.state.audit import AuditLog
from common.state.database import StateDatabase
from common.state.keys import KeyStore


class State:
    """The key store and the audit log of a service. Creating it raises the errors of StateDatabase."""

    def __init__(self, settings: Settings) -> None:
        self._database = StateDatabase(settings)
        self.keys = KeyStore(self._database)
        self.audit = AuditLog(self._database, settings.state.audit_days)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()
