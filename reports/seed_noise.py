"""How much of a measured value is luck: of the seed, and of the images that were drawn for the evaluation."""

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

    ``degrees_of_freedom`` is the number of seeds less the number of configurations that they are pooled from; with 0
    the covariance is zero because nothing is known, not because there is no noise.
    """

    covariance: Floats
    degrees_of_freedom: int


def pooled_seed_noise(values: Floats, configurations: pd.Series) -> SeedNoise:
    """The within-configuration covariance, pooled over all configurations that have at least two seeds.

    Args:
        values: (seeds, objectives), finite.
        configurations: of each row, what it is a seed of.
    """
    scatter, degrees = np.zeros((values.shape[1], values.shape[1])), 0
    for rows in configurations.reset_index(drop=True).groupby(configurations.to_numpy()).indices.values():
        deviations = values[rows] - values[rows].mean(axis=0)
        deviations[np.abs(deviations) < ROUNDING] = 0  # a cost that no seed changes has no noise
        scatter += deviations.T @ deviations
        degrees += len(rows) - 1
    return SeedNoise(scatter / degrees if degrees else scatter, degrees)


def image_variance(accuracy_percent: float, num_images: int | None) -> float:
    """The variance of an accuracy over drawings of ``num_images`` images, in squared percent; 0 where n is not known.

    Binomial, at the centre of Wilson's interval, so that 0 of n and n of n are not taken for certain.
    """
    if not num_images or not math.isfinite(accuracy_percent):
        return 0.0
    squared = float(norm.ppf(0.975)) ** 2
    share = (accuracy_percent / 100 * num_images + squared / 2) / (num_images + squared)
    return 1e4 * share * (1 - share) / num_images
