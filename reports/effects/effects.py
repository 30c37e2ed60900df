"""Effects of factors from matched pairs: means, intervals, and tests corrected for multiplicity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import scipy.stats

from reports.effects.matched_pairs import MatchedTrials
from study.record.measures import COSTS
from study.record.trials import TrialTable

Floats = npt.NDArray[np.float64]
MIN_PAIRS = 5  # for an interval; fewer do not show whether the differences are approximately normal
MIN_BOOTSTRAP_PAIRS = 8
NUM_RESAMPLES = NUM_FLIPS = 10_000
MAX_EXACT_PAIRS = 12


@dataclass(frozen=True)
class Effect:
    """The effect on a measure of going from one level to another.

    Args:
        factors: the factor, or the two factors of an interaction.
        contrast: the levels, as text.
        measure: a metric.
        mean: over the pairs of encoders: in percentage points, or for costs the natural logarithm of the ratio.
        low, high: 95% interval of the mean (``mean_interval``); NaN below five pairs.
        pairs: the number of pairs; trials that share their encoders count as one (``MatchedTrials``).
        p_value: of the sign-flip test; NaN for costs.
        p_holm: the p-value corrected by Holm's method over all rows of the table.
    """

    factors: tuple[str, ...]
    contrast: str
    measure: str
    mean: float
    low: float
    high: float
    pairs: int
    p_value: float
    p_holm: float = math.nan


def main_effects(table: TrialTable, measures: Sequence[str]) -> list[Effect]:
    """One effect for every factor, contrast and measure with matched pairs; p-values are corrected over all of them."""
    trials, found = MatchedTrials(table, list(measures)), []
    for factor in table.factors:
        for contrast, measure in product(trials.contrasts(factor), measures):
            differences = trials.differences(contrast, measure)
            if len(differences):
                found.append(_effect((factor,), contrast.text, measure, differences))
    return with_holm(found)


def interactions(table: TrialTable, measures: Sequence[str]) -> list[Effect]:
    """How much each factor's effect depends on another factor; numeric factors at their lowest and highest level."""
    trials, found = MatchedTrials(table, list(measures)), []
    for first, second in combinations(table.factors, 2):
        if second in trials.dependents(first) or first in trials.dependents(second):
            continue
        ends = (trials.contrasts(name, only_ends=True) for name in (first, second))
        for (one, other), measure in product(product(*ends), measures):
            values = trials.interaction(one, other, measure)
            if len(values):
                found.append(_effect((first, second), f"{one.text} × {other.text}", measure, values))
    return with_holm(found)


def _effect(factors: tuple[str, ...], contrast: str, measure: str, differences: Floats) -> Effect:
    low, high = mean_interval(differences)
    p_value = math.nan if measure in COSTS else sign_flip_p(differences)  # costs follow from the factors: no test
    return Effect(factors, contrast, measure, float(differences.mean()), low, high, len(differences), p_value)


def mean_interval(differences: Floats, seed: int = 0) -> tuple[float, float]:
    """The 95% interval of the mean of matched differences; (NaN, NaN) below five of them.

    From eight differences on, it is the expanded percentile interval of a bootstrap over the differences: its
    percentiles are moved outwards to correct for the narrowness of a bootstrap of so few (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789). For five to seven differences that interval would still cover only 91 to 94% of
    normal means, so Student's t interval, which is symmetric, is used instead.

    The interval applies to the settings that the study compared, not to settings that it never ran.
    """
    count = len(differences)
    if count < MIN_PAIRS:
        return math.nan, math.nan
    reach = float(scipy.stats.t.ppf(0.975, count - 1))
    if count < MIN_BOOTSTRAP_PAIRS:
        mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(count)
        return mean - reach * error, mean + reach * error
    tail = float(scipy.stats.norm.cdf(-reach * math.sqrt(count / (count - 1))))
    rows = np.random.default_rng(seed).integers(0, count, size=(NUM_RESAMPLES, count))
    low, high = np.quantile(differences[rows].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(differences: Floats, seed: int = 0) -> float:
    """The two-sided p-value of the sign-flip test that matched differences are symmetric around 0.

    Exact up to twelve pairs, else from random flips. The smallest p-value of n pairs is 2 / 2^n: fewer than six pairs
    can never reach 0.05. Fisher (1935), The Design of Experiments, section 21.
    """
    count, observed = len(differences), abs(differences.sum())
    if count <= MAX_EXACT_PAIRS:
        signs = np.array(list(product((1.0, -1.0), repeat=count)))
        return float(np.mean(np.abs(signs @ differences) >= observed - 1e-9))
    generator = np.random.default_rng(seed)
    signs = generator.choice((1.0, -1.0), size=(NUM_FLIPS, count))
    return float((1 + np.sum(np.abs(signs @ differences) >= observed - 1e-9)) / (1 + NUM_FLIPS))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for multiplicity, which controls the probability of any false finding; NaN stays NaN.

    Holm (1979), Scandinavian Journal of Statistics 6: the i-th smallest of m p-values is multiplied by m - i + 1, made
    no smaller than the preceding corrected one, and capped at 1.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    corrected, floor = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(tested):
        floor = max(floor, min(1.0, (len(tested) - rank) * p))
        corrected[index] = floor
    return corrected


def with_holm(effects: list[Effect]) -> list[Effect]:
    """``effects`` with ``p_holm``, corrected over all of them."""
    corrected = holm([effect.p_value for effect in effects])
    return [replace(effect, p_holm=p) for effect, p in zip(effects, corrected, strict=True)]
