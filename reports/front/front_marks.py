"""Notable points of a front: its knee, and the best configurations within given budgets."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.front import front_mask
from study.record.measures import COSTS, Objective, cost_scale, log_ticks

Floats = npt.NDArray[np.float64]


def knee_of(configurations: pd.DataFrame, objectives: Sequence[Objective]) -> int | None:
    """The position of the knee among the rows of ``configurations``.

    Definition: each of ``objectives`` is scaled so that over the members of the front its worst value is 0 and its best
    is 1 (costs that span more than a factor of 10 as logarithms); the knee is the member with the largest sum. For two
    objectives that is the member farthest from the line through the two ends of the front (Das 1999,
    doi:10.1007/s001580050111), on the side of the ideal point.

    Returns:
        None if the front has fewer members than objectives plus one, or if no member lies beyond the plane through the
        ends (that is, no sum exceeds 1): such a front has no knee.
    """
    rows = np.flatnonzero(front_mask(configurations, objectives))
    if len(rows) <= len(objectives):
        return None
    gains = np.column_stack([_gain(configurations[o.name].to_numpy(dtype=float)[rows], o) for o in objectives])
    spans = np.ptp(gains, axis=0)
    scaled = (gains - gains.min(axis=0)) / np.where(spans > 0, spans, np.inf)
    sums = scaled.sum(axis=1)
    best = int(np.argmax(sums))
    return int(rows[best]) if sums[best] > 1 + 1e-9 else None


def _gain(values: Floats, objective: Objective) -> Floats:
    if objective.name in COSTS and cost_scale(objective.name, values).is_log and (values > 0).all():
        values = np.log10(values)
    return values if objective.maximise else -values


def best_within_budgets(configurations: pd.DataFrame, measure: str, cost: str) -> pd.DataFrame:
    """The best configuration within each round budget (1, 2, 5 times powers of ten in the cost's unit).

    Only configurations eligible for a front are considered. A budget that buys nothing better than the one before is
    left out; the last budget is the cost of the best configuration overall, rounded up to a round number.

    Returns:
        Columns ``budget`` (in the unit of the measure ``cost``) and ``row`` (position in ``configurations``), by
        increasing budget.
    """
    fit = front_mask(configurations, [Objective(cost, maximise=False), Objective(measure, maximise=True)])
    rows = np.flatnonzero(fit)
    costs = configurations[cost].to_numpy(dtype=float)[rows]
    values = configurations[measure].to_numpy(dtype=float)[rows]
    found: list[tuple[float, int]] = []
    for budget in _round_budgets(costs, cost) if len(rows) and (costs > 0).all() else []:
        affordable = np.flatnonzero(costs <= budget)
        if len(affordable) == 0:
            continue
        best = int(rows[affordable[np.argmax(values[affordable])]])
        if not found or found[-1][1] != best:
            found.append((budget, best))
    return pd.DataFrame(found, columns=["budget", "row"])


def _round_budgets(costs: Floats, name: str) -> list[float]:
    size = cost_scale(name, costs).size
    low, high = costs.min() / size, costs.max() / size
    top = 10 ** math.ceil(math.log10(high))
    ticks = log_ticks(low, max(top, high))
    above = [tick for tick in ticks if tick >= high]
    return [tick * size for tick in ticks if tick < high] + [tick * size for tick in above[:1]]
