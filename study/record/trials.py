"""A study's journal as tables: one row per trial, and one row per configuration."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from study.record.configuration_frame import configuration_frame, seed_frame
from study.record.front import front_mask
from study.record.front_probability import with_front_probability
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import COSTS, Objective, is_accuracy, objectives_of
from study.record.seed_noise import SeedNoise

FACTOR_PREFIX = "factor_"


@dataclass(frozen=True)
class TrialTable:
    """The data behind the figures and tables of a report.

    ``configurations`` is the result of ``configuration_frame`` with an additional column ``on_front``: membership of
    the Pareto front of the means over seeds in all objectives of the study. ``frame`` is the result of ``trial_frame``
    with a column ``on_front`` that marks the complete trials of these configurations.
    """

    study: StudyRecord
    frame: pd.DataFrame
    configurations: pd.DataFrame
    objectives: list[Objective]
    factors: list[str]
    pgd_steps: int | None  # of the evaluation; None if the trials differ in it

    @property
    def complete(self) -> pd.DataFrame:
        """The complete trials, which are those with results."""
        return self.frame[self.frame["state"] == "complete"]

    @property
    def front(self) -> pd.DataFrame:
        """The complete trials whose configuration is on the front."""
        return self.frame[self.frame["on_front"]]

    @property
    def front_configurations(self) -> pd.DataFrame:
        """The configurations on the front."""
        return self.configurations[self.configurations["on_front"]]

    @property
    def whole(self) -> pd.DataFrame:
        """The configurations without stopped or failed trials."""
        return self.configurations[self.configurations["state"] == "complete"]

    @property
    def trusted(self) -> pd.DataFrame:
        """The complete trials of configurations without validity warnings."""
        doubtful = self.configurations.loc[self.configurations["validity"].map(len) > 0, "configuration"]
        return self.complete[~self.complete["configuration"].isin(doubtful)]

    @cached_property
    def certainty(self) -> tuple[pd.DataFrame, SeedNoise | None]:
        """``configurations`` with their ``front_probability``, and the noise between seeds that it is based on."""
        return with_front_probability(self.configurations, self.trusted, self.objectives)

    def per_seed(self, names: list[str]) -> pd.DataFrame:
        """One row per configuration and seed of the trusted trials, with the measures ``names``."""
        return seed_frame(self.trusted, names)

    def accuracies(self, split: str) -> list[str]:
        """The accuracies measured on ``split`` ('val' or 'test'): clean, PGD by radius, AutoAttack by radius."""
        names = [name for name in self.frame.columns if name.startswith(f"{split}_") and is_accuracy(name)]
        return sorted(names, key=_accuracy_order)

    @property
    def robust(self) -> str | None:
        """The validation accuracy that represents robustness: the study's objective, else one at a middle radius."""
        measured = [name for name in self.accuracies("val") if name != "val_clean"]
        chosen = [objective.name for objective in self.objectives if objective.name in measured]
        if chosen or not measured:
            return chosen[0] if chosen else None
        return measured[(len(measured) - 1) // 2]

    @property
    def cost(self) -> str | None:
        """The measure that represents cost: the study's objective, else the first cost that was measured."""
        chosen = [objective.name for objective in self.objectives if objective.name in COSTS]
        measured = [name for name in COSTS if name in self.frame and self.frame[name].notna().any()]
        return next(iter(chosen + measured), None)


def tabulate(study: StudyRecord) -> TrialTable:
    """Tabulates the trials and configurations of ``study``, and marks the front."""
    frame, objectives = trial_frame(study), objectives_of(study.spec)
    measures = [name for name in frame.columns if frame[name].dtype == float]
    configurations = configuration_frame(frame, measures, objectives)
    configurations["validity"] += pd.Series(broken_constraints(configurations, study.spec), dtype=object)
    configurations["on_front"] = front_mask(configurations, objectives) if objectives else False
    on_front = frame["configuration"].isin(configurations.loc[configurations["on_front"], "configuration"])
    frame["on_front"] = on_front & (frame["state"] == "complete")
    steps = {trial.config.get("eval_pgd_steps") for trial in study.trials.values()}
    pgd_steps = steps.pop() if len(steps) == 1 else None
    return TrialTable(study, frame, configurations, objectives, factor_names(study), pgd_steps)


def trial_frame(study: StudyRecord) -> pd.DataFrame:
    """One row per trial, in the order in which they were proposed.

    Columns: ``uid``, ``number``, ``state``, ``reason``, ``configuration`` (equal for trials that differ only in their
    seed), ``seed``, ``purpose``, ``is_audited``, ``validity`` (list of warnings), ``factor_<name>`` for every factor
    (None if it is not active), and every numeric metric as a float. Only complete trials have metrics; in all other
    states they are NaN, because partial training is not a result. Objectives always have a column.
    """
    trials = list(study.trials.values())
    factors = factor_names(study)
    columns: dict[str, Any] = {
        "uid": pd.Series([trial.uid for trial in trials], dtype=object),
        "number": pd.Series([trial.number for trial in trials], dtype=int),
        "state": pd.Series([trial.state for trial in trials], dtype=object),
        "reason": pd.Series([trial.reason for trial in trials], dtype=object),
        "configuration": pd.Series([trial.configuration for trial in trials], dtype=object),
        "seed": pd.Series([trial.seed for trial in trials], dtype=int),
        "purpose": pd.Series([trial.purpose for trial in trials], dtype=object),
        "is_audited": pd.Series([trial.is_audited for trial in trials], dtype=bool),
        "validity": pd.Series([_results(trial).get("validity") or [] for trial in trials], dtype=object),
    }
    for factor in factors:
        columns[FACTOR_PREFIX + factor] = pd.Series([trial.params.get(factor) for trial in trials], dtype=object)
    for name in _metric_names(study):
        columns[name] = pd.Series([_number(_results(trial).get(name)) for trial in trials], dtype=float)
    if any(name.startswith("test_aa_") for name in columns) and "test_aa_n" not in columns:
        columns["test_aa_n"] = pd.Series([_autoattack_images(trial) for trial in trials], dtype=float)
    return pd.DataFrame(columns)


def broken_constraints(configurations: pd.DataFrame, spec: dict[str, Any]) -> list[list[str]]:
    """For each configuration, one line for each constraint of the study that its means violate; usually none."""
    return [
        [
            f"breaks the constraint {constraint['name']} <= {constraint['at_most']:g}: {row[constraint['name']]:.4g}"
            for constraint in spec.get("constraints", [])
            if row.get(constraint["name"], 0) > constraint["at_most"]
        ]
        for row in configurations.to_dict("records")
    ]


def factor_names(study: StudyRecord) -> list[str]:
    """The factors of the spec in its order, then any others that trials were proposed with."""
    names = [factor["name"] for factor in study.spec.get("factors", [])]
    names += [name for trial in study.trials.values() for name in trial.params]
    return list(dict.fromkeys(names))


def _metric_names(study: StudyRecord) -> list[str]:
    names = [objective.name for objective in objectives_of(study.spec)]
    for trial in study.with_state("complete"):
        names += [name for name, value in trial.metrics.items() if _is_number(value) or value is None]
    return [name for name in dict.fromkeys(names) if name != "validity"]


def _results(trial: TrialRecord) -> dict[str, Any]:
    return trial.metrics if trial.state == "complete" else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else float("nan")


def _autoattack_images(trial: TrialRecord) -> float:
    """The number of images for AutoAttack, which runs on the first ``eval_autoattack_samples`` test images."""
    asked = _number(trial.config.get("eval_autoattack_samples"))
    return float(np.minimum(_number(_results(trial).get("test_n")), asked))  # NaN where either is unknown


def _accuracy_order(name: str) -> tuple[int, float]:
    kind, _, radius = name.split("_", 1)[1].partition("_")
    return ("clean", "pgd", "aa").index(kind), float(radius or 0)
