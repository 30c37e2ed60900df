"""What a record tells the model: results, interim reports, failures, and what is under way."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.record.configurations import Configuration
from study.spec import Params
from study.trainable import Metric

MAX_ROWS = 150  # that a model is fitted to


@dataclass(frozen=True)
class Row:
    """One observation of a configuration.

    Args:
        params: its factor values.
        values: metric -> what was measured; those not measured are missing.
        share: of the training that was done by then, in (0, 1].
        is_interim: whether it is an evaluation at a rung, which may be a shorter one.
        is_failure: whether the trial failed, or its numbers cannot be trusted: then there are no values.
    """

    params: Params
    values: Mapping[str, float]
    share: float = 1.0
    is_interim: bool = False
    is_failure: bool = False


def rows_of(
    configuration: Configuration,
    metrics: Sequence[Metric],
    objectives: Collection[str],
    share_of: Callable[[Params, Mapping[str, Any]], float],
) -> list[Row]:
    """The observations of a configuration: its result, if there is one, and the reports of its first trial.

    Args:
        configuration: a snapshot of it.
        metrics: those that models are made of.
        objectives: the names of those without which a result is a failure.
        share_of: the share of the training that a report of these factor values was made at.
    """
    params = configuration.params
    if configuration.state == "failed" or configuration.validity:
        return [Row(params, {}, is_failure=True)]
    rows = []
    if configuration.completed:
        means = {metric.name: configuration.mean(metric.name) for metric in metrics}
        finite = {name: value for name, value in means.items() if value is not None}
        if not set(objectives) <= set(finite):
            return [Row(params, {}, is_failure=True)]
        rows.append(Row(params, finite))
    for report in configuration.trials[0].reports:
        share = share_of(params, report)
        values = {}
        for metric in metrics:
            value = report.get(metric.name)
            if isinstance(value, int | float) and math.isfinite(value):
                values[metric.name] = value / share if metric.is_cost else float(value)
        rows.append(Row(params, values, share, is_interim=True))
    return rows


def bounded(rows: Sequence[Row], limit: int = MAX_ROWS) -> list[Row]:
    """At most ``limit`` rows: results before reports, last reports before the others, newer ones before older ones."""
    last = {id(row.params): row for row in rows}
    order = sorted(
        range(len(rows)),
        key=lambda at: (rows[at].is_interim, last[id(rows[at].params)] is not rows[at], -at),
    )
    return [rows[at] for at in sorted(order[:limit])]
