"""Parses durations such as `30d`."""

from __future__ import annotations

import re

from common.errors import UsageError

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_GIVEN = re.compile(r"([1-9][0-9]{0,4})([mhdw])")


def seconds_of(text: str, option: str) -> int:
    """Seconds of a whole number of minutes, hours, days or weeks. Raises UsageError."""
    parts = _GIVEN.fullmatch(text)
    if parts is None:
        raise UsageError(
            f"{option}: expected a number with m, h, d or w, such as 12h or 30d, got {text!r}"
        )
    return int(parts[1]) * _SECONDS[parts[2]]
