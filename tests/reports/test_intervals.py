"""Wilson intervals against the closed form."""

import math

import pytest

from reports.intervals import wilson_95

Z = 1.959963984540054  # the 97.5% quantile of the normal distribution


def closed_form(num_correct: int, n: int) -> tuple[float, float]:
    """Wilson (1927): (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), in percent."""
    p = num_correct / n
    middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return 100 * (middle - half) / (1 + Z**2 / n), 100 * (middle + half) / (1 + Z**2 / n)


@pytest.mark.parametrize(("num_correct", "n"), [(0, 10), (10, 10), (1, 1), (163, 360), (2770, 10_000)])
def test_closed_form(num_correct: int, n: int) -> None:
    assert wilson_95(100 * num_correct / n, n) == pytest.approx(closed_form(num_correct, n), abs=1e-9)


def test_half_of_a_hundred_is_the_textbook_interval() -> None:
    assert wilson_95(50.0, 100) == pytest.approx((40.3832, 59.6168), abs=1e-4)


def test_a_rounded_percentage_is_taken_to_whole_images() -> None:
    assert wilson_95(33.3, 3) == pytest.approx(closed_form(1, 3), abs=1e-9)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_an_impossible_accuracy_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="accuracy_percent"):
        wilson_95(percent, 10)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="num_images"):
        wilson_95(50.0, 0)
