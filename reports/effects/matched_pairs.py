"""Matched pairs: trials that are equal in everything but one factor, from which its effect is estimated."""

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
Level = tuple[Any, ...]  # the factor's value, then the values of its dependents (see ``MatchedTrials.dependents``)
Context = tuple[Any, ...]  # the seed and the values of all factors except those under comparison
Cells = dict[tuple[Level, ...], dict[Context, int]]  # level of each factor under comparison -> context -> trial
MAX_ADJACENT_LEVELS = 8


@dataclass(frozen=True)
class Contrast:
    """A comparison of two levels of a factor, ``high`` against ``low``."""

    factor: str
    low: Level
    high: Level
    dependents: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The contrast as readable text, e.g. 'none → free (replays 3)'."""
        return f"{self._words(self.low)} → {self._words(self.high)}"

    def _words(self, level: Level) -> str:
        value, *others = (item if isinstance(item, str) else json.dumps(item) for item in level)
        given = [f"{name} {text}" for name, text in zip(self.dependents, others, strict=True) if text != "null"]
        return f"{value} ({', '.join(given)})" if given else value


class MatchedTrials:
    """The trusted complete trials of a study, indexed by the level of some factors and by everything else.

    Trials match if every other factor and the seed are equal. A factor that is active only under some values of another
    one (replays under free training) forms a joint level with it: otherwise no trial with replays would match one
    without.

    Trials with the same prefix (``Trainable.prefix``), such as those that probe the same encoder in several ways, share
    its luck. Matched pairs of the same two prefixes are therefore averaged: they are one observation of the effect.
    """

    def __init__(self, table: TrialTable, metrics: Sequence[Metric]) -> None:
        self.table, self.metrics = table, list(metrics)
        columns = [FACTOR_PREFIX + name for name in table.factors]
        values = table.per_seed([metric.name for metric in metrics])
        factors = table.configurations.set_index("configuration")[columns]
        joined = values.join(factors, on="configuration")
        names = ["seed", *columns]
        self._trials = [dict(zip(names, map(_hashable, row), strict=True)) for row in joined[names].to_numpy(object)]
        self._values = {metric.name: _as_compared(values[metric.name], metric) for metric in metrics}
        uids = table.trusted.drop_duplicates(["configuration", "seed"]).set_index(["configuration", "seed"])["uid"]
        rows = zip(values["configuration"], values["seed"], strict=True)
        self._prefixes = [table.prefixes[uids[row]] for row in rows]
        self._dependents = _dependents(table)
        self._cells: dict[tuple[str, ...], Cells] = {}

    def dependents(self, factor: str) -> tuple[str, ...]:
        """The factors whose activity depends on ``factor``."""
        return self._dependents.get(factor, ())

    def levels(self, factor: str) -> list[Level]:
        """The levels that occur: numbers in ascending order, others in the order of the search space."""
        order = _choices(self.table, factor)

        def place(level: Level) -> tuple[Any, ...]:
            value = level[0]
            if isinstance(value, int | float) and not isinstance(value, bool):
                return 0, float(value), str(level)
            return 1, order.index(value) if value in order else len(order), str(level)

        occurring = {self._level(trial, factor) for trial in self._trials}
        return sorted((level for level in occurring if level[0] is not None), key=place)

    def contrasts(self, factor: str, *, only_ends: bool = False) -> list[Contrast]:
        """The comparisons to make: for numbers, neighbouring levels and the two ends; otherwise every two levels.

        Contrasts without matched pairs are left out. If more than eight values of a dependent number have partners,
        only the lowest and the highest are compared, as for a factor with more than eight levels.

        Args:
            factor: the factor to compare levels of.
            only_ends: for numbers, compare only the lowest and the highest level.
        """
        levels = self.levels(factor)
        if len(levels) > 2 and all(isinstance(level[0], int | float) and len(level) == 1 for level in levels):
            near = [] if only_ends or len(levels) > MAX_ADJACENT_LEVELS else list(itertools.pairwise(levels))
            pairs = [*near, (levels[0], levels[-1])]
        else:
            few = _few(self._with_partners(factor, levels))
            pairs = [pair for pair in itertools.combinations(few, 2) if pair[0][0] != pair[1][0]]
        cells = self._cells_of((factor,))
        pairs = [(low, high) for low, high in pairs if not cells[low,].keys().isdisjoint(cells[high,])]
        return [Contrast(factor, low, high, self.dependents(factor)) for low, high in pairs]

    def _with_partners(self, factor: str, levels: list[Level]) -> list[Level]:
        """The ``levels`` that share a context with another value of the factor."""
        cells, values = self._cells_of((factor,)), defaultdict[Context, set[Any]](set)
        for level in levels:
            for context in cells[level,]:
                values[context].add(level[0])
        return [level for level in levels if any(len(values[context]) > 1 for context in cells[level,])]

    def differences(self, metric: Metric, *contrasts: Contrast) -> Floats:
        """``metric`` at the high level minus ``metric`` at the low level, one number per pair of prefixes.

        With two contrasts, how much the effect of the first differs between the high and the low level of the second,
        one number per four prefixes. Only finite values count. Trials of one prefix are paired, too, if the factor acts
        after it.
        """
        cells = self._cells_of(tuple(contrast.factor for contrast in contrasts))
        levels = itertools.product(*((contrast.low, contrast.high) for contrast in contrasts))
        corners = [cells.get(level, {}) for level in levels]
        signs = [math.prod(ends) for ends in itertools.product((-1, 1), repeat=len(contrasts))]
        of_prefixes = defaultdict[tuple[str, ...], list[float]](list)
        for context in min(corners, key=len):
            if all(context in corner for corner in corners):
                matched = [corner[context] for corner in corners]
                value = float(np.dot(signs, self._values[metric.name][matched]))
                if math.isfinite(value):
                    of_prefixes[tuple(self._prefixes[trial] for trial in matched)].append(value)
        return np.array([np.mean(values) for values in of_prefixes.values()], dtype=float)

    def _cells_of(self, factors: tuple[str, ...]) -> Cells:
        """The position of each trial by level and context, cached so that contrasts need not scan all trials again."""
        if factors not in self._cells:
            taken = {name for factor in factors for name in (factor, *self.dependents(factor))}
            rest = ["seed", *(FACTOR_PREFIX + name for name in self.table.factors if name not in taken)]
            cells: Cells = {}
            for position, trial in enumerate(self._trials):
                levels = tuple(self._level(trial, factor) for factor in factors)
                cells.setdefault(levels, {})[tuple(trial[name] for name in rest)] = position
            self._cells[factors] = cells
        return self._cells[factors]

    def _level(self, trial: Mapping[Any, Any], factor: str) -> Level:
        return tuple(trial[FACTOR_PREFIX + name] for name in (factor, *self.dependents(factor)))


def _few(levels: list[Level]) -> list[Level]:
    """``levels``, but if a dependent number takes more than eight values, only those with its lowest and highest."""
    numbers = defaultdict[tuple[Any, int], set[Any]](set)
    for level in levels:
        for position, item in enumerate(level[1:]):
            numbers[level[0], position] |= {item} if isinstance(item, int | float) else set()
    groups = defaultdict[Level, list[Level]](list)  # levels that differ only in such numbers
    for level in levels:
        is_many = [len(numbers[level[0], position]) > MAX_ADJACENT_LEVELS for position in range(len(level) - 1)]
        rest = [
            ... if many and isinstance(item, int | float) else item
            for item, many in zip(level[1:], is_many, strict=True)
        ]  # fmt: skip
        groups[level[0], *rest].append(level)
    ends = {end for group in groups.values() for end in (min(group), max(group))}
    return [level for level in levels if level in ends]


def _hashable(value: Any) -> Any:
    """A factor's value as a key; a missing value, which pandas may have turned into NaN, becomes None."""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True)
    return None if value is None or pd.isna(value) else value


def _as_compared(values: pd.Series, metric: Metric) -> Floats:
    """The values as they are subtracted: costs as logarithms, because they differ by factors, not by amounts."""
    compared: Floats = (np.log(values.where(values > 0)) if metric.is_cost else values).to_numpy(dtype=float)
    return compared


def _dependents(table: TrialTable) -> dict[str, tuple[str, ...]]:
    """Factor -> the other factors with a condition on a field that it sets."""
    specs = table.study.spec.get("factors", [])
    fields = {
        spec["name"]: {name for level in (spec.get("levels") or {}).values() for name in level} or {spec["name"]}
        for spec in specs
    }  # fmt: skip
    return {
        name: tuple(spec["name"] for spec in specs if own & set(spec.get("when") or {}) and spec["name"] != name)
        for name, own in fields.items()
    }


def _choices(table: TrialTable, factor: str) -> list[Any]:
    for spec in table.study.spec.get("factors", []):
        if spec["name"] == factor:
            return (spec.get("distribution") or {}).get("attributes", {}).get("choices") or []
    return []
