"""Expected hypervolume improvement over independent objectives, of which some may be known: exact, by boxes.

All objectives are to be minimised. With one objective it is the expected improvement. Source: the decomposition of the
space that is not dominated into boxes (Emmerich, Deutz and Klinkenberg 2011, doi:10.1109/CEC.2011.5949880), here those
of the grid that a front spans in all axes but the last.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
MAX_CELLS = 4_000_000  # of candidates times boxes that are in memory at a time


class Marginal(Protocol):
    """What is believed of one objective of each candidate."""

    def shortfall(self, bounds: Floats, rows: slice) -> Floats:
        """``E[max(0, bound - Y)]`` (candidates in ``rows``, bounds); 0 for a bound of minus infinity."""

    def expected(self) -> Floats:
        """The means (candidates,)."""


class Gaussian:
    """A normal distribution for each candidate; a deviation of 0 is a known value.

    Args:
        mean, deviation: (candidates,).
    """

    def __init__(self, mean: Floats, deviation: Floats) -> None:
        self.mean, self.deviation = mean, deviation

    def expected(self) -> Floats:
        """As given."""
        return self.mean

    def shortfall(self, bounds: Floats, rows: slice) -> Floats:
        """In closed form."""
        gap = np.where(np.isneginf(bounds), 0.0, bounds)[None, :] - self.mean[rows, None]
        spread = self.deviation[rows, None]
        z = gap / np.maximum(spread, 1e-12)
        density = np.exp(-0.5 * np.clip(z, -38, 38) ** 2) / np.sqrt(2 * np.pi)
        expected = np.where(spread > 0, gap * ndtr(z) + spread * density, gap)
        return np.where(np.isneginf(bounds)[None, :], 0.0, np.maximum(0.0, expected))


class Nodes:
    """A discrete distribution for each candidate, such as the nodes of a quadrature.

    Args:
        values: (candidates, nodes).
        weights: (nodes,), with sum 1.
    """

    def __init__(self, values: Floats, weights: Floats) -> None:
        self.values, self.weights = values, weights

    def expected(self) -> Floats:
        """The weighted mean of the nodes."""
        return self.values @ self.weights

    def shortfall(self, bounds: Floats, rows: slice) -> Floats:
        """The weighted sum over the nodes."""
        total = np.zeros((len(self.values[rows]), len(bounds)))
        for node, weight in zip(self.values[rows].T, self.weights, strict=True):
            total += weight * np.maximum(0.0, bounds[None, :] - node[:, None])
        return total


def expected_improvement(
    marginals: Sequence[Marginal], num_candidates: int, front: Floats, reference: Floats
) -> Floats:
    """By how much the hypervolume that ``front`` dominates within ``reference`` is expected to grow.

    Args:
        marginals: of each objective.
        num_candidates: how many candidates they describe.
        front: (points, objectives); dominated points and those beyond the reference change nothing.
        reference: (objectives,), the worst values that count.

    Returns:
        (candidates,).

    Example:
        >>> one = [Gaussian(np.array([0.0]), np.array([1.0]))]
        >>> expected_improvement(one, 1, np.array([[0.0]]), np.array([9.0])).round(4)
        array([0.3989])
    """
    front = front[(front < reference).all(axis=1)]
    edges = [np.unique(np.r_[-np.inf, front[:, axis], reference[axis]]) for axis in range(len(reference) - 1)]
    heights, places = np.unique(_heights(front, reference, edges), return_inverse=True)
    places = places.reshape([len(axis) - 1 for axis in edges])
    step = max(1, MAX_CELLS // max(1, places.size))
    parts = []
    for start in range(0, num_candidates, step):
        rows = slice(start, min(num_candidates, start + step))
        volume = marginals[-1].shortfall(heights, rows)[:, places]
        for marginal, axis in zip(reversed(marginals[:-1]), reversed(edges), strict=True):
            strips = np.diff(marginal.shortfall(axis, rows), axis=1)
            volume = np.einsum("c...k,ck->c...", volume, strips)
        parts.append(volume)
    return np.concatenate(parts) if parts else np.zeros(0)


def _heights(front: Floats, reference: Floats, edges: Sequence[Floats]) -> Floats:
    """For each cell of the grid, the value of the last objective from which on it is dominated."""
    heights = np.full([len(axis) - 1 for axis in edges], reference[-1])
    for point in front:
        starts = [int(np.searchsorted(axis, value)) for axis, value in zip(edges, point[:-1], strict=True)]
        beyond = tuple(slice(start, None) for start in starts)
        heights[beyond] = np.minimum(heights[beyond], point[-1])
    return heights
