"""Factor values as positions in the unit cube, and as the columns that a model sees."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from study.spec import Factor, Params, StudySpec
from study.spec.choices import draw

Floats = npt.NDArray[np.float64]
MIDDLE = 0.5


class Position:
    """A point of the unit cube in the role of an Optuna trial: ``study.spec.choices.draw`` asks it for values.

    Args:
        units: factor -> its position in [0, 1]; equal parts of it belong to equally many values.
    """

    def __init__(self, units: Mapping[str, float]) -> None:
        self._units = units

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The choice at the position."""
        return choices[min(len(choices) - 1, int(self._units[name] * len(choices)))]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The integer at the position; every one has its part of the interval, even in its logarithm if ``log``."""
        if log:
            ends = math.log(low - 0.5), math.log(high + 0.5)
            return min(high, max(low, round(math.exp(ends[0] + self._units[name] * (ends[1] - ends[0])))))
        count = (high - low) // step + 1
        return low + step * min(count - 1, int(self._units[name] * count))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The number at the position."""
        unit = self._units[name]
        if step is not None:
            return low + step * self.suggest_int(name, 0, round((high - low) / step))
        value = low * (high / low) ** unit if log else low + unit * (high - low)
        return min(high, max(low, value))


def params_at(units: Mapping[str, float], spec: StudySpec) -> Params:
    """The factor values at a position; those of inactive factors are left out."""
    return draw(cast(Any, Position(units)), spec)


def units_of(params: Params, spec: StudySpec) -> dict[str, float]:
    """A position of ``params``, the inverse of ``params_at``; inactive factors are in the middle."""
    return {f.name: _unit(params[f.name], f) if f.name in params else MIDDLE for f in spec.factors}


def _unit(value: Any, factor: Factor) -> float:
    match factor.domain():
        case CategoricalDistribution(choices=choices):
            return (list(choices).index(value) + 0.5) / len(choices)
        case IntDistribution(low=low, high=high, log=True):
            ends = math.log(low - 0.5), math.log(high + 0.5)
            return (math.log(value) - ends[0]) / (ends[1] - ends[0])
        case IntDistribution(low=low, high=high, step=step):
            return ((value - low) / step + 0.5) / ((high - low) // step + 1)
        case FloatDistribution(low=low, high=high, log=True):
            return math.log(value / low) / math.log(high / low) if high > low else MIDDLE
        case FloatDistribution(low=low, high=high, step=step):
            if step is not None:
                return (round((value - low) / step) + 0.5) / (round((high - low) / step) + 1)
            return (value - low) / (high - low) if high > low else MIDDLE
    raise AssertionError(factor)


def unordered_choices(factor: Factor) -> tuple[Any, ...]:
    """The choices of a factor that have no order; none if they are numbers."""
    domain = factor.domain()
    if not isinstance(domain, CategoricalDistribution):
        return ()
    are_numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in domain.choices)
    return () if are_numbers else tuple(domain.choices)


def columns(params: Params, spec: StudySpec) -> list[float]:
    """What the model sees: a position for each number, 0 or 1 for each of several choices without order.

    Categories that are numbers count as equally far apart in their order. A factor that is not always active has one
    more column that says whether it is; while it is not, its own are those of the middle, or of no choice.
    """
    row: list[float] = []
    for factor in spec.factors:
        is_active = factor.name in params
        choices = unordered_choices(factor)
        if len(choices) > 2:
            row += [float(is_active and params[factor.name] == choice) for choice in choices]
        elif choices:
            row.append(float(choices.index(params[factor.name])) if is_active else MIDDLE)
        else:
            row.append(_ordered_unit(params[factor.name], factor) if is_active else MIDDLE)
        if factor.when:
            row.append(float(is_active))
    return row


def _ordered_unit(value: Any, factor: Factor) -> float:
    domain = factor.domain()
    if isinstance(domain, CategoricalDistribution):
        ordered = sorted(domain.choices, key=float)  # type: ignore[arg-type]
        return ordered.index(value) / max(1, len(ordered) - 1)
    return _unit(value, factor)
