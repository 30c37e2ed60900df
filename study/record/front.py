"""Which trials are on a Pareto front. Statistics only."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.measures import Objective


def front_mask(trials: pd.DataFrame, objectives: Sequence[Objective]) -> npt.NDArray[np.bool_]:
    """Marks the rows (trials or configurations) that no other row dominates in ``objectives``.

    Only rows in state ``complete``, with finite values of every objective and without validity warnings, take part,
    either as members or as dominating rows. Otherwise a trial could look optimal because it was stopped early and so
    cheap, because its encoder collapsed, or because its attack is broken, and a configuration because its mean leaves
    out the seeds that failed. Equal vectors are all kept.

    Args:
        trials: one row per trial, with columns ``state`` and ``validity`` (list of warnings) and one column per
            objective (missing column: no value).
        objectives: at least one, each maximised or minimised.

    Returns:
        One boolean per row.

    Raises:
        ValueError: if there are no objectives.
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
