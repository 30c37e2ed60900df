"""Wilson intervals against SciPy's."""

import math

import pytest
from scipy.stats import binomtest

from study.record.intervals import wilson_95


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
