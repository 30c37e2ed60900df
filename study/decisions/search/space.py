"""The searched space: points drawn from it, and what is known of them before anything is trained."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from study.decisions.search.positions import columns, params_at, units_of, unordered_choices
from study.decisions.search.results import Row
from study.record.journal import configuration_name
from study.spec import Params, StudySpec
from study.trainable import trainable_of

Floats = npt.NDArray[np.float64]
STEPS = (0.05, 0.15, 0.3)  # of a mutation, in units of a factor's range
FRESH = 0.2  # the share of mutated values that are drawn anew
JUST_BELOW_ONE = 1 - 1e-9
T = TypeVar("T")


class Space:
    """Draws factor values, and remembers what follows from them alone.

    Args:
        spec: the study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec, self.trainable = spec, trainable_of(spec.base)
        self.names = [factor.name for factor in spec.factors]
        self.is_unordered = np.array([bool(unordered_choices(factor)) for factor in spec.factors])
        self._identities: dict[str, str] = {}
        self._known: dict[str, Mapping[str, float]] = {}
        self._columns: dict[str, list[float]] = {}

    def at(self, units: Iterable[float]) -> Params:
        """The factor values at a point of the unit cube."""
        return params_at(dict(zip(self.names, units, strict=True)), self.spec)

    def drawn(self, count: int, rng: np.random.Generator) -> list[Params]:
        """Factor values drawn from their distributions."""
        return [self.at(units) for units in rng.random((count, len(self.names)))]

    def mutated(self, parents: Sequence[Params], count: int, rng: np.random.Generator) -> list[Params]:
        """Changes of ``parents`` in some of their factors: steps of several sizes, or values drawn anew."""
        places = [np.array(list(units_of(params, self.spec).values())) for params in parents]
        width, found = len(self.names), []
        for number in range(count if parents else 0):
            units = places[number % len(places)]
            is_changed = rng.random(width) < max(0.3, 1.5 / width)
            is_changed[rng.integers(width)] = True
            is_fresh = self.is_unordered | (rng.random(width) < FRESH)
            step = np.clip(units + rng.choice(STEPS) * rng.normal(size=width), 0, JUST_BELOW_ONE)
            found.append(self.at(np.where(is_changed, np.where(is_fresh, rng.random(width), step), units)))
        return found

    def identity(self, params: Params) -> str:
        """Equal for configs whose trials give equal results."""
        return _remembered(self._identities, params, lambda: self.trainable.identity(self._config(params)))

    def known(self, params: Params) -> Mapping[str, float]:
        """The metrics that are known before training."""
        return _remembered(self._known, params, lambda: self.trainable.known_metrics(self._config(params)))

    def unit(self, metric: str, done: Sequence[Row]) -> float | None:
        """By what a known metric must be multiplied to be as it is measured; None without results."""
        ratios = [
            row.values[metric] / value
            for row in done
            if metric in row.values and (value := self.known(row.params)[metric]) > 0
        ]
        return float(np.median(ratios)) if ratios else None

    def columns(self, many: Sequence[Params]) -> Floats:
        """What a model sees (points, columns)."""
        return np.array([_remembered(self._columns, params, partial(columns, params, self.spec)) for params in many])

    def _config(self, params: Params) -> object:
        return self.spec.config(params, seed=0)


def _remembered(memory: dict[str, T], params: Params, compute: Callable[[], T]) -> T:
    name = configuration_name(params)
    if name not in memory:
        memory[name] = compute()
    return memory[name]
