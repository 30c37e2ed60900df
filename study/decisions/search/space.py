"""The searched space: points drawn from it, and what is known of them before anything is trained."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from study.decisions.search.positions import columns, params_at, units_of, unordered_choices
from study.record.journal import configuration_name
from study.spec import Params, StudySpec
from study.trainable import trainable_of

Floats = npt.NDArray[np.float64]
STEPS = (0.05, 0.15, 0.3)  # of a mutation, in units of a factor's range
FRESH = 0.2  # the share of mutated values that are drawn anew
JUST_BELOW_ONE = 1 - 1e-9


class Point:
    """A choice of factor values, and what follows from it alone; computed when asked for, once."""

    def __init__(self, params: Params, spec: StudySpec, seed: int) -> None:
        self.params, self._spec, self._seed = params, spec, seed

    @cached_property
    def config(self) -> object:
        """The config of its first trial."""
        return self._spec.config(self.params, self._seed)

    @cached_property
    def identity(self) -> str:
        """Equal for configs whose trials give equal results."""
        return trainable_of(self._spec.base).identity(self.config)

    @cached_property
    def known(self) -> Mapping[str, float]:
        """The metrics that are known before training, up to factors."""
        return trainable_of(self._spec.base).known_metrics(self.config)

    @cached_property
    def columns(self) -> list[float]:
        """What a model sees of it."""
        return columns(self.params, self._spec)

    @cached_property
    def units(self) -> Floats:
        """Its place in the unit cube."""
        return np.array(list(units_of(self.params, self._spec).values()))


class Space:
    """Draws points.

    Args:
        spec: the study.
        seed: of the first trial of each configuration.
    """

    def __init__(self, spec: StudySpec, seed: int) -> None:
        self.spec, self._seed = spec, seed
        self.names = [factor.name for factor in spec.factors]
        self.is_unordered = np.array([bool(unordered_choices(factor)) for factor in spec.factors])
        self._points: dict[str, Point] = {}

    def point(self, params: Params, name: str = "") -> Point:
        """The point of a configuration of the study, which may be given by its name, too; remembered."""
        name = name or configuration_name(params)
        if name not in self._points:
            self._points[name] = Point(params, self.spec, self._seed)
        return self._points[name]

    def at(self, units: Iterable[float]) -> Point:
        """The point at a place in the unit cube."""
        return Point(params_at(dict(zip(self.names, units, strict=True)), self.spec), self.spec, self._seed)

    def drawn(self, count: int, rng: np.random.Generator) -> Iterable[Point]:
        """Points drawn from the distributions of the factors."""
        return (self.at(rng.random(len(self.names))) for _ in range(count))

    def mutated(self, parents: Sequence[Point], count: int, rng: np.random.Generator) -> list[Point]:
        """Changes of ``parents`` in some of their factors: steps of several sizes, or values drawn anew."""
        width, found = len(self.names), []
        for number in range(count if parents else 0):
            units = parents[number % len(parents)].units
            is_changed = rng.random(width) < max(0.3, 1.5 / width)
            is_changed[rng.integers(width)] = True
            is_fresh = self.is_unordered | (rng.random(width) < FRESH)
            step = np.clip(units + rng.choice(STEPS) * rng.normal(size=width), 0, JUST_BELOW_ONE)
            found.append(self.at(np.where(is_changed, np.where(is_fresh, rng.random(width), step), units)))
        return found
