"""Trials that are equal in everything but one factor: what a factor does is read off such pairs."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.front_probability import as_drawn
from reports.trials import FACTOR_PREFIX, TrialTable

Floats = npt.NDArray[np.float64]
Level = tuple[Any, ...]  # the factor's value, then those of the factors that are active only because of it
MAX_ADJACENT_LEVELS = 8


@dataclass(frozen=True)
class Contrast:
    """Two levels of a factor that are compared, ``high`` against ``low``."""

    factor: str
    low: Level
    high: Level
    dependents: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The contrast as a person writes it, e.g. 'none → free (replays 3)'."""
        return f"{self._words(self.low)} → {self._words(self.high)}"

    def _words(self, level: Level) -> str:
        value, *others = (item if isinstance(item, str) else json.dumps(item) for item in level)
        given = [f"{name} {text}" for name, text in zip(self.dependents, others, strict=True) if text != "null"]
        return f"{value} ({', '.join(given)})" if given else value


class MatchedTrials:
    """The trusted complete trials of a study, to be looked up by level of some factors and by all that is left.

    Trials match where every other factor and the seed are equal. A factor that is active only under some values of
    another (replays under free training) makes one level with it: else no trial with replays had a partner without.
    """

    def __init__(self, table: TrialTable, measures: list[str]) -> None:
        self.table = table
        columns = [FACTOR_PREFIX + name for name in table.factors]
        values = table.per_seed(measures)
        factors = table.configurations.set_index("configuration")[columns]
        # A cost differs by a factor, not by an amount: it is compared as a logarithm.
        values[measures] = as_drawn(values, measures)
        self._trials = values.join(factors, on="configuration").to_dict("records")
        self._dependents = _dependents(table)

    def dependents(self, factor: str) -> tuple[str, ...]:
        """The factors whose activity hangs on ``factor``."""
        return self._dependents.get(factor, ())

    def levels(self, factor: str) -> list[Level]:
        """The levels that occur, numbers in their order, others in that of the search space."""
        found = dict.fromkeys(self._level(trial, factor) for trial in self._trials)
        order = _choices(self.table, factor)

        def key(level: Level) -> tuple[Any, ...]:
            value = level[0]
            rank = order.index(value) if value in order else len(order)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return (0, float(value)) if is_number else (1, rank)

        return sorted((level for level in found if level[0] is not None), key=lambda level: (key(level), str(level)))

    def contrasts(self, factor: str, *, only_ends: bool = False) -> list[Contrast]:
        """What is compared: of numbers neighbouring levels and both ends, of anything else every two levels.

        Args:
            factor: which.
            only_ends: of numbers, the lowest against the highest alone.
        """
        levels = self.levels(factor)
        pairs = [pair for pair in itertools.combinations(levels, 2) if pair[0][0] != pair[1][0]]
        if len(levels) > 2 and all(isinstance(level[0], int | float) and len(level) == 1 for level in levels):
            near = [] if only_ends or len(levels) > MAX_ADJACENT_LEVELS else list(itertools.pairwise(levels))
            pairs = [*near, (levels[0], levels[-1])]
        return [Contrast(factor, low, high, self.dependents(factor)) for low, high in pairs]

    def differences(self, contrast: Contrast, measure: str) -> Floats:
        """``measure`` at the high level less that at the low one, for every matched pair with finite values."""
        groups = self._groups((contrast,), measure)
        pairs = [(cells[(contrast.low,)], cells[(contrast.high,)]) for cells in groups if len(cells) == 2]
        return np.array([high - low for low, high in pairs], dtype=float)

    def interaction(self, first: Contrast, second: Contrast, measure: str) -> Floats:
        """How much the effect of ``first`` differs between the high and the low level of ``second``: one number for
        every four trials that are equal but for the two factors."""
        groups = self._groups((first, second), measure)
        return np.array(
            [
                (cells[first.high, second.high] - cells[first.low, second.high])
                - (cells[first.high, second.low] - cells[first.low, second.low])
                for cells in groups
                if len(cells) == 4
            ],
            dtype=float,
        )

    def _groups(self, contrasts: tuple[Contrast, ...], measure: str) -> list[dict[tuple[Level, ...], float]]:
        """Per context (all other factors and the seed): the measure at each combination of the contrasts' levels."""
        taken = {name for contrast in contrasts for name in (contrast.factor, *contrast.dependents)}
        rest = [FACTOR_PREFIX + name for name in self.table.factors if name not in taken]
        groups: dict[tuple[Any, ...], dict[tuple[Level, ...], float]] = {}
        for trial in self._trials:
            levels = tuple(self._level(trial, contrast.factor) for contrast in contrasts)
            is_compared = all(
                level in (contrast.low, contrast.high) for level, contrast in zip(levels, contrasts, strict=True)
            )
            if is_compared and np.isfinite(trial[measure]):
                context = (trial["seed"], *(_hashable(trial[name]) for name in rest))
                groups.setdefault(context, {})[levels] = float(trial[measure])
        return list(groups.values())

    def _level(self, trial: Mapping[Any, Any], factor: str) -> Level:
        return tuple(_hashable(trial[FACTOR_PREFIX + name]) for name in (factor, *self.dependents(factor)))


def _hashable(value: Any) -> Any:
    """A factor's value as a key; a missing one, which pandas may have made NaN, as None."""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True)
    return None if value is None or pd.isna(value) else value


def _dependents(table: TrialTable) -> dict[str, tuple[str, ...]]:
    """Factor -> the factors with a condition on a field that it sets."""
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
