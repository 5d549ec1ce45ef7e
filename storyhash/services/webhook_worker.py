"""The thread that delivers events to webhooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from common.metrics import Metrics
from common.settings import WebhookSettings
from common.state.state import State
from searcher.webhooks.deliverer import Deliverer, begin_deliveries
from searcher.webhooks.sender import Sender
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.webhooks")


class WebhookWorker(Background):
    """Delivers until it is stopped. If the state database fails, it starts again after a pause."""

    def __init__(
        self, state: Callable[[], State], settings: WebhookSettings, metrics: Metrics
    ) -> None:
        """state: the state database; it must be open before the thread starts."""
        super().__init__("webhooks", _log, restarts=True)
        self._state = state
        self._settings = settings
        self._metrics = metrics
        begin_deliveries(metrics)

    def work(self) -> None:
        """Deliver events."""
        sender = Sender(self._settings)
        deliverer = Deliverer(
            *(self._state().deliveries, sender, self._metrics),
            timeout_seconds=self._settings.timeout_seconds,
        )
        asyncio.run(deliverer.run(self._stopping))
