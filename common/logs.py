"""Where services write what they do: one line an event on standard error."""

from __future__ import annotations

import logging
import sys


def start_logging(level: str = "INFO") -> None:
    """Have StoryHash's own loggers write lines; other libraries' only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("storyhash").setLevel(level)
    # Reconnects are told once by our own transport.
    logging.getLogger("kafka").setLevel(logging.ERROR)
