"""Terminal tables of a study's trials, shared by the progress display and ``study.status``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

from study.record.configurations import Configuration, rounded
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import in_words, value_text
from study.record.metrics import objectives_of
from study.trainable import Metric


def front_table(record: StudyRecord, front: list[Configuration]) -> Table:
    """One row per configuration of ``front``: trials, objectives (mean ± standard deviation over seeds), factors."""
    objectives = objectives_of(record)
    what = "best" if len(objectives) == 1 else "front"
    where = " on validation" if any(objective.split == "val" for objective in objectives) else ""
    table = new_table("trials", "objectives", "factors", title=f"{what}{where}{'' if record.ended else ' so far'}")
    for one in front:
        words = [_measured(objective, *_mean_and_spread(one, objective)) for objective in objectives]
        uids = ", ".join(trial.uid for trial in one.completed)
        table.add_row(uids, ", ".join(words), describe_factors(one.completed[0]))
    return table


def new_table(*columns: str, title: str) -> Table:
    """An empty table in the common style."""
    return Table(*columns, title=title, title_justify="left", expand=True)


def describe_objectives(objectives: list[Metric], metrics: Mapping[str, Any]) -> str:
    """The values of the study's objectives in a trial's ``metrics``."""
    return ", ".join(_measured(one, metrics[one.name]) for one in objectives if one.name in metrics)


def describe_factors(trial: TrialRecord) -> str:
    """The factors of ``trial`` with their values."""
    return ", ".join(
        f"{name}={f'{value:.4g}' if isinstance(value, float) else value}" for name, value in trial.params.items()
    )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _mean_and_spread(one: Configuration, metric: Metric) -> tuple[float | None, float]:
    values = [rounded(value) for value in one.by_seed(metric.name).values()]
    return one.mean(metric.name), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _measured(metric: Metric, value: float | None, spread: float = 0.0) -> str:
    label = in_words(metric) if metric.is_cost else metric.name
    return f"{label} {value_text(metric, value)}" + (f" ± {value_text(metric, spread)}" if spread > 0 else "")
