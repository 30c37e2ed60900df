"""The probability that a configuration belongs on the front."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from study.record.configurations import Configuration, rounded
from study.record.front import comparable_means, nondominated
from study.record.journal import StudyRecord
from study.record.measures import examples_behind
from study.record.region import region_in
from study.record.seed_noise import Floats, SeedNoise, example_variance, pooled_seed_noise
from study.trainable import Metric

NUM_REPLICATES = 1000


def front_probabilities(
    means: Floats,
    num_seeds: npt.NDArray[np.int64],
    noise: SeedNoise,
    example_variances: Floats,
    maximise: list[bool],
    seed: int = 0,
    num_replicates: int = NUM_REPLICATES,
    is_inside: Callable[[Floats], npt.NDArray[np.bool_]] | None = None,
) -> Floats:
    """The share of parametric bootstrap replicates in which each configuration is on the front.

    With a region of interest, in which it is on the front and inside: where the bound lies within the noise, that a
    configuration is inside is as uncertain as that it is on the front.

    In each replicate the mean of every configuration is drawn from a normal distribution around its measured mean. The
    covariance is that between seeds, divided by the number of seeds, plus the binomial variance of the examples.

    Rationale: with one to five seeds a configuration's own spread is mostly luck (two seeds may agree by chance and
    would then look certain), so the spread is pooled over configurations, as in an analysis of variance; objectives
    of a seed are correlated, so the noise is a covariance; all seeds are evaluated on the same examples, so more seeds
    do not shrink their variance.

    Limitations: configurations share the evaluated examples, so their differences are more certain than drawn here (the
    probabilities are pulled towards the middle); the spread may differ between configurations; and a front member was
    also selected for its luck, which drawing around its measured mean does not correct.

    Args:
        means: (configurations, objectives), finite; costs as logarithms (``as_drawn``).
        num_seeds: of each configuration.
        noise: between seeds.
        example_variances: (configurations, objectives); 0 for measures without examples.
        maximise: for each objective, whether larger values are better.
        seed: of the draws.
        num_replicates: a probability has a standard error of at most 0.5 / sqrt(num_replicates).
        is_inside: marks the rows of drawn values (configurations, objectives) that are in the region of interest.

    Returns:
        One probability per configuration.
    """
    generator = np.random.default_rng(seed)
    count, width = means.shape
    # Scaled noise instead of one covariance per configuration: the seed part differs between them only by 1/n.
    factor = _square_root(noise.covariance)
    scale = 1 / np.sqrt(num_seeds)[:, None]
    on_front = np.zeros(count)
    for _ in range(num_replicates):
        of_seed = generator.standard_normal((count, width)) @ factor.T * scale
        of_examples = generator.standard_normal((count, width)) * np.sqrt(example_variances)
        drawn = means + of_seed + of_examples
        members = nondominated(drawn, maximise)
        on_front += members if is_inside is None else members & is_inside(drawn)
    return on_front / num_replicates


def front_certainty(
    groups: Sequence[Configuration], objectives: Sequence[Metric], record: StudyRecord
) -> tuple[Floats, SeedNoise | None]:
    """The probability of each configuration (0 if excluded from the front), and the noise between seeds behind it.

    It is that of being on the front inside the study's region of interest, if it has one.
    """
    probabilities = np.zeros(len(groups))
    means = comparable_means(groups, objectives, record)
    takes_part: npt.NDArray[np.bool_] = np.asarray(np.isfinite(means).all(axis=1))
    if not objectives or not takes_part.any():
        return probabilities, None
    members = [one for one, is_in in zip(groups, takes_part, strict=True) if is_in]
    seeds, owners = [], []
    for index, one in enumerate(members):
        values = [one.by_seed(objective.name) for objective in objectives]
        seeds += [[rounded(of_metric[seed]) for of_metric in values] for seed in one.seeds]
        owners += [index] * len(one.seeds)
    noise = pooled_seed_noise(as_drawn(np.array(seeds), objectives), np.array(owners))
    variances = np.array([[_example_variance(one, objective) for objective in objectives] for one in members])
    measured = means[takes_part]
    probabilities[takes_part] = front_probabilities(
        as_drawn(measured, objectives),
        np.array([len(one.seeds) for one in members]),
        noise,
        variances,
        [objective.maximise for objective in objectives],
        is_inside=_region_of_drawn(measured, objectives, record),
    )
    return probabilities, noise


def _region_of_drawn(
    measured: Floats, objectives: Sequence[Metric], record: StudyRecord
) -> Callable[[Floats], npt.NDArray[np.bool_]] | None:
    """Marks what is inside the study's region among values as they are drawn; None if it has no region."""
    region, names = region_in(record.spec.get("objectives", [])), [objective.name for objective in objectives]
    if not region:
        return None
    logs = [column for column, objective in enumerate(objectives) if _is_drawn_as_log(measured[:, column], objective)]

    def is_inside(drawn: Floats) -> npt.NDArray[np.bool_]:
        values = drawn.copy()
        values[:, logs] = np.exp(values[:, logs])
        # A counted cost at its bound must not fall outside by the rounding of its logarithm.
        exact = np.isclose(values, measured, rtol=1e-9, atol=0)
        return region.holds(np.where(exact, measured, values), names)

    return is_inside


def as_drawn(values: Floats, metrics: Sequence[Metric]) -> Floats:
    """Columns of ``values`` as they are compared: positive costs as logarithms, because they vary by factors."""
    drawn: Floats = np.array(values, dtype=float)
    for column, metric in enumerate(metrics):
        if _is_drawn_as_log(drawn[:, column], metric):
            drawn[:, column] = np.log(drawn[:, column])
    return drawn


def _is_drawn_as_log(values: Floats, metric: Metric) -> bool:
    return metric.is_cost and bool((values > 0).all())


def _example_variance(one: Configuration, metric: Metric) -> float:
    mean, count = one.mean(metric.name), one.mean(metric.count)
    if not metric.is_share or mean is None:
        return 0.0
    return example_variance(mean, examples_behind({metric.count: count}, metric))


def _square_root(covariance: Floats) -> Floats:
    """A matrix F such that F F^T is the covariance; an objective without variance gets no noise (ties stay ties)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.clip(values, 0, None))
    root[np.diag(covariance) == 0] = 0
    return root
