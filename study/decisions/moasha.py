"""Multi-objective asynchronous successive halving, independent of any executor.

Source: Schmucker et al., Multi-objective Asynchronous Successive Halving (arXiv:2106.12639), with the non-dominated
sorting and epsilon-net ranking that the paper recommends.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from study.decisions.fronts import Fronts, front_numbers
from study.spec import Rungs


def rule(stopping: Rungs, first_rung: int, maximise: Sequence[bool]) -> "MultiObjectiveAsha":
    """The rule of a study with ``MoAsha``."""
    return MultiObjectiveAsha(stopping.eta, maximise)


@dataclass
class Rung:
    """What was recorded at one milestone: for each trial, its objectives and whether it was kept."""

    vectors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    kept: dict[str, bool] = field(default_factory=dict)


class MultiObjectiveAsha:
    """Decides at rungs which trials continue; asking again about a trial returns the first answer.

    Args:
        eta: at each rung the best ``ceil(n / eta)`` of the n trials recorded so far are kept; all are kept while n is
            less than ``eta``.
        maximise: for each objective, whether larger values are better.
    """

    def __init__(self, eta: int, maximise: Sequence[bool]) -> None:
        self.eta, self.maximise = eta, tuple(maximise)
        self.rungs: dict[int, Rung] = {}
        self._fronts: dict[int, Fronts] = {}  # milestone -> what its rung holds, as far as that was needed
        self._standings: dict[tuple[str, int], tuple[int, int]] = {}

    def decide(
        self, uid: str, milestone: int, values: Sequence[float | None], among: Collection[str] | None = None
    ) -> bool:
        """Records the objectives of a trial at a milestone and returns whether it may continue.

        Args:
            uid: the trial.
            milestone: progress at the rung, equal for all trials that are compared.
            values: the objectives; if any is missing or not finite, the trial is stopped.
            among: which of the recorded trials it is compared with; None for all.
        """
        rung = self.rungs.setdefault(milestone, Rung())
        if uid not in rung.kept:
            vector = tuple(math.nan if value is None else float(value) for value in values)
            is_finite = all(math.isfinite(value) for value in vector)
            if is_finite:
                rung.vectors[uid] = vector
            rung.kept[uid] = is_finite and (
                self._is_kept(milestone, vector) if among is None else self._is_kept_among(uid, milestone, among)
            )
        return rung.kept[uid]

    def _is_kept(self, milestone: int, vector: tuple[float, ...]) -> bool:
        """Whether the trial that came last to a rung, with ``vector``, is among the best of all there."""
        vectors = self.rungs[milestone].vectors
        if milestone not in self._fronts:
            earlier = np.array(list(vectors.values())[:-1]).reshape(-1, len(vector))
            self._fronts[milestone] = Fronts(earlier, self.maximise)
        ahead, front = self._fronts[milestone].add(vector)
        count = len(vectors)
        most = count if count < self.eta else math.ceil(count / self.eta)
        if ahead + len(front) <= most or ahead >= most:
            return ahead < most
        return ahead + epsilon_net(front, self.maximise).index(len(front) - 1) < most

    def _is_kept_among(self, uid: str, milestone: int, among: Collection[str]) -> bool:
        vectors = self.rungs[milestone].vectors
        self._fronts.pop(milestone, None)  # the trial is not in them
        # The set is fixed by the caller, so ties must not depend on the order of arrival.
        compared = sorted(other for other in vectors if other in among or other == uid)
        place = place_of(compared.index(uid), np.array([vectors[other] for other in compared]), self.maximise)
        self._standings[uid, milestone] = place, len(compared)
        return len(compared) < self.eta or place <= math.ceil(len(compared) / self.eta)

    def restore(self, uid: str, milestone: int, values: Sequence[float | None], kept: bool) -> None:
        """Restores a decision that was made before a restart."""
        rung = self.rungs.setdefault(milestone, Rung())
        if all(value is not None and math.isfinite(value) for value in values):
            rung.vectors[uid] = tuple(float(value) for value in values if value is not None)
            self._fronts.pop(milestone, None)
        rung.kept[uid] = kept

    def explain(self, uid: str, milestone: int) -> str:
        """The reason for the decision about a trial; only for decisions made by ``decide``, not restored ones."""
        if uid not in self.rungs[milestone].vectors:
            return "not finite"
        place, count = self.standing(uid, milestone)
        return f"place {place} of {count}"

    def standing(self, uid: str, milestone: int) -> tuple[int, int]:
        """The place (from 1) of a trial when ``decide`` was called for it, and how many trials were compared."""
        if (uid, milestone) not in self._standings:
            vectors = self.rungs[milestone].vectors
            count = list(vectors).index(uid) + 1
            points = np.array(list(vectors.values())[:count])
            self._standings[uid, milestone] = place_of(count - 1, points, self.maximise), count
        return self._standings[uid, milestone]


def rank(points: np.ndarray, maximise: Sequence[bool]) -> list[int]:
    """Row indices of ``points`` (n, objectives), best first: by non-dominated front, within a front by an epsilon-net.

    The result does not depend on the scales or the order of the objectives. All values must be finite.
    """
    fronts = front_numbers(points, maximise)
    order: list[int] = []
    for front in np.unique(fronts):
        rows = np.flatnonzero(fronts == front)
        order += [int(rows[index]) for index in epsilon_net(points[rows], maximise)]
    return order


def place_of(row: int, points: np.ndarray, maximise: Sequence[bool]) -> int:
    """The place (from 1) of a row in the order of ``rank``, found by ordering only the row's own front."""
    fronts = front_numbers(points, maximise)
    own = np.flatnonzero(fronts == fronts[row])
    ahead = int((fronts < fronts[row]).sum())
    return ahead + [int(own[index]) for index in epsilon_net(points[own], maximise)].index(row) + 1


def epsilon_net(points: np.ndarray, maximise: Sequence[bool]) -> list[int]:
    """Orders the rows of ``points`` so that every prefix of the order covers them well.

    Values are scaled to [0, 1] within ``points``. The first row is the one nearest to the ideal point; each next row is
    the one farthest from those already taken. Ties are broken by row order.
    """
    span = points.max(axis=0) - points.min(axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1)
    ideal = np.where(np.array(maximise), 1.0, 0.0) * (span > 0)
    order = [int(np.argmin(_distance(scaled, ideal)))]
    nearest = _distance(scaled, scaled[order[0]])
    while len(order) < len(points):
        nearest[order] = -1
        farthest = int(np.argmax(nearest))
        if nearest[farthest] == 0:  # only duplicates of rows already taken are left; there can be very many
            return order + np.flatnonzero(nearest == 0).tolist()
        order.append(farthest)
        nearest = np.minimum(nearest, _distance(scaled, scaled[farthest]))
    return order


def _distance(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    # Sorted before summing so that the order of the objectives cannot affect rounding.
    squares: np.ndarray = np.sort((points - target) ** 2, axis=1).sum(axis=1).round(12)
    return squares
