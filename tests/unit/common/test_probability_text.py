"""Probabilities as text."""

from __future__ import annotations

import pytest

from common.probability_text import probability_text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "<0.1%"),
        (0.00099, "<0.1%"),
        (0.001, "0.1%"),
        (0.931, "93.1%"),
        (0.999, "99.9%"),
        (0.99901, ">99.9%"),
        (1.0, ">99.9%"),
    ],
)
def test_no_probability_is_told_as_certain(probability: float, text: str) -> None:
    assert probability_text(probability) == text
