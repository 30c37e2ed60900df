"""Results on scales that suit a model, and on the scale on which they are traded."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import yeojohnson, yeojohnson_normmax

Floats = npt.NDArray[np.float64]
Kind = Literal["logarithms", "powers"]
FEWEST_FOR_POWER = 5  # different results
POWERS = (-1.0, 3.0)  # least and largest
NUM_STEPS = 200  # of a distribution function
FARTHEST = 4  # standard deviations from a mean that it reaches
EVEN = 0.1  # of the scale of ranks, even in scores
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(12)


class Scores:
    """An increasing map of results to about standard normal ones.

    ``logarithms`` are for costs. ``powers`` is the transformation of Yeo and Johnson (doi:10.1093/biomet/87.4.954) that
    makes the results most like a normal sample, so that a few very bad ones do not make all others look alike. Normal
    quantiles of ranks do that, too, but to them equally good results, of which a search finds many, look different.

    Args:
        values: the results, which fit the map.
        kind: which one; the logarithm is that of the absolute value, with the sign of the results.
    """

    def __init__(self, values: Floats, kind: Kind) -> None:
        self._kind, self._sign = kind, 1.0 if np.median(values) >= 0 else -1.0
        self._middle = float(np.median(values))
        self._unit = float(np.median(np.abs(values - self._middle))) or float(values.std()) or 1.0
        self._power = 1.0
        if kind == "powers" and len(np.unique(values)) >= FEWEST_FOR_POWER:
            with np.errstate(all="ignore"):
                found = yeojohnson_normmax((values - self._middle) / self._unit)
            self._power = float(np.clip(found, *POWERS)) if np.isfinite(found) else 1.0
        plain = self._plain(values)
        self._center, self._spread = float(plain.mean()), float(plain.std()) or 1.0

    def __call__(self, values: Floats) -> Floats:
        """The scores of results."""
        return (self._plain(values) - self._center) / self._spread

    def size(self, scores: Floats) -> Floats:
        """The absolute values of the results that have these scores, of ``logarithms``."""
        assert self._kind == "logarithms"
        return np.exp(self._sign * (scores * self._spread + self._center))

    def _plain(self, values: Floats) -> Floats:
        if self._kind == "logarithms":
            return self._sign * np.log(np.maximum(np.abs(values), 1e-300))
        return yeojohnson((values - self._middle) / self._unit, self._power)


class Ranks:
    """About the share of the space that is better than a score, as a model expects it.

    Objectives are traded by these shares, which depend neither on an objective's unit nor on whether it is logarithmic.
    A part of the scale is even in the scores: beyond the best that is expected of the space, better is still better.

    Args:
        means, deviations: what the model predicts for points drawn evenly from the space; a deviation of 0 is a known
            value.
        scores: further ones that the map must tell apart, such as those of the results.

    Example:
        >>> ranks = Ranks(np.array([0.0, 1.0, 2.0, 3.0]), np.zeros(4), np.array([0.0]))
        >>> ranks(np.array([-9.0, 1.5, 9.0]))
        array([0. , 0.5, 1. ])
    """

    def __init__(self, means: Floats, deviations: Floats, scores: Floats) -> None:
        low = min(float((means - FARTHEST * deviations).min()), float(scores.min(initial=np.inf)))
        high = max(float((means + FARTHEST * deviations).max()), float(scores.max(initial=-np.inf)))
        if deviations.any():
            self._scores = np.linspace(low, high, NUM_STEPS)
            shares = ndtr((self._scores[:, None] - means) / np.maximum(deviations, 1e-9)).mean(axis=1)
        else:
            known, counts = np.unique(means, return_counts=True)
            self._scores = np.r_[min(low, known[0]) - 1e-9, known, max(high, known[-1]) + 1e-9]
            shares = np.r_[0.0, (np.cumsum(counts) - counts / 2) / len(means), 1.0]
        even = (self._scores - self._scores[0]) / (self._scores[-1] - self._scores[0] or 1.0)
        self._shares = (1 - EVEN) * shares + EVEN * even

    def __call__(self, scores: Floats) -> Floats:
        """The shares, in [0, 1]."""
        return np.interp(scores, self._scores, self._shares)
