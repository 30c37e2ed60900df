"""The share of objective space that a front covers, and how front and cost grew while a study ran."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from study.record.configurations import Configuration, spent
from study.record.front import Flags, Floats, comparable_means, nondominated
from study.record.journal import SETTLED, StudyRecord, TrialRecord
from study.trainable import Metric

MARGIN = 0.1  # relative distance of the reference point beyond the worst value, so that this value counts too


@dataclass(frozen=True)
class ReferenceBox:
    """The box in which the hypervolume is measured: from the reference point (worst) to the ideal point (best)."""

    reference: tuple[float, ...]
    ideal: tuple[float, ...]
    maximise: tuple[bool, ...]

    def share(self, points: Floats) -> float:
        """The share of the box, in [0, 1], that at least one of ``points`` (points, objectives) dominates."""
        if len(points) == 0:
            return 0.0
        volume = math.prod(abs(best - worst) for best, worst in zip(self.ideal, self.reference, strict=True))
        if len(self.maximise) == 1:
            best = points.max() if self.maximise[0] else points.min()
            return float(max(0.0, (best - self.reference[0]) * (1 if self.maximise[0] else -1))) / volume
        return float(moocore.hypervolume(points, ref=list(self.reference), maximise=list(self.maximise))) / volume


def reference_box(points: Floats, objectives: Sequence[Metric]) -> ReferenceBox:
    """The box for ``points`` (configurations, objectives; at least one, finite).

    Shares span 0 to 100 %, costs 0 to 1.1 times the most expensive configuration; any other objective spans its best
    value to a tenth of its range beyond its worst. Costs are not taken as logarithms.
    """
    reference, ideal = [], []
    for column, objective in enumerate(objectives):
        low, high = float(points[:, column].min()), float(points[:, column].max())
        if objective.is_share:
            low, high = 0.0, 100.0
        elif objective.is_cost and not objective.maximise:
            low, high = 0.0, (1 + MARGIN) * high or 1.0  # if nothing has cost anything, all are at the best
        else:
            margin = MARGIN * (high - low or 1.0)
            low, high = (low - margin, high) if objective.maximise else (low, high + margin)
        reference.append(low if objective.maximise else high)
        ideal.append(high if objective.maximise else low)
    return ReferenceBox(tuple(reference), tuple(ideal), tuple(objective.maximise for objective in objectives))


@dataclass(frozen=True)
class Stage:
    """A study after a trial ended.

    Args:
        trial: which one.
        spent: what all trials have cost so far.
        front: the means of the configurations on the front (configurations, objectives), in any order; the same object
            as in the stage before if it is the same front.
        names: those of these configurations.
        span: (2, objectives), the smallest and the largest value of all configurations that a front may hold.
    """

    trial: TrialRecord
    spent: float
    front: Floats
    names: list[str]
    span: Floats


class Growing:
    """A study as it was after each trial that ended, one after the other.

    A configuration counts with the mean of the seeds that were complete by then, so its point can get worse when a
    further seed corrects a lucky one, and goes when a seed does not complete or fails a check. Stopped, paused and
    failed trials add no point, but their cost up to their last report counts as spent; what they spent after that is
    not known and is left out.

    Args:
        cost: what is added up; if None, the trials are counted.
        reused: the metric that is true for a trial without a cost of its own (``Trainable.reused``).
    """

    def __init__(self, study: StudyRecord, objectives: Sequence[Metric], cost: Metric | None, reused: str) -> None:
        self._study, self._objectives, self._cost, self._reused = study, objectives, cost, reused
        self._maximise = [objective.maximise for objective in objectives]
        self._trials: dict[str, tuple[TrialRecord, ...]] = {}
        self._points: dict[str, Floats] = {}  # those that a front may hold
        self._spent = 0.0
        self._front, self._names = np.zeros((0, len(objectives))), list[str]()
        self._span = np.zeros((2, len(objectives)))

    def add(self, trial: TrialRecord) -> Stage:
        """The study after ``trial``, which has ended."""
        self._spent += 1.0 if self._cost is None else spent(trial, self._cost.name, self._reused)
        key = trial.configuration
        own = self._trials[key] = (*self._trials.get(key, ()), trial)
        (point,) = comparable_means([Configuration(own, num_seeds=1)], self._objectives, self._study)
        before = self._points.pop(key, None)
        if np.isfinite(point).all():
            self._points[key] = point
        is_needed = before is not None and (key in self._names or bool((self._span == before).any()))
        if is_needed:  # what it dominated may come to the front
            self._set_front(list(self._points), np.array(list(self._points.values())).reshape(-1, len(point)))
        elif key in self._points:
            self._join(key, point)
        return Stage(trial, self._spent, self._front, self._names, self._span)

    def _join(self, key: str, point: Floats) -> None:
        """Takes a point into the span, and into the front if no member dominates it."""
        ends = [point, point] if len(self._points) == 1 else self._span
        self._span = np.array([np.minimum(ends[0], point), np.maximum(ends[1], point)])
        values = np.concatenate([self._front, point[None]])
        members = nondominated(values, self._maximise)
        if members[-1]:
            self._set_members([*self._names, key], values, members)

    def _set_front(self, names: list[str], values: Floats) -> None:
        self._span = np.array([values.min(axis=0), values.max(axis=0)]) if len(values) else self._span
        self._set_members(names, values, nondominated(values, self._maximise))

    def _set_members(self, names: list[str], values: Floats, members: Flags) -> None:
        self._front = values[members]
        self._names = [name for name, is_member in zip(names, members, strict=True) if is_member]


def in_order(study: StudyRecord) -> list[TrialRecord]:
    """The trials that have ended or are paused, in the order in which they did or were."""
    times = {trial.uid: trial.ended_at or max(trial.paused_at, default=None) for trial in study.with_state(*SETTLED)}
    settled = [trial for trial in study.with_state(*SETTLED) if times.get(trial.uid) is not None]
    return sorted(settled, key=lambda trial: times[trial.uid] or 0.0)


def stages(study: StudyRecord, objectives: Sequence[Metric], cost: Metric | None, reused: str) -> Iterator[Stage]:
    """The study after each trial that ended, see ``Growing``."""
    growing = Growing(study, objectives, cost, reused)
    return (growing.add(trial) for trial in in_order(study))
