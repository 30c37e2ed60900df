"""The share of objective space that a front covers, and how front and cost grew while a study ran."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt

from study.record.configurations import Configuration, spent
from study.record.front import comparable_means
from study.record.journal import SETTLED, StudyRecord, TrialRecord
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
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
    """A study after a trial ended: what all trials have cost so far, and the configurations that a front may hold.

    ``points`` are their means (configurations, objectives), in any order; ``names`` are those of the configurations.
    """

    trial: TrialRecord
    spent: float
    points: Floats
    names: list[str]


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
        self._trials: dict[str, tuple[TrialRecord, ...]] = {}
        self._points: dict[str, Floats] = {}
        self._spent = 0.0

    def add(self, trial: TrialRecord) -> Stage:
        """The study after ``trial``, which has ended."""
        self._spent += 1.0 if self._cost is None else spent(trial, self._cost.name, self._reused)
        key = trial.configuration
        own = self._trials[key] = (*self._trials.get(key, ()), trial)
        (self._points[key],) = comparable_means([Configuration(own, num_seeds=1)], self._objectives, self._study)
        values = np.array(list(self._points.values()))
        counts = np.isfinite(values).all(axis=1)
        return Stage(
            trial,
            self._spent,
            values[counts],
            [name for name, is_in in zip(self._points, counts, strict=True) if is_in],
        )


def in_order(study: StudyRecord) -> list[TrialRecord]:
    """The trials that have ended or are paused, in the order in which they did or were."""
    times = {trial.uid: trial.ended_at or max(trial.paused_at, default=None) for trial in study.with_state(*SETTLED)}
    settled = [trial for trial in study.with_state(*SETTLED) if times.get(trial.uid) is not None]
    return sorted(settled, key=lambda trial: times[trial.uid] or 0.0)


def stages(study: StudyRecord, objectives: Sequence[Metric], cost: Metric | None, reused: str) -> Iterator[Stage]:
    """The study after each trial that ended, see ``Growing``."""
    growing = Growing(study, objectives, cost, reused)
    return (growing.add(trial) for trial in in_order(study))
