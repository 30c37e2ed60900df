"""The share of objective space that a front covers, and its growth with the compute spent."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from study.record.configuration_frame import rounded
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import COSTS, Objective, is_accuracy

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
        dominated = moocore.hypervolume(points, ref=list(self.reference), maximise=list(self.maximise))
        return float(dominated) / volume


def reference_box(points: Floats, objectives: list[Objective]) -> ReferenceBox:
    """The box for ``points`` (configurations, objectives; at least one, finite).

    Accuracies span 0 to 100 %, costs 0 to 1.1 times the most expensive configuration; any other objective spans its
    best value to a tenth of its range beyond its worst. Costs are not taken as logarithms.
    """
    reference, ideal = [], []
    for column, objective in enumerate(objectives):
        low, high = float(points[:, column].min()), float(points[:, column].max())
        if is_accuracy(objective.name):
            low, high = 0.0, 100.0
        elif objective.name in COSTS and not objective.maximise:
            low, high = 0.0, (1 + MARGIN) * high
        else:
            margin = MARGIN * (high - low or 1.0)
            low, high = (low - margin, high) if objective.maximise else (low, high + margin)
        reference.append(low if objective.maximise else high)
        ideal.append(high if objective.maximise else low)
    return ReferenceBox(tuple(reference), tuple(ideal), tuple(objective.maximise for objective in objectives))


def spent_pflop(trial: TrialRecord) -> float:
    """The pretraining cost of a trial so far: from its result, else from its last report, else 0.

    A trial that reused an encoder trained by another trial has cost nothing.
    """
    if trial.metrics.get("is_encoder_shared"):
        return 0.0
    for metrics in (trial.metrics, *reversed(trial.reports)):
        value = metrics.get("train_pflop")
        if value is not None and math.isfinite(value):
            return float(value)
    return 0.0


def hypervolume_growth(study: StudyRecord, objectives: list[Objective], box: ReferenceBox) -> pd.DataFrame:
    """The hypervolume after each trial that ended, in the order in which the trials ended.

    A configuration counts with the mean of the seeds that were complete by then, so the hypervolume can fall when a
    further seed corrects a lucky one or does not complete, or when a check of a trial fails. Stopped and failed trials
    add no point, but their cost up to their last report counts as spent; what they spent after that is not known and
    is left out.

    Returns:
        Columns ``uid``, ``state``, ``spent_pflop`` (sum over the trials that ended), ``hypervolume`` (share of box).
    """
    ended = [trial for trial in study.with_state("complete", "stopped", "failed") if trial.ended_at is not None]
    so_far = defaultdict[str, list[TrialRecord]](list)
    points: dict[str, Floats] = {}
    spent, rows = 0.0, []
    for trial in sorted(ended, key=lambda trial: trial.ended_at or 0.0):
        spent += spent_pflop(trial)
        so_far[trial.configuration].append(trial)
        point = _per_seed(so_far[trial.configuration], [objective.name for objective in objectives]).mean(axis=0)
        if np.isfinite(point).all() and _is_trusted(so_far[trial.configuration], study.spec.get("constraints", [])):
            points[trial.configuration] = point
        else:
            points.pop(trial.configuration, None)
        rows.append((trial.uid, trial.state, spent, box.share(np.array(list(points.values())))))
    return pd.DataFrame(rows, columns=["uid", "state", "spent_pflop", "hypervolume"])


def _is_trusted(trials: list[TrialRecord], constraints: list[dict[str, Any]]) -> bool:
    """Whether all trials completed and passed their checks, and their means violate no constraint."""
    if any(trial.state != "complete" or trial.metrics.get("validity") for trial in trials):
        return False
    means = _mean(_per_seed(trials, [constraint["name"] for constraint in constraints]))
    return not any(rounded(mean) > constraint["at_most"] for mean, constraint in zip(means, constraints, strict=True))


def _per_seed(trials: list[TrialRecord], names: list[str]) -> Floats:
    """The measures (seeds, measures); trials of a seed that was run twice are averaged, as in ``seed_frame``."""
    seeds = defaultdict[int, list[Floats]](list)
    for trial in trials:
        seeds[trial.seed].append(_vector(trial, names))
    return np.array([_mean(np.array(values)) for values in seeds.values()])


def _mean(values: Floats) -> Floats:
    """The mean of each column of ``values`` (rows, measures) over the rows that have it; NaN if none has."""
    counts = (~np.isnan(values)).sum(axis=0)
    means: Floats = np.nansum(values, axis=0) / np.where(counts > 0, counts, np.nan)
    return means


def _vector(trial: TrialRecord, names: list[str]) -> Floats:
    values = [trial.metrics.get(name) for name in names]
    return np.array([math.nan if value is None else float(value) for value in values])
