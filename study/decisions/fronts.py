"""Points in non-dominated fronts, to which further points are added one at a time."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def front_numbers(points: Floats, maximise: Sequence[bool]) -> npt.NDArray[np.int64]:
    """In which front each of ``points`` (points, objectives; at least one, finite) is, from 0."""
    # Not by moocore's own ``maximise``: of a single objective, version 0.3.2 takes [False] for True.
    numbers: npt.NDArray[np.int64] = moocore.pareto_rank(np.where(maximise, -points, points))
    return numbers


class Fronts:
    """Points sorted into fronts: a point is in the first front in which no other point dominates it.

    A new point moves only what it dominates, and what that dominates in turn. Instead of all points, as a new sorting
    does, it looks at about as many fronts as the logarithm of their number, and at the few that change.

    Source: Li et al., Efficient Nondomination Level Update Method (IEEE Transactions on Cybernetics 47, 2017), with a
    binary search for the front of the new point.

    Args:
        points: (points, objectives), finite.
        maximise: for each objective, whether larger values are better.

    Example:
        >>> fronts = Fronts(np.array([[1.0, 1.0], [2.0, 0.0]]), [True, True])
        >>> ahead, own = fronts.add((1.5, 0.5))
        >>> ahead, own.tolist()
        (0, [[1.0, 1.0], [2.0, 0.0], [1.5, 0.5]])
    """

    def __init__(self, points: Floats, maximise: Sequence[bool]) -> None:
        self._sign = np.where(maximise, 1.0, -1.0)
        self._count = len(points)
        ranks = front_numbers(points, maximise) if len(points) else np.zeros(0, dtype=int)
        order = np.argsort(ranks, kind="stable")
        self._rows = np.split(order, np.flatnonzero(np.diff(ranks[order])) + 1) if len(points) else []
        # Of each front (objectives, points), larger values are better.
        self._values = [(points[rows] * self._sign).T for rows in self._rows]

    def add(self, point: Sequence[float]) -> tuple[int, Floats]:
        """Adds a point; returns how many points are in better fronts, and those of its own, in order, itself last."""
        values = (np.array(point) * self._sign)[:, None]
        first, end = 0, len(self._rows)
        while first < end:
            middle = (first + end) // 2
            is_dominated = _dominated(values, self._values[middle])[0]
            first, end = (middle + 1, end) if is_dominated else (first, middle)
        self._insert(first, np.array([self._count]), values)
        self._count += 1
        own: Floats = self._values[first][:, np.argsort(self._rows[first])].T * self._sign
        return sum(map(len, self._rows[:first])), own

    def _insert(self, front: int, rows: npt.NDArray[np.int64], values: Floats) -> None:
        """Puts points into a front; those that they dominate there move to the next one."""
        while len(rows):
            if front == len(self._rows):
                self._rows.append(rows)
                self._values.append(values)
                return
            others, theirs = self._rows[front], self._values[front]
            is_moved = _dominated(theirs, values)
            self._rows[front] = np.concatenate([others[~is_moved], rows])
            self._values[front] = np.concatenate([theirs[:, ~is_moved], values], axis=1)
            front, rows, values = front + 1, others[is_moved], theirs[:, is_moved]


def _dominated(points: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Which of ``points`` any of ``others`` dominates, both (objectives, points) of which larger values are better."""
    pairs = (points[:, :, None] <= others[:, None, :]).all(axis=0)
    found, by = np.nonzero(pairs)
    is_dominated = np.zeros(points.shape[1], dtype=bool)
    is_dominated[found[(points[:, found] != others[:, by]).any(axis=0)]] = True  # equal ones do not dominate each other
    return is_dominated
