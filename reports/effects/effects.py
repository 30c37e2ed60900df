"""Effects of factors from matched pairs: means, intervals, and tests corrected for multiplicity."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from reports.effects.matched_pairs import MatchedTrials
from reports.effects.p_values import holm, sign_flip_p
from study.record.intervals import mean_interval
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
MIN_PAIRS = 3  # to be tested and shown: t intervals of two differences are 12.7 standard errors long on either side


@dataclass(frozen=True)
class Effect:
    """The effect on a measure of going from one level to another.

    Args:
        factors: the factor, or the two factors of an interaction.
        contrast: the levels, as text.
        metric: what the effect is on.
        mean: over the pairs: in the metric's unit, or for costs the natural logarithm of the ratio.
        low, high: Student's t 95% interval of the mean; NaN below three pairs. It applies to the settings that the
            study compared, not to settings that it never ran.
        pairs: the number of pairs; trials that share a prefix count as one (``MatchedTrials``).
        p_value: of the sign-flip test; NaN for costs and below three pairs.
        p_holm: the p-value corrected by Holm's method over all rows of the table.
    """

    factors: tuple[str, ...]
    contrast: str
    metric: Metric
    mean: float
    low: float
    high: float
    pairs: int
    p_value: float
    p_holm: float = math.nan


def main_effects(trials: MatchedTrials) -> list[Effect]:
    """One effect for every factor, contrast and metric with matched pairs; p-values are corrected over all of them."""
    return _effects(
        ((factor,), contrast.text, metric, trials.differences(metric, contrast))
        for factor in trials.table.factors
        for contrast, metric in product(trials.contrasts(factor), trials.metrics)
    )


def interactions(trials: MatchedTrials) -> list[Effect]:
    """How much each factor's effect depends on another factor; numeric factors at their lowest and highest level."""
    pairs = [
        (first, second)
        for first, second in combinations(trials.table.factors, 2)
        if second not in trials.dependents(first) and first not in trials.dependents(second)
    ]
    ends = {factor: trials.contrasts(factor, only_ends=True) for factor in trials.table.factors}
    return _effects(
        ((first, second), f"{one.text} × {other.text}", metric, trials.differences(metric, one, other))
        for first, second in pairs
        for one, other, metric in product(ends[first], ends[second], trials.metrics)
    )


def _effects(compared: Iterable[tuple[tuple[str, ...], str, Metric, Floats]]) -> list[Effect]:
    """The effects behind differences (of differences), where there are any."""
    effects = []
    for factors, contrast, metric, differences in compared:
        if len(differences):
            is_enough = len(differences) >= MIN_PAIRS
            low, high = mean_interval(differences.tolist()) if is_enough else (math.nan, math.nan)
            # Costs follow from the factors: there is nothing to test.
            p_value = sign_flip_p(differences) if is_enough and not metric.is_cost else math.nan
            mean = float(differences.mean())
            effects.append(Effect(factors, contrast, metric, mean, low, high, len(differences), p_value))
    corrected = holm([effect.p_value for effect in effects])
    return [replace(effect, p_holm=p) for effect, p in zip(effects, corrected, strict=True)]
