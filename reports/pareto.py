"""Which trials are on a Pareto front. Statistics only."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.measures import Objective


def front_mask(trials: pd.DataFrame, objectives: Sequence[Objective]) -> npt.NDArray[np.bool_]:
    """Marks the rows of ``trials``, or of configurations, that no other row dominates in all ``objectives``.

    Only rows in state ``complete``, with finite values of every objective and without validity warnings take part,
    as members or as those that dominate: a trial that was stopped early must not look optimal for being cheap, nor one
    whose encoder collapsed or whose attack is broken, nor a configuration for the mean of those seeds that did not
    fail. Equal vectors are all kept.

    Args:
        trials: one row a trial, with columns ``state`` and ``validity`` (list of warnings) and one column an objective
            (missing column: no value).
        objectives: at least one, each maximised or minimised.

    Returns:
        One boolean a row.

    Raises:
        ValueError: without objectives.
    """
    if not objectives:
        raise ValueError("a front needs at least one objective")
    values = trials.reindex(columns=[objective.name for objective in objectives]).to_numpy(dtype=float)
    is_trusted = (trials["state"] == "complete") & (trials["validity"].map(len) == 0)
    takes_part = is_trusted.to_numpy(dtype=bool) & np.isfinite(values).all(axis=1)
    members = np.zeros(len(trials), dtype=bool)
    if takes_part.any():
        maximise = [objective.maximise for objective in objectives]
        members[takes_part] = moocore.is_nondominated(values[takes_part], maximise=maximise, keep_weakly=True)
    return members
