"""Curves of trials over their progress: what each measured while it trained, and their medians where there are many."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from study.record.curves import read_curve
from study.record.journal import TrialRecord
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable
from study.trainable import Metric, Trainable

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]  # measure -> its values, NaN where it was not measured; the progress comes first
LEAST_OF_RUNGS = 2  # metrics of rungs that have curves, where so many were measured
MOST_POINTS = 80  # of a curve, so that a page stays small
QUANTILES = (0.1, 0.5, 0.9)
LEAST_TRIALS = 3  # that quantiles are of


@dataclass(frozen=True)
class Curve:
    """A measure of one trial over its progress, thinned to ``MOST_POINTS``; the last value is always there."""

    uid: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class MeasuredCurves:
    """The curves of one measure.

    ``is_counted``: it was measured where progress stood still, and ``x`` counts the measurements instead.
    """

    metric: Metric
    curves: list[Curve]
    is_counted: bool = False


def read_curves(table: TrialTable, study_dir: Path | None) -> dict[str, Columns]:
    """uid -> the columns of the trial's ``curve.csv``; trials without one are missing, and without a folder all."""
    if study_dir is None:
        return {}
    found = {uid: read_curve(trial_folder(study_dir, uid)) for uid in table.study.trials}
    return {
        uid: {name: column.to_numpy(dtype=float) for name, column in curve.items()}
        for uid, curve in found.items()
        if curve is not None
    }


def curves_info(table: TrialTable, read: Mapping[str, Columns]) -> list[MeasuredCurves]:
    """The curves of metrics at rungs, then of all else that trials measured more than once; failed ones are left out.

    A counter, such as of epochs, and the number of evaluated examples have none. Where there are no objectives among
    the metrics of rungs, or fewer than ``LEAST_OF_RUNGS``, further ones follow in the declared order.
    """
    trials = table.study.with_state("running", "complete", "stopped")
    at_rungs = metrics_at_rungs(table, read)
    names = [metric.name for metric in at_rungs]
    counts = {metric.count for metric in table.metrics.values()}  # of examples
    known = {table.progress, *table.metrics, *counts}
    counted = [(name, _is_counter(values)) for curve in read.values() for name, values in curve.items()]
    names += [name for name, is_counter in counted if not is_counter and name not in known]
    found = []
    for name in dict.fromkeys(names):
        metric = table.metric(name)
        drawn = [_points(table, trial, read.get(trial.uid), name) for trial in trials]
        found.append(_measured(metric, [(uid, x, y) for uid, x, y in drawn if len(x)]))
    kept = {metric.name for metric in at_rungs}
    return [m for m in found if m.curves and (m.metric.name in kept or any(len(curve.x) > 1 for curve in m.curves))]


def metrics_at_rungs(table: TrialTable, read: Mapping[str, Columns]) -> list[Metric]:
    """The described metrics, but for costs, that were measured before the end: objectives, else further ones."""
    reported = {name for trial in table.study.trials.values() for report in trial.reports for name in report}
    reported |= {name for curve in read.values() for name in curve}
    found = [m for m in table.metrics.values() if m.name in reported - {table.progress} and not m.is_cost]
    objectives = [metric for metric in found if metric in table.objectives]
    others = [metric for metric in found if metric not in objectives]
    chosen = objectives + others[: max(0, LEAST_OF_RUNGS - len(objectives))]
    return [metric for metric in found if metric in chosen]


def grouped(table: TrialTable, curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    """The curves by the value of the first field of ``Trainable.grouping`` that varies; '' for all if none does."""
    curves = list(curves)
    fields = (table.trainable or Trainable).grouping
    for name in fields:
        groups: dict[str, list[Curve]] = {}
        for curve in curves:
            trial = table.study.trials[curve.uid]
            groups.setdefault(str(trial.params.get(name, trial.config.get(name, ""))), []).append(curve)
        if len(groups) > 1:
            return dict(sorted(groups.items()))
    return {"": curves}


def by_share(curve: Curve) -> Curve:
    """The curve of a complete trial over the percentage of its training."""
    return replace(curve, x=100 * curve.x / curve.x[-1])


def quantile_band(curves: Sequence[Curve], num_places: int = 41) -> tuple[Floats, Floats]:
    """The quantiles of curves, each interpolated between its own points and nowhere else.

    Returns:
        Places (P,) spread evenly, and for each of ``QUANTILES`` the values (3, P): only where ``LEAST_TRIALS`` curves
        have one.
    """
    low, high = min(curve.x[0] for curve in curves), max(curve.x[-1] for curve in curves)
    places = np.linspace(low, high, num_places)
    values = np.array([np.interp(places, c.x, c.y, left=math.nan, right=math.nan) for c in curves])
    enough = np.isfinite(values).sum(axis=0) >= LEAST_TRIALS
    return places[enough], np.nanquantile(values[:, enough], QUANTILES, axis=0)


def _points(
    table: TrialTable, trial: TrialRecord, curve: Columns | None, name: str
) -> tuple[str, list[float], list[float]]:
    """uid, progress and values: from the trial's file if that says more, else its interim reports; then its result."""
    points: list[tuple[Any, Any]] = [(report.get(table.progress), report.get(name)) for report in trial.reports]
    if curve is not None and name in curve and np.isfinite(curve[name]).sum() >= len(points):
        points = list(zip(curve[table.progress].tolist(), curve[name].tolist(), strict=True))
    known = [(float(x), float(y)) for x, y in points if _is_finite(x) and _is_finite(y)]
    if trial.state == "complete" and name in table.metrics:
        x, y = trial.metrics.get(table.progress), trial.metrics.get(name)
        if _is_finite(x) and _is_finite(y) and x > max((x for x, _ in known), default=0):
            known.append((float(x), float(y)))
    return trial.uid, [x for x, _ in known], [y for _, y in known]


def _measured(metric: Metric, drawn: list[tuple[str, list[float], list[float]]]) -> MeasuredCurves:
    is_counted = any(len(x) > 1 for _, x, _ in drawn) and all(len(set(x)) == 1 for _, x, _ in drawn)
    curves = [Curve(uid, *_thinned(range(1, len(x) + 1) if is_counted else x, y)) for uid, x, y in drawn]
    return MeasuredCurves(metric, curves, is_counted)


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[Floats, Floats]:
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    return np.asarray(x, dtype=float)[chosen], np.asarray(y, dtype=float)[chosen]


def _is_counter(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and float(known[0]).is_integer() and bool((np.diff(known) == 1).all())


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.number) and math.isfinite(value)
