"""Paired differences, what they decide, and how many more pairs would decide. Numbers in, plain records out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better", "worse", "equal", "undecided"]
MOST_PAIRS = 10_000  # beyond, a number of pairs is not given


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences.

    Args:
        mean: NaN without pairs.
        low, high: Student's t interval of the mean; NaN for fewer than two pairs.
        spread: the standard deviation of the differences; NaN for fewer than two pairs.
        pairs: how many there are.
        looked_at: among how many comparisons this one was chosen: the interval is one of 95% for all of them together.
    """

    mean: float
    low: float
    high: float
    spread: float
    pairs: int
    looked_at: int = 1


def paired_difference(
    differences: Sequence[float], *, looked_at: int = 1, least_spread: float = 0.0
) -> PairedDifference:
    """The mean of ``differences`` and its interval, which covers the truth 95 times of 100 if they are normal.

    Args:
        differences: one for each pair; pairs are independent of each other.
        looked_at: among how many comparisons the clearest was chosen; Bonferroni's correction makes the interval wider.
        least_spread: what the spread is at least, as two values that are counts of examples may agree by chance.

    Example:
        >>> found = paired_difference([1.0, 2.0, 3.0])
        >>> found.mean, round(found.low, 2), round(found.high, 2)
        (2.0, -0.48, 4.48)
    """
    count = len(differences)
    mean = sum(differences) / count if count else math.nan
    if count < 2:
        return PairedDifference(mean, math.nan, math.nan, math.nan, count, looked_at)
    spread = math.sqrt(sum((value - mean) ** 2 for value in differences) / (count - 1))
    spread = max(spread, least_spread) if spread > 1e-9 or least_spread else 0.0
    reach = _reach(spread, count, looked_at)
    return PairedDifference(mean, mean - reach, mean + reach, spread, count, looked_at)


def verdict_of(found: PairedDifference, margin: float, *, maximise: bool = True) -> Verdict:
    """What a difference decides: equal if all of its interval is within the margin, else better or worse if 0 is not.

    Example:
        >>> verdict_of(PairedDifference(2.0, 0.5, 3.5, 1.0, 8), margin=1.0)
        'better'
        >>> verdict_of(PairedDifference(0.3, 0.1, 0.5, 1.0, 8), margin=1.0)
        'equal'
    """
    if math.isnan(found.low):
        return "undecided"
    if -margin <= found.low and found.high <= margin:
        return "equal"
    if found.low <= 0 <= found.high:
        return "undecided"
    return "better" if (found.mean > 0) == maximise else "worse"


def pairs_needed(found: PairedDifference, margin: float) -> int | None:
    """How many pairs would decide, if their mean and spread stayed as they are; None if not known, or over 10,000.

    The interval must become so narrow that it holds 0 no more, or lies within the margin, whichever needs fewer pairs.

    Example:
        >>> pairs_needed(PairedDifference(1.0, -1.5, 3.5, 1.0, 3), margin=1.0)
        7
    """
    if math.isnan(found.low):
        return None
    wanted = max(abs(found.mean), margin - abs(found.mean))
    low, high = found.pairs, MOST_PAIRS
    if _reach(found.spread, high, found.looked_at) > wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        if _reach(found.spread, middle, found.looked_at) <= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _reach(spread: float, pairs: int, looked_at: int) -> float:
    """Half the width of the interval."""
    from scipy.special import stdtrit  # a fifth of a second

    return float(stdtrit(pairs - 1, 1 - 0.025 / looked_at)) * spread / math.sqrt(pairs)
