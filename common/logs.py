"""Logging of services: one line per event on standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from common.log_context import current_log_context
from common.printable import printable, printable_json
from common.settings import ServiceSettings

# One JSON object per request; see `common/http/request_log.py`.
ACCESS_LOGGER = "storyhash.access"
# While a dependency does not respond, every thread that needs it warns at each attempt, and each client
# of kafka-python logs an error per attempt and kind.
_PAUSE_SECONDS = 60.0
_MAX_KINDS = 200
# What kafka-python says while no broker answers. `BrokerWatch` reports that once, with what to do. It
# says `Cancelled` where we close a client before its first answer, as a producer with nothing to send.
_OUTAGE = re.compile(r"\b(RequestTimedOutError|KafkaConnectionError|NodeNotReadyError|Cancelled)\b")


def start_logging(settings: ServiceSettings | None = None) -> None:
    """Start logging: StoryHash's own loggers, and warnings of other libraries.

    settings: the level of StoryHash's own loggers, and whether each event is a JSON object with the ids
    of `common.log_context` (default: lines of text)."""
    settings = settings or ServiceSettings()
    handler = logging.StreamHandler(sys.stderr)
    text = _Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else text)
    handler.addFilter(_Repeated())
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


class _Repeated(logging.Filter):
    """Leaves out a warning of ours, or an event of kafka-python, if one of the last minute was the same.
    The next one has their number as `left_out`. Errors of ours are always logged, and those of
    kafka-python that only say that no broker answers, or that we closed a client, never are."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[tuple[object, ...], float] = {}
        self._left_out: Counter[tuple[object, ...]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the event is logged."""
        if record.name.startswith("kafka") and _OUTAGE.search(record.getMessage()):
            return False
        kind = _kind(record)
        if kind is None:
            return True
        now = time.monotonic()
        if now - self._logged.get(kind, -_PAUSE_SECONDS) < _PAUSE_SECONDS:
            self._left_out[kind] += 1
            return False
        if len(self._logged) >= _MAX_KINDS:
            self._logged.clear()
            self._left_out.clear()
        self._logged[kind] = now
        record.left_out = self._left_out.pop(kind, 0)
        return True


def _kind(record: logging.LogRecord) -> tuple[object, ...] | None:
    """What the same events have in common; None for events that are always logged. Fractions are left
    out: they are times, such as a pause that grows."""
    if record.name.startswith("kafka"):
        return record.name, re.sub(r"\d+", "", record.getMessage())
    if record.levelno != logging.WARNING or not record.name.startswith("storyhash"):
        return None
    arguments = record.args if isinstance(record.args, tuple) else (record.args,)
    same = (str(one) for one in arguments if not isinstance(one, float))
    return record.name, record.msg, current_log_context().get("video_id"), *same


def _message(record: logging.LogRecord) -> str:
    """The message, and how many of its kind were left out before it."""
    message = record.getMessage()
    left_out = getattr(record, "left_out", 0)
    return f"{message} ({left_out} more like this since the last one)" if left_out else message


class _JsonFormatter(logging.Formatter):
    """Formats an event as one JSON object: time (RFC 3339), level, logger, message, ids that are known,
    and the traceback under `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **current_log_context(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(event, ensure_ascii=False))


class _Formatter(logging.Formatter):
    """Formats an event on one line, with special characters escaped; a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        record.message = _message(record)
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable(super().formatException(ei), lines=True)
