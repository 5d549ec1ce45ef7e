"""Parts of a query as text, for addresses: `12.5-31` is from 12.5 to 31 seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from common.errors import UsageError
from common.types import TimeSpans

_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)-(\d{1,9}(?:\.\d{1,6})?)")


def spans_to_text(spans: TimeSpans) -> list[str]:
    """Each span as text, rounded to a millisecond."""
    return [f"{start:.3f}-{end:.3f}" for start, end in spans]


def spans_from_text(texts: Sequence[str]) -> TimeSpans:
    """The spans of these texts. Raises UsageError unless each is one that begins after the one
    before it."""
    spans: list[tuple[float, float]] = []
    for text in texts:
        found = _TEXT.fullmatch(text)
        start, end = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if end <= start or (spans and start < spans[-1][1]):
            raise UsageError(
                "within: expected seconds such as 12.5-31, and each part after the one before it, got "
                f"{text[:40]!r}"
            )
        spans.append((start, end))
    return tuple(spans)
