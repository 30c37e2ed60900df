"""The region of interest of a study: the bounds on its objectives, and by how much a configuration misses them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from study.trainable import Direction

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bound:
    """Where the region ends in one objective, in the unit of its metric; the region's values are better or equal."""

    name: str
    direction: Direction
    value: float

    def miss(self, measured: float) -> float:
        """By what share of the bound ``measured`` misses it; negative inside. Of a bound of 0, by how much."""
        short = self.value - measured if self.direction == "maximize" else measured - self.value
        return short / (abs(self.value) or 1.0)

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.direction == 'maximize' else '<='} {self.value:g}"


@dataclass(frozen=True)
class Region:
    """The part of objective space that is of interest; without bounds, all of it.

    A configuration that dominates one inside is inside, too: bounds are on the worse side alone. So the members of the
    front that are inside are the front of all that is inside.

    Example:
        >>> region = region_in([{"name": "clean", "direction": "maximize", "at_least": 80}])
        >>> region.misses({"clean": 60.0}), bool(region), str(region)
        ({'clean': 0.25}, True, 'clean >= 80')
    """

    bounds: tuple[Bound, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def __str__(self) -> str:
        return ", ".join(str(bound) for bound in self.bounds)

    def misses(self, means: Mapping[str, float | None]) -> dict[str, float]:
        """Objective -> by what share of its bound it misses the region, negative inside; without unknown ones."""
        known = [(bound, means.get(bound.name)) for bound in self.bounds]
        return {bound.name: bound.miss(value) for bound, value in known if value is not None}

    def distances(self, points: Floats, names: Sequence[str]) -> Floats:
        """How far each row of ``points`` (n, objectives) is from the region: the sum of its misses, 0 inside (n,)."""
        total = np.zeros(len(points))
        for bound in self.bounds:
            column = points[:, list(names).index(bound.name)]
            sign = -1.0 if bound.direction == "maximize" else 1.0
            total += np.maximum(sign * (column - bound.value) / (abs(bound.value) or 1.0), 0)
        return total

    def holds(self, points: Floats, names: Sequence[str]) -> Flags:
        """Marks the rows of ``points`` (n, objectives) that are inside; a row with an unknown value is not."""
        inside: Flags = self.distances(points, names) == 0
        return inside


def region_in(objectives: Sequence[Mapping[str, Any]]) -> Region:
    """The region that the objectives of a recorded spec bound; those of earlier versions bound none."""
    found = []
    for one in objectives:
        value = one.get("at_least" if one["direction"] == "maximize" else "at_most")
        if value is not None:
            found.append(Bound(one["name"], one["direction"], float(value)))
    return Region(tuple(found))
