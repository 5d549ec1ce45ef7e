"""Intervals and paired tests against published or countable values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from evaluation.measures.pairing import QueryKey, by_query, pair
from evaluation.measures.ranking import within
from evaluation.measures.statistics import (
    EXACT_DISCORDANT_PAIRS,
    PairedOutcomes,
    Proportion,
    mcnemar,
    mcnemar_more,
    newcombe,
    wilson,
)
from evaluation.records import QueryRow
from tests.support.evaluation_rows import found, row

shares = st.integers(1, 500).flatmap(
    lambda total: st.builds(Proportion, st.integers(0, total), st.just(total))
)


def test_wilson_as_published() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I: 81/263, 15/148, 0/20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_newcombe_as_published() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10: 56/70 against 48/80."""
    low, high = newcombe(Proportion(48, 80), Proportion(56, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(Proportion(0, 0), Proportion(1, 2)) == (-1, 1)


@settings(deadline=None)
@given(shares)
def test_wilson_contains_the_share(share: Proportion) -> None:
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    assert high > low


@settings(deadline=None)
@given(shares, shares)
def test_newcombe_contains_the_difference_and_turns_with_it(a: Proportion, b: Proportion) -> None:
    low, high = newcombe(a, b)
    assert low - 1e-12 <= b.value - a.value <= high + 1e-12
    assert newcombe(b, a) == pytest.approx((-high, -low))


def test_a_share_is_never_more_than_all() -> None:
    with pytest.raises(ValueError, match="got 3, 2"):
        Proportion(3, 2)
    assert math.isnan(Proportion(0, 0).value)
    assert Proportion(0, 0).interval == (0, 1)


def test_mcnemar_counts_coins() -> None:
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(1, 3) == pytest.approx(2 * (4 + 1) / 16)
    assert mcnemar(4, 4) == 1
    assert mcnemar(0, 0) == 1
    assert mcnemar_more(5, 5) == 1 / 32
    assert mcnemar_more(0, 5) == 1


def test_mcnemar_with_correction_continues_the_exact_one() -> None:
    n = EXACT_DISCORDANT_PAIRS
    for apart in (20, 60, 100):
        first, second = (n + apart) // 2, (n - apart) // 2
        assert mcnemar(first + 1, second + 1) == pytest.approx(mcnemar(first, second), abs=2e-3)


@settings(deadline=None)
@given(st.integers(0, 1500), st.integers(0, 1500))
def test_mcnemar_is_symmetric(first: int, second: int) -> None:
    p = mcnemar(first, second)
    assert p == mcnemar(second, first)
    assert 0 <= p <= 1


def test_pairs_are_joined_by_what_was_asked() -> None:
    hit, miss = found("self", 0.9), found("stranger", 0.9)
    first = [row("all", hit, video_id=v) for v in "abc"] + [row("all", hit, video_id="only here")]
    second = [row("all", hit if v == "a" else miss, video_id=v) for v in "abc"]
    paired = pair(_found(first), _found(second))
    assert paired == PairedOutcomes(both=1, first_only=2, second_only=0, neither=0)
    assert paired.first == Proportion(3, 3)
    assert paired.second == Proportion(1, 3)
    assert paired.p_value == 0.5


def test_rows_of_two_configurations_at_once_are_refused() -> None:
    twice = [row("all", configuration=name) for name in ("one", "other")]
    with pytest.raises(UsageError, match="two rows for transform 'crop_10' of 'film'"):
        by_query(twice)


def _found(rows: list[QueryRow]) -> dict[QueryKey, bool]:
    return {key: within(one, 1) is True for key, one in by_query(rows).items()}
