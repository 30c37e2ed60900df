"""Verdicts of paired differences and their intervals, on differences drawn with known means; no number is a result."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.answer.paired import PairedDifference, paired_difference, pairs_needed, verdict_of


@pytest.mark.parametrize("pairs", [3, 8, 25])
def test_the_interval_covers_the_truth_95_times_of_100(pairs: int) -> None:
    luck = np.random.default_rng(pairs)
    found = [paired_difference(luck.normal(1.5, 2.0, pairs).tolist()) for _ in range(4000)]
    covered = np.mean([one.low <= 1.5 <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_the_interval_is_that_of_scipy() -> None:
    values = [3.0, -1.0, 2.5, 0.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = paired_difference(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    wider = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 6)
    assert paired_difference(values, looked_at=6).high == pytest.approx(wider.high)


def test_the_clearest_of_many_is_covered_too() -> None:
    """Of ten comparisons without any effect, the clearest one is taken for one in at most a twentieth of studies."""
    luck = np.random.default_rng(1)
    misses = []
    for _ in range(1500):
        columns = [luck.normal(0, 1, 6).tolist() for _ in range(10)]
        clearest = max(columns, key=lambda values: abs(np.mean(values)) / np.std(values, ddof=1))
        found = paired_difference(clearest, looked_at=10)
        misses.append(not found.low <= 0 <= found.high)
    assert np.mean(misses) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.parametrize(
    ("low", "high", "margin", "expected"),
    [
        (0.5, 3.5, 1.0, "better"),
        (-3.5, -0.5, 1.0, "worse"),
        (-0.9, 0.8, 1.0, "equal"),
        (0.1, 0.9, 1.0, "equal"),
        (-0.1, 1.1, 1.0, "undecided"),
        (-5.0, 0.0, 1.0, "undecided"),
        (math.nan, math.nan, 1.0, "undecided"),
    ],
)
def test_verdicts(low: float, high: float, margin: float, expected: str) -> None:
    found = PairedDifference((low + high) / 2, low, high, 1.0, 5)
    assert verdict_of(found, margin) == expected
    mirrored = {"better": "worse", "worse": "better"}.get(expected, expected)
    assert verdict_of(found, margin, maximise=False) == mirrored


@pytest.mark.parametrize(
    ("truth", "right", "wrong"), [(2.0, "better", "worse"), (-2.0, "worse", "better"), (0.0, "equal", "better")]
)
def test_verdicts_about_known_effects_are_right(truth: float, right: str, wrong: str) -> None:
    luck = np.random.default_rng(3)
    verdicts = [verdict_of(paired_difference(luck.normal(truth, 1.0, 20).tolist()), 1.0) for _ in range(500)]
    assert verdicts.count(right) > 400
    assert verdicts.count(wrong) < 20


@pytest.mark.parametrize("mean", [0.0, 0.3, 0.8, 2.0, -1.4])
@pytest.mark.parametrize("spread", [0.7, 4.0])
def test_the_pairs_needed_are_the_fewest_that_would_decide(mean: float, spread: float) -> None:
    reach = stats.t.ppf(0.975, 2) * spread / math.sqrt(3)
    found = PairedDifference(mean, mean - reach, mean + reach, spread, 3)
    needed = pairs_needed(found, 1.0)
    if verdict_of(found, 1.0) != "undecided":
        assert needed == 3
        return
    for pairs in range(4, 2000):
        reach = stats.t.ppf(0.975, pairs - 1) * spread / math.sqrt(pairs)
        if verdict_of(PairedDifference(mean, mean - reach, mean + reach, spread, pairs), 1.0) != "undecided":
            assert needed == pairs
            return
    pytest.fail("not decided by 2000 pairs")


def test_without_a_spread_nothing_is_known() -> None:
    assert pairs_needed(paired_difference([2.0]), 1.0) is None
    assert pairs_needed(paired_difference([]), 1.0) is None
    assert math.isnan(paired_difference([2.0]).low) and math.isnan(paired_difference([]).mean)
    assert pairs_needed(paired_difference([1000.0, -1000.0]), 0.5) is None


def test_equal_counts_of_examples_are_no_certainty() -> None:
    """Two pairs that agree by the rounding of shares have the spread of that rounding."""
    exact, rounded = paired_difference([0.4, 0.4]), paired_difference([0.4, 0.4], least_spread=0.2)
    assert (exact.low, exact.high) == (0.4, 0.4)
    assert verdict_of(exact, 0.1) == "better" and verdict_of(rounded, 0.1) == "undecided"
