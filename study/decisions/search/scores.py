"""Results on scales that suit a model, and on the scale on which they are traded."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
Kind = Literal["logarithms", "normal scores", "standardised"]
NUM_STEPS = 200  # of a distribution function
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(12)


class Scores:
    """An increasing map of results to about standard normal ones.

    ``logarithms`` and ``standardised`` are linear, in the logarithms of the results or in themselves; ``normal scores``
    are the normal quantiles of their ranks, so that no increasing change of a metric alters a search. Between two
    results they are interpolated, beyond all of them they are as the best or worst one.

    Args:
        values: the results, which fit the map.
        kind: which one; the logarithm is that of the absolute value, with the sign of the results.
    """

    def __init__(self, values: Floats, kind: Kind) -> None:
        self._kind, self._sign = kind, 1.0 if np.median(values) >= 0 else -1.0
        if kind == "normal scores":
            self._known, counts = np.unique(values, return_counts=True)
            middle = np.cumsum(counts) - counts / 2
            self._scores = ndtri(middle / len(values))
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
        if self._kind == "normal scores":
            return np.interp(values, self._known, self._scores)
        if self._kind == "logarithms":
            return self._sign * np.log(np.maximum(np.abs(values), 1e-300))
        return values


class Ranks:
    """The share of the space that is better than a score, as a model expects it: a distribution function.

    Objectives are traded by these shares. They do not depend on an objective's unit, nor on whether it is logarithmic.

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
        if not deviations.any():
            self._scores, counts = np.unique(means, return_counts=True)
            self._shares = (np.cumsum(counts) - counts / 2) / len(means)
            self._scores = np.r_[self._scores[0] - 1e-9, self._scores, self._scores[-1] + 1e-9]
            self._shares = np.r_[0.0, self._shares, 1.0]
            return
        low = min(float((means - 4 * deviations).min()), float(scores.min(initial=np.inf)))
        high = max(float((means + 4 * deviations).max()), float(scores.max(initial=-np.inf)))
        self._scores = np.linspace(low, high, NUM_STEPS)
        self._shares = ndtr((self._scores[:, None] - means) / np.maximum(deviations, 1e-9)).mean(axis=1)

    def __call__(self, scores: Floats) -> Floats:
        """The shares, in [0, 1]."""
        return np.interp(scores, self._scores, self._shares)
