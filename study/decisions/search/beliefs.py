"""Recipes that are believed to be good: by how much a search prefers them to what its model says.

The expected gain of a configuration is multiplied by a factor that is largest where it equals a believed recipe, falls
with each trial that was like the recipe, so that results soon speak for themselves, and counts only as far as the
configuration costs little compared with what was spent already, so that a wrong belief cannot cost much. A prior that
multiplies the acquisition and fades: Hvarfner et al. 2022 (arXiv:2204.11051), which fades with the number of all trials
and does not look at costs.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from study.decisions.search.positions import units_of
from study.decisions.search.space import Point, Space
from study.spec import Params

Floats = npt.NDArray[np.float64]
WORTH = 10.0  # times the expected gain, where a recipe is met and has not been tried
SHARE = 0.25  # of what was spent, up to which a configuration counts as cheap
WIDTH = 0.25  # of a step in one factor, in units of its range, at which the likeness is that of one standard deviation
BASES = 20  # configurations that fill in what a recipe leaves open


class Beliefs:
    """The believed recipes of a search.

    Args:
        recipes: values of some factors each, or of all.
        space: the searched space.
    """

    def __init__(self, recipes: Sequence[Params], space: Space) -> None:
        self._space = space
        self._recipes = [
            np.array([units[name] if name in recipe else np.nan for name in space.names])
            for recipe in recipes
            for units in [units_of(recipe, space.spec)]
        ]

    def __bool__(self) -> bool:
        return bool(self._recipes)

    def points(self, bases: Sequence[Point]) -> list[Point]:
        """The recipes, with what they leave open as in some of ``bases``."""
        units = [np.where(np.isnan(one), base.units, one) for one in self._recipes for base in bases[:BASES]]
        return [self._space.at(row) for row in np.unique(units, axis=0)] if units else []

    def factor(self, many: Sequence[Point], begun: Sequence[Point], share: Floats) -> Floats:
        """By what the expected gains are multiplied, from 1 to 1 + ``WORTH``.

        Args:
            many: configurations.
            begun: those of the study so far.
            share: what each of ``many`` costs, as a share of what was spent so far.
        """
        preferred = [self._like(one, many) / (1 + self._like(one, begun).sum()) for one in self._recipes]
        return 1 + WORTH * np.max(preferred, axis=0) * np.minimum(1.0, SHARE / np.maximum(share, 1e-300))

    def _like(self, recipe: Floats, many: Sequence[Point]) -> Floats:
        """How alike configurations and a recipe are in the factors that it names, from 0 to 1."""
        units = np.array([point.units for point in many]).reshape(len(many), len(recipe))
        steps = np.abs(units - recipe)
        apart = np.where(self._space.is_unordered, 2 * WIDTH * (steps > 0), steps) / WIDTH
        return np.exp(-0.5 * np.nansum(apart**2, axis=1))
