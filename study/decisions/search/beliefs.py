"""Recipes that are believed to be good, which a search tries once they cost little of what it has spent.

A recipe is due as soon as it and the believed ones before it together cost at most a tenth of all that was spent on
results, so that a wrong belief cannot cost more than that, whatever it says, and as long as results do not speak
against it: the models must expect of it at least a tenth of the gain of the best candidate. What it shows, they learn.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from study.decisions.search.positions import units_of
from study.decisions.search.results import Row
from study.decisions.search.space import Point, Space
from study.spec import Params

Floats = npt.NDArray[np.float64]
Cost = Callable[[Sequence[Point]], Floats]
SHARE = 0.1  # of what was spent on results, up to which believed recipes may cost
WORTH = 10.0  # times the gain that the models expect of it is what a belief may count for
MANY_BASES = 20  # configurations that fill in what a recipe leaves open


class Beliefs:
    """The believed recipes of a search.

    Args:
        recipes: values of some factors each, or of all.
        space: the searched space.
    """

    def __init__(self, recipes: Sequence[Params], space: Space) -> None:
        self._recipes, self._space = recipes, space

    def __bool__(self) -> bool:
        return bool(self._recipes)

    def untried(self, begun: Sequence[Point], bases: Sequence[Point]) -> list[Point]:
        """The recipes that no configuration of ``begun`` meets, with what they leave open as in some of ``bases``."""
        found = {}
        for recipe in self._recipes:
            if any(_meets(point, recipe) for point in begun):
                continue
            units = units_of(recipe, self._space.spec)
            is_open = np.array([name not in recipe for name in self._space.names])
            for base in bases[:MANY_BASES]:
                point = self._space.at(np.where(is_open, base.units, list(units.values())))
                found[point.identity] = point
        return list(found.values())

    def are_due(
        self, untried: Sequence[Point], begun: Sequence[Point], done: Sequence[Row], costs: Sequence[Cost]
    ) -> npt.NDArray[np.bool_]:
        """Whether each of ``untried`` costs little enough, in all ``costs``; without any, trials are counted.

        Args:
            untried: believed configurations.
            begun: all of the study so far.
            done: the results.
            costs: what configurations cost, known or expected.
        """
        before = [point for point in begun if any(_meets(point, recipe) for recipe in self._recipes)]
        total = [row.point for row in done]
        is_due = np.ones(len(untried), dtype=bool)
        for cost in costs or [lambda many: np.ones(len(many))]:
            is_due &= cost(before).sum() + cost(untried) <= SHARE * cost(total).sum()
        return is_due


def _meets(point: Point, recipe: Params) -> bool:
    return recipe.items() <= point.params.items()
