"""Aggregates trials into configurations: trials that differ only in their seed get a common mean and spread."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from study.record.measures import Objective, interval_of

SPREAD_PREFIX, COUNT_PREFIX = "sd_", "seeds_of_"
LOST = ("failed", "stopped")  # worst first
Row = Mapping[Any, Any]


def seed_frame(trials: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """One row per configuration and seed: ``configuration``, ``seed``, and each measure's mean over complete trials.

    If a seed was run twice (a confirmation that repeats a seed of the search), its trials count as one: they share the
    seed's luck, so they are no further evidence on the spread over seeds.
    """
    complete = trials[trials["state"] == "complete"]
    means: pd.DataFrame = complete.groupby(["configuration", "seed"], sort=False)[list(measures)].mean()
    return means.reset_index()


def configuration_frame(
    trials: pd.DataFrame, measures: Sequence[str], objectives: Sequence[Objective] = ()
) -> pd.DataFrame:
    """One row per configuration with at least one complete trial, in the order in which these trials were proposed.

    Args:
        trials: one row per trial, as from ``study.record.trials.trial_frame``.
        measures: columns to average over seeds.
        objectives: measures that must be finite for every complete seed; otherwise the mean is NaN. Any other measure
            is averaged over the seeds that have it: AutoAttack may have been run for some seeds only.

    Returns:
        Columns ``configuration``, ``uid`` (of the first complete trial), ``uids`` and ``seeds`` (of the complete
        trials), ``num_seeds``, ``num_lost`` (number of stopped or failed trials, which the mean excludes),
        ``purposes``, ``state`` ('failed' or 'stopped' as soon as one trial is, else 'complete', although seeds may
        still be running), ``validity`` (warnings of all its complete trials), the ``factor_*`` columns, and for each
        measure its mean over seeds under its own name, ``sd_<measure>`` (sample standard deviation over seeds, NaN for
        fewer than two) and ``seeds_of_<measure>`` (number of seeds that have it).
    """
    complete = trials[trials["state"] == "complete"]
    groups = complete.groupby("configuration", sort=False)
    factors = [name for name in trials.columns if name.startswith("factor_")]
    lost = trials[trials["state"].isin(LOST)]
    frame = pd.DataFrame(
        {
            "uid": groups["uid"].first(),
            "uids": groups["uid"].agg(list),
            "seeds": groups["seed"].agg(lambda seeds: sorted(set(seeds))),
            "purposes": groups["purpose"].agg(lambda purposes: sorted(set(purposes))),
            "validity": groups["validity"].agg(_all_warnings),
        },
    )
    frame["num_seeds"] = frame["seeds"].map(len).astype(int)
    frame["num_lost"] = lost.groupby("configuration").size().reindex(frame.index).fillna(0).astype(int)
    worst = lost.groupby("configuration")["state"].agg(lambda states: min(states, key=LOST.index))
    frame["state"] = worst.reindex(frame.index).fillna("complete").astype(object)
    first = complete.drop_duplicates("configuration").set_index("configuration")
    frame[factors] = first[factors]
    per_seed = seed_frame(trials, measures).groupby("configuration", sort=False)[list(measures)]
    # Rounded so that the mean of three equal costs ties with the cost itself despite floating-point error.
    means, spreads, counts = per_seed.mean().map(rounded), per_seed.std(ddof=1).map(rounded), per_seed.count()
    for objective in objectives:
        means.loc[counts[objective.name] < frame["num_seeds"], objective.name] = np.nan
    spreads, counts = spreads.add_prefix(SPREAD_PREFIX), counts.add_prefix(COUNT_PREFIX)
    return pd.concat([frame, means, spreads, counts], axis=1).reset_index()


def spread_of(row: Row, name: str) -> tuple[float, int]:
    """The sample standard deviation of a measure over a configuration's seeds (NaN for one), and how many seeds."""
    count = row.get(COUNT_PREFIX + name, 0)
    return float(row.get(SPREAD_PREFIX + name, np.nan)), int(count) if count == count else 0


def whisker_of(row: Row, name: str) -> tuple[float, float] | None:
    """The lengths (down, up) of a mean's whisker: one standard deviation over seeds, or Wilson's interval of one seed.

    The two mean different things: the standard deviation covers repeated trainings evaluated on the same images,
    Wilson's interval covers other images for the same training. None if neither is known.
    """
    spread, count = spread_of(row, name)
    if count > 1:
        return (spread, spread) if np.isfinite(spread) else None
    interval = interval_of(row, name)
    return (row[name] - interval[0], interval[1] - row[name]) if interval else None


def rounded(value: float) -> float:
    """``value`` rounded to 12 significant digits, to remove floating-point error."""
    return float(f"{value:.12g}")


def _all_warnings(lists: pd.Series) -> list[str]:
    return list(dict.fromkeys(warning for warnings in lists for warning in warnings))
