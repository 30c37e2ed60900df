"""Terminal tables of a study's trials, shared by the progress display and ``study.status``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from study.record.configurations import Configuration, rounded
from study.record.front import front_inside
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import in_words, value_text
from study.record.metrics import objectives_of, trainable_in
from study.record.recipe import recipe_words
from study.record.region import region_in
from study.trainable import Metric

# Of a live display: heading, titles and heads of tables, and a last line. That is short, because a terminal prints ^C
# where the display ends: behind a full line it would begin another one, and what is above could not be erased.
LINES_BESIDES = 9


def front_table(record: StudyRecord, front: list[Configuration], most: int | None = None) -> Group:
    """One row per configuration of ``front``: trials, objectives (mean ± standard deviation over seeds), its recipe.

    At most ``most`` rows, of which the title then says that they are not all.
    """
    objectives, shown = objectives_of(record), front[:most]
    what = "best" if len(objectives) == 1 else "front"
    where = " on validation" if any(objective.split == "val" for objective in objectives) else ""
    rows = []
    for one in shown:
        values = [_value(objective, *_mean_and_spread(one, objective)) for objective in objectives]
        uids = ", ".join(trial.uid for trial in one.completed)
        rows.append([uids, *values, recipe_of(record, one.completed[0])])
    title = f"{what}{where}{'' if record.ended else ' so far'}{of_all(shown, front)}"
    heads = ["trials", *map(_label, objectives), "recipe"]
    region = region_in(record.spec.get("objectives", []))
    if region:
        inside = [one.name for one in front_inside(record, front)]
        rows = [[*row[:1], "yes" if one.name in inside else "", *row[1:]] for row, one in zip(rows, shown, strict=True)]
        heads.insert(1, "inside")
        title += f"; {len(inside)} inside {region}"
    return titled_table(title, heads, rows, long=("recipe",))


def titled_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], long: Sequence[str]) -> Group:
    """A table with a line for each row; those of its columns that are ``long`` are cut where they do not fit."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=name not in long)
    for row in rows:
        table.add_row(*(Text(text, no_wrap=True, overflow="ellipsis") for text in row))
    return Group(Text(title, style="italic", no_wrap=True, overflow="ellipsis"), table)


def rows_that_fit(lines: int, num_running: int, num_front: int) -> tuple[int, int]:
    """How many running trials and members of the front fit on ``lines`` of the screen; each gets half if both are many.

    Example:
        >>> rows_that_fit(10, 4, 30), rows_that_fit(10, 30, 2)
        ((4, 6), (8, 2))
    """
    lines = max(2, lines)
    running = min(num_running, max(lines - num_front, lines // 2))
    return running, lines - running


def of_all(shown: Sequence[object], found: Sequence[object]) -> str:
    """For a title: how many of those found are shown; '' if all are."""
    return "" if len(shown) == len(found) else f", {len(shown)} of {len(found)}"


def recipe_of(record: StudyRecord, trial: TrialRecord) -> str:
    """The factors of ``trial`` that are active with their values, in the words of its trainable."""
    trainable = trainable_in(record)
    return recipe_words(trial.params, list(trial.params), trainable.words if trainable else None)


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


def _mean_and_spread(one: Configuration, metric: Metric) -> tuple[float | None, float | None]:
    values = [rounded(value) for value in one.by_seed(metric.name).values()]
    return one.mean(metric.name), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _measured(metric: Metric, value: float | None) -> str:
    return f"{_label(metric)} {value_text(metric, value)}"


def _label(metric: Metric) -> str:
    return in_words(metric) if metric.is_cost else metric.name


def _value(metric: Metric, value: float | None, spread: float | None) -> str:
    # The seeds of a configuration cost the same, but for the clock.
    is_shown = spread is not None and (spread > 0 or not metric.is_cost)
    return value_text(metric, value) + (f" ± {value_text(metric, spread)}" if is_shown else "")
