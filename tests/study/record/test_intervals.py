"""Wilson intervals against SciPy's."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from study.record.intervals import share_difference_95, wilson_95


def by_scipy(num_correct: int, n: int) -> tuple[float, float]:
    interval = binomtest(num_correct, n).proportion_ci(confidence_level=0.95, method="wilson")
    return 100 * interval.low, 100 * interval.high


@pytest.mark.parametrize(("num_correct", "n"), [(0, 10), (10, 10), (1, 1), (163, 360), (2770, 10_000)])
def test_it_is_that_of_scipy(num_correct: int, n: int) -> None:
    assert wilson_95(100 * num_correct / n, n) == pytest.approx(by_scipy(num_correct, n), abs=1e-9)


def test_half_of_a_hundred_is_the_textbook_interval() -> None:
    assert wilson_95(50.0, 100) == pytest.approx((40.3832, 59.6168), abs=1e-4)


def test_a_rounded_percentage_is_taken_to_whole_images() -> None:
    assert wilson_95(33.3, 3) == pytest.approx(by_scipy(1, 3), abs=1e-9)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_an_impossible_accuracy_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="accuracy_percent"):
        wilson_95(percent, 10)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="num_images"):
        wilson_95(50.0, 0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((56, 70, 48, 80), (5.24, 33.39)), ((9, 10, 3, 10), (17.05, 80.90)), ((10, 10, 0, 10), (60.75, 100.0))],
)
def test_differences_of_shares_as_newcombe_prints_them(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    """Table II of Newcombe (1998), method 10."""
    one, n, other, m = counts
    assert share_difference_95((100 * other / m, m), (100 * one / n, n)) == pytest.approx(expected, abs=0.01)


def test_differences_of_shares_cover_the_truth() -> None:
    luck = np.random.default_rng(0)
    drawn = zip(luck.binomial(100, 0.4, 1000), luck.binomial(150, 0.7, 1000), strict=True)
    found = [share_difference_95((float(one), 100), (float(other) / 1.5, 150)) for one, other in drawn]
    assert np.mean([low <= 30 <= high for low, high in found]) == pytest.approx(0.95, abs=0.02)
