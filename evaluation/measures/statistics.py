"""Confidence intervals of shares, and tests of their difference. Closed forms; no scipy.

All of them assume independent queries. Queries made of one video are not quite independent, so
intervals are somewhat narrow for few videos with many transforms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

Z_TWO_SIDED_95 = NormalDist().inv_cdf(0.975)
Z_ONE_SIDED_95 = NormalDist().inv_cdf(0.95)

EXACT_DISCORDANT_PAIRS = 1000
"""Up to this number the binomial is summed exactly; beyond it, the corrected chi-square differs by less
than 1e-3."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """`count` of `total`. The value of an empty one is NaN, which means not measured."""

    count: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"share: expected 0 <= count <= total, got {self.count}, {self.total}")

    @property
    def value(self) -> float:
        """The share itself, 0 to 1."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.count, self.total)


@dataclass(frozen=True, slots=True)
class PairedOutcomes:
    """Outcomes of the same queries under two configurations. Only the discordant pairs (`first_only`,
    `second_only`) tell the configurations apart."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def total(self) -> int:
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def first(self) -> Proportion:
        return Proportion(self.both + self.first_only, self.total)

    @property
    def second(self) -> Proportion:
        return Proportion(self.both + self.second_only, self.total)

    @property
    def p_value(self) -> float:
        """McNemar's test, two-sided."""
        return mcnemar(self.first_only, self.second_only)


def wilson(count: int, total: int, z: float = Z_TWO_SIDED_95) -> tuple[float, float]:
    """Wilson's score interval of a binomial share; (0, 1) if the total is 0.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    It stays inside [0, 1] and has a width at 0 and 1, where the normal approximation has none.
    """
    if not total:
        return 0.0, 1.0
    share = count / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    middle, scale = share + z * z / (2 * total), 1 + z * z / total
    low, high = (middle - spread) / scale, (middle + spread) / scale
    # Rounding must not put the share outside its interval.
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def newcombe(
    first: Proportion, second: Proportion, z: float = Z_TWO_SIDED_95
) -> tuple[float, float]:
    """The interval of `second - first` of two independent shares; (-1, 1) if one is empty.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17, 1998, method 10: it combines the two Wilson intervals.
    """
    if not first.total or not second.total:
        return -1.0, 1.0
    a, (a_low, a_high) = first.value, wilson(first.count, first.total, z)
    b, (b_low, b_high) = second.value, wilson(second.count, second.total, z)
    return b - a - math.hypot(b - b_low, a_high - a), b - a + math.hypot(b_high - b, a - a_low)


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p of the hypothesis that both configurations succeed equally often, from the pairs in
    which only one succeeded.

    Q. McNemar, Psychometrika 12, 1947. Exact binomial for up to EXACT_DISCORDANT_PAIRS discordant
    pairs, else chi-square with one degree of freedom and A. L. Edwards' continuity correction. 1
    without pairs.
    """
    pairs = first_only + second_only
    if pairs <= EXACT_DISCORDANT_PAIRS:
        return min(1.0, 2 * mcnemar_more(max(first_only, second_only), pairs))
    difference = abs(first_only - second_only)
    return math.erfc(max(difference - 1, 0) / math.sqrt(2 * pairs))


def mcnemar_more(successes: int, pairs: int) -> float:
    """One-sided exact p: the probability of at least `successes` heads in `pairs` tosses of a fair coin.
    Exact at any size, in integers."""
    if not 0 <= successes <= pairs:
        raise ValueError(f"successes: expected 0 to {pairs}, got {successes}")
    term = ways = math.comb(pairs, successes)
    for k in range(successes, pairs):
        term = term * (pairs - k) // (k + 1)
        ways += term
    return ways / (1 << pairs)
