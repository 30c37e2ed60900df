"""The matched pairs of a study, as two sides in words: arms of a comparison, levels of a factor, a traded exchange.

All of them are pairs of ``MatchedTrials`` of a view of the study's table: with the arm as the only factor; as it is; or
with the product of two traded factors in place of the second, so that pairs differ in how they divide it.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.effects.matched_pairs import Contrast, MatchedTrials
from study.record.journal import configuration_name
from study.record.recipe import Words, recipe_words
from study.record.trials import FACTOR_PREFIX, TrialTable
from study.spec import Comparison
from study.trainable import Metric

ARM = "arm"


@dataclass(frozen=True)
class Sides:
    """Two sides that matched trials are on.

    Args:
        trials: the matched trials.
        contrast: from the first side to the second.
        first, second: in words.
        given: what both have in common by plan, in words; may be empty.
    """

    trials: MatchedTrials
    contrast: Contrast
    first: str
    second: str
    given: str = ""

    def differences(self, metric: Metric) -> list[float]:
        """``metric`` on the second side minus the first, one number for each pair (``MatchedTrials.differences``)."""
        return [float(value) for value in self.trials.differences(metric, self.contrast)]

    def turned(self) -> "Sides":
        """The same from the second side to the first."""
        contrast = dataclasses.replace(self.contrast, low=self.contrast.high, high=self.contrast.low)
        return Sides(self.trials, contrast, self.second, self.first, self.given)


def sides_of_arms(table: TrialTable, comparison: Comparison, metrics: Sequence[Metric]) -> list[Sides]:
    """Every arm against the first, seed by seed; without pairs, too."""
    choices = comparison.choices()
    names = {configuration_name(params): arm for arm, params in choices.items()}
    rows = table.configurations[table.configurations["configuration"].isin(list(names))]
    rows = rows.assign(**{FACTOR_PREFIX + ARM: rows["configuration"].map(names).astype(object)})
    trials = MatchedTrials(dataclasses.replace(table, configurations=rows, factors=[ARM]), metrics)
    given = recipe_words(comparison.given, list(comparison.given), _words(table))
    words = {arm: _arm_words(table, arm, comparison) for arm in choices}
    first, *others = choices
    return [Sides(trials, Contrast(ARM, (first,), (arm,)), words[first], words[arm], given) for arm in others]


def sides_of_factor(trials: MatchedTrials, factor: str, equal: str = "") -> list[Sides]:
    """The matched levels of a factor; of numbers, the lowest and the highest. ``equal`` is said of both sides."""
    found = []
    for contrast in trials.contrasts(factor, only_ends=True):
        names = [factor, *contrast.dependents]
        levels = [dict(zip(names, level, strict=True)) for level in (contrast.low, contrast.high)]
        low, high = (recipe_words(level, names, _words(trials.table)) for level in levels)
        found.append(Sides(trials, contrast, low, high, equal))
    return found


def sides_of_exchange(table: TrialTable, traded: tuple[str, str], metrics: Sequence[Metric]) -> list[Sides]:
    """Trials that differ in how they divide the product of two traded factors; none unless both are numbers."""
    first, second = (FACTOR_PREFIX + name for name in traded)
    if not {first, second} <= set(table.configurations):
        return []
    numbers = table.configurations[[first, second]].apply(pd.to_numeric, errors="coerce")
    product = f"{traded[0]} x {traded[1]}"
    values = (numbers[first] * numbers[second]).astype(object)
    rows = table.configurations.assign(**{FACTOR_PREFIX + product: values})[values.notna()]
    if rows.empty:
        return []
    factors = [product if name == traded[1] else name for name in table.factors]
    trials = MatchedTrials(dataclasses.replace(table, configurations=rows, factors=factors), metrics)
    return sides_of_factor(trials, traded[0], f"equal {product}")


def _words(table: TrialTable) -> Words:
    return table.trainable.words if table.trainable else {}


def _arm_words(table: TrialTable, arm: str, comparison: Comparison) -> str:
    own = comparison.arms[arm]
    recipe = recipe_words(own, list(own), _words(table))
    return arm if arm in own.values() else f"{arm} ({recipe})"
