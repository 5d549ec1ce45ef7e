"""Logging of services: one line per event on standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any

from common.log_context import current_log_context
from common.printable import printable, printable_json
from common.settings import ServiceSettings

# One JSON object per request; see `common/http/request_log.py`.
ACCESS_LOGGER = "storyhash.access"
# While a broker does not respond, each client of kafka-python logs an error per attempt and kind.
_KAFKA_PAUSE_SECONDS = 60.0
_KAFKA_KINDS = 200


def start_logging(settings: ServiceSettings | None = None) -> None:
    """Start logging: StoryHash's own loggers, and warnings of other libraries.

    settings: the level of StoryHash's own loggers, and whether each event is a JSON object with the ids
    of `common.log_context` (default: lines of text)."""
    settings = settings or ServiceSettings()
    handler = logging.StreamHandler(sys.stderr)
    text = _Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else text)
    handler.addFilter(_RepeatedKafkaErrors())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("storyhash").setLevel(settings.log_level.upper())
    # Its lines are JSON, without a prefix.
    access = logging.getLogger(ACCESS_LOGGER)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(message)s"))
    access.handlers = [lines]
    access.setLevel(logging.INFO)
    access.propagate = False
    logging.getLogger("kafka").setLevel(logging.ERROR)
    # It logs two errors per attempt to connect. Our transport logs an outage once, with its reason.
    logging.getLogger("kafka.net").setLevel(logging.CRITICAL)
    # It warns at each attempt to reach a collector; the error after the last one is enough.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)


class _RepeatedKafkaErrors(logging.Filter):
    """Leaves out an error of kafka-python if one of the last minute differs only in its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the event is logged."""
        if not record.name.startswith("kafka"):
            return True
        kind = (record.name, re.sub(r"\d+", "", record.getMessage()))
        now = time.monotonic()
        if now - self._logged.get(kind, -_KAFKA_PAUSE_SECONDS) < _KAFKA_PAUSE_SECONDS:
            return False
        if len(self._logged) >= _KAFKA_KINDS:
            self._logged.clear()
        self._logged[kind] = now
        return True


class _JsonFormatter(logging.Formatter):
    """Formats an event as one JSON object: time (RFC 3339), level, logger, message, ids that are known,
    and the traceback under `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current_log_context(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(event, ensure_ascii=False))


class _Formatter(logging.Formatter):
    """Formats an event on one line, with special characters escaped; a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable(super().formatException(ei), lines=True)
