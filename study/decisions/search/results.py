"""What a record tells the model: results, interim reports, failures, and what is under way."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from study.decisions.search.space import Point
from study.record.configurations import Configuration
from study.trainable import Metric

MAX_ROWS = 150  # that a model is fitted to


@dataclass(frozen=True)
class Row:
    """One observation of a configuration.

    Args:
        point: the configuration.
        values: metric -> what was measured; those not measured are missing.
        share: of the training that was done by then, in (0, 1].
        is_interim: whether it is an evaluation at a rung, which may be a shorter one.
        is_failure: whether the trial failed, or its numbers cannot be trusted: then there are no values.
        is_prior: whether it is a result of an earlier study.
    """

    point: Point
    values: Mapping[str, float]
    share: float = 1.0
    is_interim: bool = False
    is_failure: bool = False
    is_prior: bool = False


def rows_of(
    configuration: Configuration,
    point: Point,
    metrics: Sequence[Metric],
    objectives: Collection[str],
    share_of: Callable[[Point, Mapping[str, Any]], float],
) -> list[Row]:
    """The observations of a configuration: its result, if there is one, and the reports of its first trial.

    Args:
        configuration: a snapshot of it.
        point: its factor values.
        metrics: those that models are made of.
        objectives: the names of those without which a result is a failure.
        share_of: the share of the training that a report of this point was made at.
    """
    if configuration.state == "failed" or configuration.validity:
        return [Row(point, {}, is_failure=True)]
    rows = []
    if configuration.completed:
        means = {metric.name: configuration.mean(metric.name) for metric in metrics}
        finite = {name: value for name, value in means.items() if value is not None}
        if not set(objectives) <= set(finite):
            return [Row(point, {}, is_failure=True)]
        rows.append(Row(point, finite))
    for report in configuration.trials[0].reports:
        share = share_of(point, report)
        values = {}
        for metric in metrics:
            value = report.get(metric.name)
            if isinstance(value, int | float) and math.isfinite(value):
                values[metric.name] = value / share if metric.is_cost else float(value)
        rows.append(Row(point, values, share, is_interim=True))
    return rows


def as_results(rows: Sequence[Row], metric: Metric) -> list[float | None]:
    """The values of a metric; those of interim reports as the results that would be expected from them alone.

    A report is raised by as much as complete trials gained on average from there on: reports at shares of the training
    that are twice or half as large count half. Costs are in reports as if they grew evenly already (``rows_of``).
    """
    values = [row.values.get(metric.name) for row in rows]
    own = [(row, value) for row, value in zip(rows, values, strict=True) if not row.is_prior]
    final = {row.point: value for row, value in own if not row.is_interim}
    gains = [
        (row.share, end - value)
        for row, value in own
        if row.is_interim and value is not None and (end := final.get(row.point)) is not None
    ]
    if metric.is_cost or not gains:
        return values

    def gain(share: float) -> float:
        weights = [2 ** -abs(math.log2(share / other)) for other, _ in gains]
        return sum(weight * own for weight, (_, own) in zip(weights, gains, strict=True)) / sum(weights)

    return [
        value + gain(row.share) if row.is_interim and value is not None else value
        for row, value in zip(rows, values, strict=True)
    ]


def bounded(rows: Sequence[Row], limit: int = MAX_ROWS) -> list[Row]:
    """At most ``limit`` rows: own results, then reports, the last of each trial first; newer ones before older ones."""
    last = {id(row.point): row for row in rows}
    order = sorted(
        range(len(rows)),
        key=lambda at: (rows[at].is_prior, rows[at].is_interim, last[id(rows[at].point)] is not rows[at], -at),
    )
    return [rows[at] for at in sorted(order[:limit])]


def unit_of(metric: str, done: Sequence[Row]) -> float | None:
    """The measured values of a metric that is known up to a factor, divided by the known ones; None without results."""
    ratios = [
        row.values[metric] / row.point.known[metric]
        for row in done
        if metric in row.values and row.point.known.get(metric)
    ]
    return median(ratios) if ratios else None
