"""Noise of measured values: between seeds, and from the sampling of the evaluated images."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

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


def pooled_seed_noise(values: Floats, configurations: pd.Series) -> SeedNoise:
    """The within-configuration covariance, pooled over all configurations with at least two seeds.

    Args:
        values: (seeds, objectives), finite.
        configurations: the configuration of each row.
    """
    scatter, degrees = np.zeros((values.shape[1], values.shape[1])), 0
    for rows in configurations.reset_index(drop=True).groupby(configurations.to_numpy()).indices.values():
        deviations = values[rows] - values[rows].mean(axis=0)
        deviations[np.abs(deviations) < ROUNDING] = 0  # a cost that is equal for all seeds has no noise
        scatter += deviations.T @ deviations
        degrees += len(rows) - 1
    return SeedNoise(scatter / degrees if degrees else scatter, degrees)


def image_variance(accuracy_percent: float, num_images: int | None) -> float:
    """The variance of an accuracy over samples of ``num_images`` images, in squared percent; 0 if n is not known.

    Binomial variance at the centre of Wilson's interval, so that 0 of n and n of n are not treated as certain.
    """
    if not num_images or not math.isfinite(accuracy_percent):
        return 0.0
    squared = float(norm.ppf(0.975)) ** 2
    share = (accuracy_percent / 100 * num_images + squared / 2) / (num_images + squared)
    return 1e4 * share * (1 - share) / num_images
