"""The configuration that represents a study in a comparison, and the hypervolume of two fronts in a common box."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reports.front.front_marks import knee_of
from reports.front.hypervolume import reference_box
from study.record.journal import JOURNAL_NAME, read_study
from study.record.trials import TrialTable, tabulate

RULES = ("knee", "robust")


@dataclass(frozen=True)
class ChosenConfiguration:
    """A configuration of a study's front, and why it was chosen; ``row`` is its row in ``configuration_frame``."""

    study_dir: Path
    table: TrialTable
    row: dict[Any, Any]
    why: str

    def trial_folder(self, seed: int | None) -> Path:
        """The folder of the configuration's complete trial with ``seed``, or for None of its first complete trial."""
        complete = self.table.complete[self.table.complete["configuration"] == self.row["configuration"]]
        chosen = complete if seed is None else complete[complete["seed"] == seed]
        return self.study_dir / "trials" / str(chosen["uid"].iloc[0])


def is_study(folder: Path) -> bool:
    """Whether ``folder`` holds a study."""
    return (folder / JOURNAL_NAME).is_file()


def chosen_configuration(study_dir: Path, rule: str) -> ChosenConfiguration:
    """The knee of the study's front, or its most robust member if the rule asks for it or the front has no knee.

    Raises:
        ValueError: if the study has no front, or no robust accuracy to choose by.
    """
    table = tabulate(read_study(study_dir))
    if table.front_configurations.empty:
        raise ValueError(f"{study_dir} has no front: there is no configuration to compare")
    knee = knee_of(table.configurations, table.objectives) if rule == "knee" else None
    if knee is not None:
        return ChosenConfiguration(study_dir, table, _row(table, knee), "the knee of its front")
    if table.robust is None:
        raise ValueError(f"{study_dir} has no robust accuracy on validation to choose a configuration by")
    values = table.configurations[table.robust].where(table.configurations["on_front"])
    why = f"the best of its front in {table.robust}" + (", as the front has no knee" if rule == "knee" else "")
    return ChosenConfiguration(study_dir, table, _row(table, int(np.nanargmax(values.to_numpy(dtype=float)))), why)


def common_seed(first: ChosenConfiguration, second: ChosenConfiguration) -> int | None:
    """The lowest seed that both have; None if there is none."""
    return min(set(first.row["seeds"]) & set(second.row["seeds"]), default=None)


def front_shares(first: TrialTable, second: TrialTable) -> tuple[float, float]:
    """The share of a common box that each study's front dominates; NaN if their objectives differ."""
    if first.objectives != second.objectives:
        return math.nan, math.nan
    names = [objective.name for objective in first.objectives]
    points = [table.front_configurations[names].to_numpy(dtype=float) for table in (first, second)]
    box = reference_box(np.concatenate(points), first.objectives)
    return box.share(points[0]), box.share(points[1])


def _row(table: TrialTable, position: int) -> dict[Any, Any]:
    return dict(table.configurations.iloc[position])
