"""Notable points of a front: its knee, and the best configurations within given budgets."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.front import nondominated
from study.record.measures import axis_scale, log_ticks
from study.trainable import Metric

Floats = npt.NDArray[np.float64]


def front_in(configurations: pd.DataFrame, metrics: Sequence[Metric]) -> npt.NDArray[np.bool_]:
    """Marks the configurations on the front of ``metrics`` alone; lost and doubtful ones are on no front."""
    values = configurations[[metric.name for metric in metrics]].to_numpy(dtype=float, copy=True)
    values[configurations["is_lost"] | (configurations["validity"].map(len) > 0)] = np.nan
    return nondominated(values, [metric.maximise for metric in metrics])


def front_inside(configurations: pd.DataFrame, metrics: Sequence[Metric]) -> npt.NDArray[np.bool_]:
    """Marks the front of ``metrics`` alone among the configurations in the study's region of interest."""
    rows = np.flatnonzero(configurations.get("is_inside", np.ones(len(configurations), dtype=bool)))
    members = np.zeros(len(configurations), dtype=bool)
    members[rows] = front_in(configurations.iloc[rows], metrics)
    return members


def knee_of(configurations: pd.DataFrame, objectives: Sequence[Metric]) -> int | None:
    """The position of the knee among the rows of ``configurations``.

    Only the front inside the study's region of interest counts. Each of ``objectives`` is scaled so that over it the
    worst value is 0 and the best is 1 (costs that span more than a factor of 10 as logarithms); the knee is the member
    with the largest sum. For two objectives that is the member farthest from the line through the two ends of the front
    (Das 1999, doi:10.1007/s001580050111), on the side of the ideal point.

    Returns:
        None if the front has fewer members than objectives plus one, or if no member lies beyond the plane through the
        ends (that is, no sum exceeds 1): such a front has no knee. One objective has none either.
    """
    rows = np.flatnonzero(front_inside(configurations, objectives))
    if len(objectives) < 2 or len(rows) <= len(objectives):
        return None
    gains = np.column_stack([_gain(configurations[o.name].to_numpy(dtype=float)[rows], o) for o in objectives])
    spans = np.ptp(gains, axis=0)
    scaled = (gains - gains.min(axis=0)) / np.where(spans > 0, spans, np.inf)
    sums = scaled.sum(axis=1)
    best = _first_on_front(configurations, rows, sums)
    return int(rows[best]) if sums[best] > 1 + 1e-9 else None


def _first_on_front(configurations: pd.DataFrame, rows: npt.NDArray[np.int_], gains: Floats) -> int:
    """The position in ``rows`` of the largest gain; of equal ones, one on the front of all objectives of the study."""
    is_member = configurations["on_front"].to_numpy(dtype=bool)[rows]
    return int(np.lexsort([~is_member, -gains])[0])


def _gain(values: Floats, objective: Metric) -> Floats:
    if axis_scale(objective, values).is_log and (values > 0).all():
        values = np.log10(values)
    return values if objective.maximise else -values


def best_within_budgets(configurations: pd.DataFrame, metric: Metric, cost: Metric) -> pd.DataFrame:
    """The best configuration within each round budget (1, 2, 5 times powers of ten in the cost's unit).

    Only configurations in the region of interest that may be on a front are considered; of equal ones, one on the
    front of all objectives. A budget that buys nothing better than the one before is left out; the last budget is the
    cost of the best configuration overall, rounded up to a round number.

    Returns:
        Columns ``budget`` (in the unit of ``cost``) and ``row`` (position in ``configurations``), by increasing budget.
    """
    rows = np.flatnonzero(front_inside(configurations, [dataclasses.replace(cost, direction="minimize"), metric]))
    costs = configurations[cost.name].to_numpy(dtype=float)[rows]
    gains = configurations[metric.name].to_numpy(dtype=float)[rows] * (1 if metric.maximise else -1)
    best: list[tuple[float, int]] = []
    for budget in _round_budgets(costs, cost) if len(rows) and (costs > 0).all() else []:
        affordable = np.flatnonzero(costs <= budget)
        if len(affordable):
            row = int(rows[affordable[_first_on_front(configurations, rows[affordable], gains[affordable])]])
            if not best or best[-1][1] != row:
                best.append((budget, row))
    return pd.DataFrame(best, columns=["budget", "row"])


def _round_budgets(costs: Floats, cost: Metric) -> list[float]:
    """Round budgets from below the cheapest to the first that buys everything."""
    size = axis_scale(cost, costs).size
    low, high = costs.min() / size, costs.max() / size
    ticks = log_ticks(low, max(10 ** math.ceil(math.log10(high)), high))
    within = [tick for tick in ticks if tick < high]
    return [tick * size for tick in [*within, *ticks[len(within) : len(within) + 1]]]
