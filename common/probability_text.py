"""A probability as text. No fitted probability is certain, so none is printed as 0 or 100 %."""

from __future__ import annotations

_LEAST, _MOST = 0.001, 0.999


def probability_text(probability: float) -> str:
    """For example `93.1%`, `>99.9%` or `<0.1%`. probability: 0 to 1."""
    if probability > _MOST:
        return f">{_MOST:.1%}"
    return f"<{_LEAST:.1%}" if probability < _LEAST else f"{probability:.1%}"
