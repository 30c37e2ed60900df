"""The first points of a search, before there are results that a model could learn from."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from study.decisions.search.positions import unordered_choices
from study.decisions.search.space import JUST_BELOW_ONE, Point, Space

Floats = npt.NDArray[np.float64]
NUM_SPREAD = 4  # points to start with where no cost is known
NUM_POINTS = 16  # of the sequence, in case results are late
SPREAD = 0.5  # of them about the middle, as a share of the range of each factor
MOST_LEVELS = 8  # of which the cheapest config is tried


def start(space: Space, seed: int, known_cost: str | None) -> tuple[int, list[Point]]:
    """How many points a search starts with, and further points in case there are no results by then.

    Where a cost is known, the cheapest config with each level of each factor whose values have no order, so that no
    level is left out for its cost; further points are those of a scrambled Sobol' sequence, cheap ones first. Where no
    cost is known, the middle of all ranges, which are drawn about what is thought to be good, then points of such a
    sequence about it: where costs grow by factors, most of what a few points cost is that of the dearest.

    Args:
        space: the searched space.
        seed: of the sequence.
        known_cost: the name of a cost, if one is known before training.
    """
    width = len(space.names)
    points = qmc.Sobol(width, seed=seed % 2**32).random_base2(int(np.ceil(np.log2(NUM_POINTS))))
    if known_cost is None:
        spread = np.full((len(points), 1), SPREAD)
        spread[0] = 0.0
        inner = np.where(space.is_unordered, points, 0.5 + spread * (points - 0.5))
        return NUM_SPREAD, [space.at(units) for units in inner]

    def cost(point: Point) -> float:
        return point.known[known_cost]

    cheapest = [space.at(units) for units in _cheapest_of_levels(space, points, cost)]
    covering = [space.at(units) for units in points]
    return len(cheapest), cheapest + sorted(covering[: NUM_POINTS // 2], key=cost) + covering[NUM_POINTS // 2 :]


def _cheapest_of_levels(space: Space, points: Floats, cost: Callable[[Point], float]) -> list[Floats]:
    """For each level of the unordered factors, a point with that level that is changed until it is cheapest.

    Factors that do not influence the cost keep the values of ``points``.
    """
    found: list[Floats] = []
    for place, factor in enumerate(space.spec.factors):
        choices = unordered_choices(factor)
        for level in range(len(choices)):
            units = points[len(found) % len(points)].copy()
            units[place] = (level + 0.5) / len(choices)
            found.append(_cheapest(space, units, place, cost))
    return found[:MOST_LEVELS] or [_cheapest(space, points[0].copy(), -1, cost)]


def _cheapest(space: Space, units: Floats, fixed: int, cost: Callable[[Point], float]) -> Floats:
    """``units`` with each factor but the ``fixed`` one at its cheapest end or level, one after the other."""
    for place, factor in enumerate(space.spec.factors):
        if place == fixed:
            continue
        count = len(unordered_choices(factor))
        tried = [(level + 0.5) / count for level in range(count)] or [0.0, JUST_BELOW_ONE]
        for value in tried:
            other = units.copy()
            other[place] = value
            if cost(space.at(other)) < cost(space.at(units)):
                units = other
    return units
