"""Trials of a study as tables in the terminal, shared by the display of a run and by ``study.status``."""

from typing import Any

from rich.table import Table

from reports.trials import tabulate
from study.journal import StudyRecord, TrialRecord


def front_of(record: StudyRecord) -> list[TrialRecord]:
    """The trials on the front of all objectives, in the order in which they were proposed."""
    uids = list(tabulate(record).front["uid"]) if record.trials else []
    return [record.trials[uid] for uid in uids]


def front_table(record: StudyRecord, front: list[TrialRecord], title: str) -> Table:
    """One row a trial of ``front`` with its objectives and factors."""
    table = new_table("trial", "objectives", "factors", title=title)
    for trial in front:
        table.add_row(trial.uid, describe_objectives(record, trial), describe_factors(trial))
    return table


def new_table(*columns: str, title: str) -> Table:
    """An empty table in the one style that all have."""
    return Table(*columns, title=title, title_justify="left", expand=True)


def describe_objectives(record: StudyRecord, trial: TrialRecord) -> str:
    """The values of the study's objectives that ``trial`` has."""
    names = [objective["name"] for objective in record.spec.get("objectives", [])]
    return ", ".join(f"{name} {_short(trial.metrics[name])}" for name in names if name in trial.metrics)


def describe_factors(trial: TrialRecord) -> str:
    """What was varied, with its values."""
    return ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
