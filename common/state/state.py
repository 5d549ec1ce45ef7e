"""The state of a service besides its index, in one database."""

from __future__ import annotations

from common.closeable import Closeable
from common.settings import Settings
from common.state.audit import AuditLog
from common.state.curation import CurationStore
from common.state.database import StateDatabase
from common.state.deliveries import DeliveryStore
from common.state.exceptions import ExceptionStore
from common.state.feedback import FeedbackStore
from common.state.idempotency import AnswerStore
from common.state.jobs import JobStore
from common.state.keys import KeyStore
from common.state.matches import MatchStore
from common.state.quotas import QuotaStore
from common.state.verdicts import VerdictStore
from common.state.webhooks import WebhookStore


class State(Closeable):
    """The stores of a service. Creating it raises the errors of StateDatabase."""

    def __init__(self, settings: Settings) -> None:
        self.database = StateDatabase(settings)
        self.keys = KeyStore(self.database)
        self.quotas = QuotaStore(self.database)
        self.answers = AnswerStore(self.database)
        self.audit = AuditLog(self.database, settings.state.audit_days)
        self.matches = MatchStore(self.database, settings.state)
        self.verdicts = VerdictStore(self.database)
        self.feedback = FeedbackStore(self.database)
        self.exceptions = ExceptionStore(self.database)
        self.jobs = JobStore(self.database, settings.jobs)
        self.curation = CurationStore(self.database)
        self.webhooks = WebhookStore(self.database)
        self.deliveries = DeliveryStore(self.database, settings.webhooks)

    def close(self) -> None:
        self.database.close()

    def forget_video(self, video_id: str, banks: frozenset[str] | None = None) -> None:
        """Delete what is kept of a deleted video; the audit log and the events of its deletion stay.
        banks: only its matches and exceptions of these banks; None means all that is kept. Raises
        StateError."""
        self.matches.forget_video(video_id, banks)
        self.exceptions.forget_video(video_id, banks)
        if banks is not None:
            return
        self.curation.enable(video_id)
        self.quotas.forget_payer(video_id)
        self.jobs.forget_video(video_id)
        self.deliveries.forget_video(video_id)
        self.answers.forget_video(video_id)
