"""Noise of measured values: between seeds, and from the sampling of the evaluated examples."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.record.intervals import Z_95

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-9


@dataclass(frozen=True)
class SeedNoise:
    """Covariance of the objectives between seeds of one configuration, shape (objectives, objectives).

    ``degrees_of_freedom`` is the number of seeds minus the number of configurations that they are pooled from; if it is
    0, the covariance is zero because nothing is known, not because there is no noise.
    """

    covariance: Floats
    degrees_of_freedom: int


def pooled_seed_noise(values: Floats, owners: npt.NDArray[np.int64]) -> SeedNoise:
    """The within-configuration covariance, pooled over all configurations with at least two seeds.

    Args:
        values: (seeds, objectives), finite.
        owners: the configuration of each row, as any integers.
    """
    scatter, degrees = np.zeros((values.shape[1], values.shape[1])), 0
    order = np.argsort(owners, kind="stable")
    for own in np.split(values[order], np.flatnonzero(np.diff(owners[order])) + 1):
        if len(own) < 2:
            continue
        deviations = own - own.mean(axis=0)
        deviations[np.abs(deviations) < ROUNDING] = 0  # a cost that is equal for all seeds has no noise
        scatter += deviations.T @ deviations
        degrees += len(own) - 1
    return SeedNoise(scatter / degrees if degrees else scatter, degrees)


def example_variance(percent: float, num_examples: int | None) -> float:
    """The variance of a share over samples of ``num_examples`` examples, in squared percent; 0 if n is not known.

    Binomial variance at the centre of Wilson's interval, so that 0 of n and n of n are not treated as certain.
    """
    if not num_examples or not math.isfinite(percent):
        return 0.0
    squared = Z_95**2
    share = (percent / 100 * num_examples + squared / 2) / (num_examples + squared)
    return 1e4 * share * (1 - share) / num_examples
