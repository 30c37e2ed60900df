"""The probability that a configuration belongs on the front."""

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.configuration_frame import seed_frame
from study.record.measures import COSTS, Objective, images_behind, is_accuracy
from study.record.seed_noise import Floats, SeedNoise, image_variance, pooled_seed_noise

NUM_REPLICATES = 1000


def front_probabilities(
    means: Floats,
    num_seeds: npt.NDArray[np.int64],
    noise: SeedNoise,
    image_variances: Floats,
    maximise: list[bool],
    seed: int = 0,
    num_replicates: int = NUM_REPLICATES,
) -> Floats:
    """The share of parametric bootstrap replicates in which each configuration is on the front.

    In each replicate the mean of every configuration is drawn from a normal distribution around its measured mean. The
    covariance is that between seeds, divided by the number of seeds, plus the binomial variance of the images.

    Rationale: with one to five seeds a configuration's own spread is mostly luck (two seeds may agree by chance and
    would then look certain), so the spread is pooled over configurations, as in an analysis of variance; objectives
    of a seed are correlated, so the noise is a covariance; all seeds are evaluated on the same images, so more seeds do
    not shrink the image variance.

    Limitations: configurations share the evaluated images, so their differences are more certain than drawn here (the
    probabilities are pulled towards the middle); the spread may differ between configurations; and a front member was
    also selected for its luck, which drawing around its measured mean does not correct.

    Args:
        means: (configurations, objectives), finite; costs as logarithms (``as_drawn``).
        num_seeds: of each configuration.
        noise: between seeds.
        image_variances: (configurations, objectives); 0 for measures without images.
        maximise: for each objective, whether larger values are better.
        seed: of the draws.
        num_replicates: a probability has a standard error of at most 0.5 / sqrt(num_replicates).

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
        of_images = generator.standard_normal((count, width)) * np.sqrt(image_variances)
        on_front += moocore.is_nondominated(means + of_seed + of_images, maximise=maximise, keep_weakly=True)
    return on_front / num_replicates


def with_front_probability(
    configurations: pd.DataFrame, trials: pd.DataFrame, objectives: list[Objective]
) -> tuple[pd.DataFrame, SeedNoise | None]:
    """``configurations`` with their ``front_probability`` (0 if excluded from the front), and the assumed noise."""
    frame = configurations.assign(front_probability=0.0)
    names = [objective.name for objective in objectives]
    is_trusted = (frame["state"] == "complete") & (frame["validity"].map(len) == 0)
    takes_part = np.isfinite(frame[names]).all(axis=1) & is_trusted
    if not names or not takes_part.any():
        return frame, None
    members = frame[takes_part]
    seeds = seed_frame(trials, names)
    seeds = seeds[seeds["configuration"].isin(members["configuration"])]
    noise = pooled_seed_noise(as_drawn(seeds, names), seeds["configuration"])
    variances = np.array(
        [[image_variance(row[name], images_behind(row, name)) if is_accuracy(name) else 0.0 for name in names]
         for row in members.to_dict("records")]
    )  # fmt: skip
    frame.loc[takes_part, "front_probability"] = front_probabilities(
        as_drawn(members, names),
        members["num_seeds"].to_numpy(dtype=np.int64),
        noise,
        variances,
        [objective.maximise for objective in objectives],
    )
    return frame, noise


def as_drawn(frame: pd.DataFrame, names: list[str]) -> Floats:
    """The measures as columns; positive costs as natural logarithms, because costs vary by factors, not amounts."""
    values: Floats = frame[names].to_numpy(dtype=float).copy()
    for column, name in enumerate(names):
        if name in COSTS and (values[:, column] > 0).all():
            values[:, column] = np.log(values[:, column])
    return values


def _square_root(covariance: Floats) -> Floats:
    """A matrix F such that F F^T is the covariance; an objective without variance gets no noise (ties stay ties)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.clip(values, 0, None))
    root[np.diag(covariance) == 0] = 0
    return root
