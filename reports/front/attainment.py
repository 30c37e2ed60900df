"""Empirical attainment surfaces: what a given share of the seeds attains."""

from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from study.trainable import Metric

Floats = npt.NDArray[np.float64]
LEVELS = (20, 50, 80)
MIN_SEEDS = 5  # with fewer, a level would be the best, the worst or the middle one of them
MIN_CONFIGURATIONS = 2


@dataclass(frozen=True)
class Attainment:
    """Surfaces over two objectives: level in percent -> corners (points, 2), sorted by the first objective."""

    surfaces: dict[int, Floats]
    seeds: list[int]
    num_configurations: int  # completed by every one of these seeds


def attainment_of(seeds: pd.DataFrame, objectives: tuple[Metric, Metric]) -> Attainment | None:
    """The points that at least 20, 50 and 80 percent of the seeds attain (dominate or equal).

    Each seed is one run of the study: the set of its configurations. Seeds are only comparable on the same
    configurations, so a surface is over those that every seed has. Seeds with few configurations, such as those added
    by confirmation, are left out if that leaves more trials in the surface. Computed by ``moocore.eaf``; Grunert da
    Fonseca et al. (2001), doi:10.1007/3-540-44719-9_15.

    Args:
        seeds: one row per configuration and seed, as from ``TrialTable.per_seed``.
        objectives: two columns of ``seeds``.

    Returns:
        None if no two configurations are complete for five common seeds.
    """
    names = [objective.name for objective in objectives]
    finite = seeds[np.isfinite(seeds[names].to_numpy(dtype=float)).all(axis=1)]
    per_seed = {seed: set(rows["configuration"]) for seed, rows in finite.groupby("seed")}
    order = sorted(per_seed, key=lambda seed: (-len(per_seed[seed]), seed))
    groups = [order[:size] for size in range(MIN_SEEDS, len(order) + 1)]
    shared = [set.intersection(*(per_seed[seed] for seed in group)) for group in groups]
    candidates = [pair for pair in zip(groups, shared, strict=True) if len(pair[1]) >= MIN_CONFIGURATIONS]
    if not candidates:
        return None
    order, common = max(candidates, key=lambda pair: len(pair[0]) * len(pair[1]))
    chosen = finite[finite["seed"].isin(order) & finite["configuration"].isin(common)].sort_values("seed")
    signs = np.array([-1.0 if objective.maximise else 1.0 for objective in objectives])  # moocore minimises
    points = moocore.eaf(chosen[names].to_numpy(dtype=float) * signs, chosen["seed"], percentiles=list(LEVELS))
    surfaces = {}
    for level in LEVELS:
        corners = points[points[:, 2] == level][:, :2] * signs
        surfaces[level] = corners[np.argsort(corners[:, 0], kind="stable")]
    return Attainment(surfaces, sorted(int(seed) for seed in order), len(common))
