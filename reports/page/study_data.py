"""The study as data in its page, for the scripts that link its charts and tables: configurations, trials, metrics.

A configuration is named by its uid in ``TrialTable.configurations``, one without results by that of its first trial.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.page.recipe import recipe_text
from reports.page.rerun import rerun_command
from study.record.configurations import Configuration, configurations
from study.record.journal import TrialRecord
from study.record.measures import (
    axis_scale,
    examples_behind,
    in_words,
    interval_of,
    on_its_split,
    short_label,
    with_unit,
)
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable, metric_names, spread_of
from study.trainable import Metric

MOST_POINTS = 60  # of a curve of one trial
NUMBERED = re.compile(r"(.*\D)(\d+(?:\.\d+)?)")  # the name of one of a family of metrics, such as accuracy_8


def study_data(table: TrialTable, study_dir: Path | None, curves: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The study as plain data.

    Args:
        table: the study.
        study_dir: where the files of its trials are; None if that is not known.
        curves: uid -> what was measured while the trial trained (``read_curve``); others have their interim reports.
    """
    groups = configurations(table.study, len(table.study.spec.get("seeds", [0])), with_confirmations=True)
    place = {trial.uid: index for index, one in enumerate(groups) for trial in one.trials}
    trials = list(table.study.trials.values())
    names = dict.fromkeys([*(metric.name for metric in table.measured), *metric_names(table.study)])
    own_trials = [_trial(table, trial, study_dir, curves) | {"place": place[trial.uid]} for trial in trials]
    measures = dict.fromkeys(name for trial in own_trials for name in trial["curve"])
    rows = {row["configuration"]: row for row in table.certainty[0].to_dict("records")}
    own_rows = [rows.get(one.name, {}) for one in groups]
    return {
        "name": table.study.name,
        "base": table.study.spec.get("base", {}),
        "progress": in_words(table.metric(table.progress)),
        "factors": [{"name": name, "values": [one.params.get(name) for one in groups]} for name in table.factors],
        "metrics": [_metric(table, table.metric(name), own_rows, trials) for name in names],
        "families": families(table.measured),
        "measures": {name: on_its_split(table.metric(name)).replace("_", " ") for name in measures},
        "configurations": [_configuration(table, one, row) for one, row in zip(groups, own_rows, strict=True)],
        "trials": own_trials,
    }


def as_json(data: Mapping[str, Any]) -> str:
    """Compact JSON that cannot end the script element it stands in."""
    return (
        json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
    )


def _metric(table: TrialTable, metric: Metric, rows: list[Any], trials: list[TrialRecord]) -> dict[str, Any]:
    """How a metric is shown, its means over the seeds of configurations, and its values in trials."""
    means = [row.get(metric.name, math.nan) for row in rows]
    scale = axis_scale(metric, means)
    return {
        "name": metric.name,
        "label": short_label(metric),
        "words": on_its_split(metric),
        "plain": with_unit(metric),
        "kind": metric.kind,
        "unit": metric.unit,
        "units": metric.units,
        "maximise": metric.maximise,
        "split": metric.split,
        "twin": metric.twin,
        "isObjective": metric in table.objectives,
        "isDescribed": metric.name in table.metrics,
        "axis": {"size": scale.size, "label": scale.label, "isLog": scale.is_log},
        "means": [_number(value) for value in means],
        "within": [_within(row, metric) for row in rows],
        "values": [_number(trial.metrics.get(metric.name) if trial.state == "complete" else None) for trial in trials],
    }


def _within(row: Any, metric: Metric) -> str:
    """The uncertainty of a mean and what it is over; '' if it has none."""
    spread, seeds = spread_of(row, metric.name) if row else (math.nan, 0)
    if seeds > 1:
        return "" if metric.is_cost and spread == 0 else f"± {spread:.3g} (sd, {seeds} seeds)"
    interval, count = interval_of(row, metric), examples_behind(row, metric)
    return f"[{interval[0]:.1f}, {interval[1]:.1f}], n = {count:,}" if interval else ""


def families(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """Metrics whose names differ only in a number at their end, such as accuracies over radii: three or more."""
    found: dict[str, dict[float, Metric]] = {}
    for metric in metrics:
        if match := NUMBERED.fullmatch(metric.name):
            found.setdefault(match[1], {})[float(match[2])] = metric
    return [
        {
            "label": _common_words([in_words(metric) for metric in members.values()]) or stem.strip("_ "),
            "split": next(iter(members.values())).split,
            "at": sorted(members),
            "metrics": [members[number].name for number in sorted(members)],
        }
        for stem, members in found.items()
        if len(members) > 2
    ]


def _common_words(labels: list[str]) -> str:
    words = [word for word in labels[0].split() if all(word in label.split() for label in labels)]
    return " ".join(words[:-1] if words and words[-1] in ("at", "of", "with") else words)


def _configuration(table: TrialTable, one: Configuration, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": row.get("uid", one.uid),
        "state": one.state if one.completed or one.is_lost else one.trials[0].state,
        "recipe": recipe_text(table, one.uid),
        "isOnFront": bool(row.get("on_front", False)),
        "isInside": bool(row.get("is_inside", True)),
        "probability": _number(row.get("front_probability")),
        "checks": row.get("validity", []),
    }


def _trial(
    table: TrialTable, trial: TrialRecord, study_dir: Path | None, curves: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """What the page says of one trial; of its config only what differs from the study's base."""
    base, missing = table.study.spec.get("base", {}), object()
    folder = trial_folder(study_dir, trial.uid) if study_dir else None
    files = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []
    return {
        "uid": trial.uid,
        "state": trial.state,
        "reason": trial.reason,
        "seed": trial.seed,
        "purpose": trial.purpose,
        "checks": trial.metrics.get("validity") or [],
        "config": {name: value for name, value in trial.config.items() if base.get(name, missing) != value},
        "files": files,
        "command": rerun_command(table, trial.uid) or "",
        "curve": _curve(table, trial, curves.get(trial.uid)),
    }


def _curve(table: TrialTable, trial: TrialRecord, curve: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """Measure -> [progress, values], of at most ``MOST_POINTS`` points, from a trial's curve or its interim reports."""
    progress, reports = table.progress, list(trial.reports)
    final = trial.metrics if trial.state == "complete" else {}
    if reports and (final.get(progress) or 0) > max(report.get(progress) or 0 for report in reports):
        reports.append({name: final.get(name) for report in trial.reports for name in report})
    counts = {metric.count for metric in table.metrics.values()}
    lines: dict[str, list[list[Any]]] = {}
    for rows in (reports, [] if curve is None else curve.to_dict("records")):
        for name in dict.fromkeys(name for row in rows for name in row):
            known = [(row[progress], row[name]) for row in rows if _is_known(row, progress) and _is_known(row, name)]
            is_shown = name not in (progress, "milestone", *counts) and not table.metric(name).is_cost
            if is_shown and len(known) > 1:
                chosen = np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_POINTS)).round().astype(int))
                lines[name] = [[_number(known[place][side]) for place in chosen] for side in (0, 1)]
    return lines


def _is_known(row: Mapping[str, Any], name: str) -> bool:
    return _number(row.get(name)) is not None


def _number(value: Any) -> float | int | None:
    """A number in seven significant digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        return None
    number = float(f"{value:.7g}")
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
