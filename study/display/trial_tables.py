"""Terminal tables of a study's trials, shared by the progress display and ``study.status``."""

import math
from typing import Any

from rich.table import Table

from study.record.configuration_frame import Row, spread_of
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import COSTS, format_cost, is_accuracy
from study.record.trials import tabulate


def front_of(record: StudyRecord) -> list[Row]:
    """The configurations on the front of all objectives, as in ``configuration_frame``, oldest first."""
    return tabulate(record).front_configurations.to_dict("records") if record.trials else []


def front_table(record: StudyRecord, front: list[Row], title: str) -> Table:
    """One row per configuration of ``front``: trials, objectives (mean ± standard deviation over seeds), factors."""
    table = new_table("trials", "objectives", "factors", title=title)
    for row in front:
        objectives = [_with_spread(row, objective["name"]) for objective in record.spec.get("objectives", [])]
        table.add_row(", ".join(row["uids"]), ", ".join(objectives), describe_factors(record.trials[row["uid"]]))
    return table


def new_table(*columns: str, title: str) -> Table:
    """An empty table in the common style."""
    return Table(*columns, title=title, title_justify="left", expand=True)


def describe_objectives(record: StudyRecord, trial: TrialRecord) -> str:
    """The values that ``trial`` has for the study's objectives."""
    names = [objective["name"] for objective in record.spec.get("objectives", [])]
    return ", ".join(_measured(name, trial.metrics[name]) for name in names if name in trial.metrics)


def describe_factors(trial: TrialRecord) -> str:
    """The factors of ``trial`` with their values."""
    return ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _with_spread(row: Row, name: str) -> str:
    spread, _ = spread_of(row, name)
    # The seeds of a configuration cost the same, but for the clock.
    is_shown = not math.isnan(spread) and (spread > 0 or name not in COSTS)
    return _measured(name, row[name]) + (f" ± {_value(name, spread)}" if is_shown else "")


def _measured(name: str, value: float | None) -> str:
    label = COSTS[name][0] if name in COSTS else name  # costs have units of their own
    return f"{label} {'–' if value is None or not math.isfinite(value) else _value(name, value)}"


def _value(name: str, value: float) -> str:
    if name in COSTS:
        return format_cost(name, value)
    return f"{value:.1f}" if is_accuracy(name) else _short(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
