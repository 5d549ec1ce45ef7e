"""All that a service keeps beside its index, over one database."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from common.settings import Settings
from common.state.audit import AuditLog
from common.state.curation import CurationStore
from common.state.database import StateDatabase
from common.state.deliveries import DeliveryStore
from common.state.exceptions import ExceptionStore
from common.state.feedback import FeedbackStore
from common.state.jobs import JobStore
from common.state.keys import KeyStore
from common.state.matches import MatchStore
from common.state.quotas import QuotaStore
from common.state.verdicts import VerdictStore
from common.state.webhooks import WebhookStore


class State:
    """The stores of a service. Creating it raises the errors of StateDatabase."""

    def __init__(self, settings: Settings) -> None:
        self._database = StateDatabase(settings)
        self.keys = KeyStore(self._database)
        self.quotas = QuotaStore(self._database)
        self.audit = AuditLog(self._database, settings.state.audit_days)
        self.matches = MatchStore(self._database, settings.state)
        self.verdicts = VerdictStore(self._database)
        self.feedback = FeedbackStore(self._database)
        self.exceptions = ExceptionStore(self._database)
        self.jobs = JobStore(self._database, settings.jobs)
        self.curation = CurationStore(self._database)
        self.webhooks = WebhookStore(self._database)
        self.deliveries = DeliveryStore(self._database, settings.webhooks)

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
