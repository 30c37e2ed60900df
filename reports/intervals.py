"""Confidence intervals of accuracies."""

from functools import cache

from scipy.stats import binomtest


@cache
def wilson_95(accuracy_percent: float, num_images: int) -> tuple[float, float]:
    """The Wilson 95% interval of an accuracy, in percent: (low, high).

    It covers the drawing of the evaluated images alone, not the seed of the training. E. B. Wilson (1927),
    doi:10.1080/01621459.1927.10502953; computed by ``scipy.stats``.

    Args:
        accuracy_percent: share of correct images, in [0, 100]; taken to the nearest whole number of images.
        num_images: how many images were evaluated, at least 1.

    Raises:
        ValueError: for a value outside those ranges.
    """
    if not 0 <= accuracy_percent <= 100:
        raise ValueError(f"accuracy_percent must be within [0, 100]: {accuracy_percent=}")
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1: {num_images=}")
    num_correct = round(accuracy_percent / 100 * num_images)
    interval = binomtest(num_correct, num_images).proportion_ci(confidence_level=0.95, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)
