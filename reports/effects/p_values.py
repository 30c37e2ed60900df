"""P-values: the sign-flip test of matched differences, correction for multiplicity, and how they are written."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NUM_FLIPS = 10_000
MOST_FLIPPED = 500  # pairs; of more, the sum of random flips is as good as normally distributed
MAX_EXACT_PAIRS = 12


def sign_flip_p(differences: npt.NDArray[np.float64], seed: int = 0) -> float:
    """The two-sided p-value of the sign-flip test that matched differences are symmetric around 0.

    Exact up to thirteen pairs, else from random flips; of more than 500, from the normal distribution of their sum, of
    which the variance is the sum of the squared differences. The smallest p-value of n pairs is 2 / 2^n: fewer than six
    pairs can never reach 0.05. Fisher (1935), The Design of Experiments, section 21.
    """
    from scipy.stats import permutation_test  # a second to import

    if len(differences) == 1:  # scipy refuses it
        return 1.0
    if len(differences) > MOST_FLIPPED:
        deviation = math.sqrt(float((differences**2).sum()))
        return math.erfc(abs(float(differences.sum())) / (math.sqrt(2) * deviation)) if deviation else 1.0
    generator = np.random.default_rng(seed)
    tested = permutation_test(
        (differences,), _distance, permutation_type="samples", n_resamples=NUM_FLIPS, alternative="greater",
        rng=generator,
    )  # fmt: skip
    return float(tested.pvalue)


def _distance(differences: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
    distance: npt.NDArray[np.float64] = np.abs(differences.sum(axis=axis))
    return distance


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


def p_text(p_value: float) -> str:
    """A p-value with two significant digits, '–' if there is no test."""
    if math.isnan(p_value):
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"
