"""Trials that are equal in everything but one factor: what a factor does is read off such pairs."""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from reports.front_probability import as_drawn
from reports.trials import FACTOR_PREFIX, TrialTable
from trainables.trial_config import TrialConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Level = tuple[Any, ...]  # the factor's value, then those of the factors that are active only because of it
Context = tuple[Any, ...]  # the seed and all factors but those that are looked at
Cells = dict[tuple[Level, ...], dict[Context, int]]  # level of each factor that is looked at -> context -> trial
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

    Trials that differ in probe and evaluation alone have one pretrained encoder, and share its luck. Matched pairs of
    the same two encoders are therefore averaged: they are one observation of what the factor does.
    """

    def __init__(self, table: TrialTable, measures: list[str]) -> None:
        self.table = table
        columns = [FACTOR_PREFIX + name for name in table.factors]
        values = table.per_seed(measures)
        factors = table.configurations.set_index("configuration")[columns]
        # A cost differs by a factor, not by an amount: it is compared as a logarithm.
        values[measures] = as_drawn(values, measures)
        joined = values.join(factors, on="configuration")
        names = ["seed", *columns]
        self._trials = [dict(zip(names, map(_hashable, row), strict=True)) for row in joined[names].to_numpy(object)]
        self._values = {measure: values[measure].to_numpy(dtype=float) for measure in measures}
        uids = table.trusted.drop_duplicates(["configuration", "seed"]).set_index(["configuration", "seed"])["uid"]
        rows = zip(values["configuration"], values["seed"], strict=True)
        self._encoders = [_encoder(table.study.trials[uids[row]].config) for row in rows]
        self._dependents = _dependents(table)
        self._cells: dict[tuple[str, ...], Cells] = {}

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

        What has no matched pair is left out. Of more than eight values of a dependent number that have partners, the
        lowest and the highest alone are compared, as of a factor.

        Args:
            factor: which.
            only_ends: of numbers, the lowest against the highest alone.
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
        """Those of ``levels`` that share a context with another value of the factor."""
        cells, values = self._cells_of((factor,)), defaultdict[Context, set[Any]](set)
        for level in levels:
            for context in cells[level,]:
                values[context].add(level[0])
        return [level for level in levels if any(len(values[context]) > 1 for context in cells[level,])]

    def differences(self, contrast: Contrast, measure: str) -> Floats:
        """``measure`` at the high level less that at the low one, for every two encoders of finite matched pairs.

        Both are one encoder where the factor is of the probe.
        """
        return self._differences((contrast,), measure)

    def interaction(self, first: Contrast, second: Contrast, measure: str) -> Floats:
        """How much the effect of ``first`` differs between the high and the low level of ``second``: one number for
        every four encoders of trials that are equal but for the two factors."""
        return self._differences((first, second), measure)

    def _differences(self, contrasts: tuple[Contrast, ...], measure: str) -> Floats:
        matched = self._matched(contrasts)
        values = self._values[measure][matched]
        for _ in contrasts:
            values = values[:, 1] - values[:, 0]
        of_encoders = defaultdict[tuple[str, ...], list[float]](list)
        for value, trials in zip(values, matched.reshape(len(matched), 2 ** len(contrasts)), strict=True):
            if np.isfinite(value):
                of_encoders[tuple(self._encoders[trial] for trial in trials)].append(value)
        return np.array([np.mean(found) for found in of_encoders.values()], dtype=float)

    def _matched(self, contrasts: tuple[Contrast, ...]) -> Ints:
        """The trials that are equal but for the contrasts' factors, shape (contexts, 2) or (contexts, 2, 2).

        One axis a contrast, its low level first; entries are positions among the trials.
        """
        cells = self._cells_of(tuple(contrast.factor for contrast in contrasts))
        corners = [cells.get(levels, {}) for levels in itertools.product(*((c.low, c.high) for c in contrasts))]
        contexts = [context for context in min(corners, key=len) if all(context in corner for corner in corners)]
        rows = [[corner[context] for corner in corners] for context in contexts]
        return np.array(rows, dtype=np.int64).reshape(-1, *(2 for _ in contrasts))

    def _cells_of(self, factors: tuple[str, ...]) -> Cells:
        """Where each trial stands, found once: no contrast has to look at all trials again."""
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
    """``levels``, and where a dependent number takes more than eight values, those with the lowest and the highest."""
    numbers = defaultdict[tuple[Any, int], set[Any]](set)
    for level in levels:
        for position, item in enumerate(level[1:]):
            numbers[level[0], position] |= {item} if isinstance(item, int | float) else set()
    groups = defaultdict[Level, list[Level]](list)  # of levels that differ in such numbers alone
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
    """A factor's value as a key; a missing one, which pandas may have made NaN, as None."""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True)
    return None if value is None or pd.isna(value) else value


def _encoder(config: dict[str, Any]) -> str:
    """What is equal for trials that have one pretrained encoder."""
    try:
        return TrialConfig(**config).pretraining_hash()
    except ValidationError:  # of another version: its fields as they are
        fields = {name: value for name, value in config.items() if not name.startswith(("probe", "eval_", "rung_"))}
        return json.dumps(fields, sort_keys=True)


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
