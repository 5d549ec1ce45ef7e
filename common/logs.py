"""Logging of services: one line per event on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

from common.printable import printable

# One JSON object per request; see `common/http/request_log.py`.
ACCESS_LOGGER = "storyhash.access"


def start_logging(level: str = "INFO") -> None:
    """Start logging: StoryHash's own loggers, and warnings of other libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("storyhash").setLevel(level)
    # Its lines are JSON: nothing may stand before them.
    access = logging.getLogger(ACCESS_LOGGER)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(message)s"))
    access.handlers = [lines]
    access.setLevel(logging.INFO)
    access.propagate = False
    # Reconnects are told once by our own transport.
    logging.getLogger("kafka").setLevel(logging.ERROR)


class _Formatter(logging.Formatter):
    """Formats an event on one line, with special characters escaped; a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable(super().formatException(ei), lines=True)
