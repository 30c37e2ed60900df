"""The configuration that represents a study in a comparison, and the hypervolume of two fronts in a common box."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reports.front.front_marks import knee_of
from study.record.hypervolume import reference_box
from study.record.journal import read_study
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable, tabulate


@dataclass(frozen=True)
class ChosenConfiguration:
    """A configuration of a study's front, and why it was chosen; ``row`` is its row in ``configuration_frame``."""

    study_dir: Path
    table: TrialTable
    row: dict[Any, Any]
    why: str

    def by_seed(self, metric: str) -> dict[int, float]:
        """Seed -> the metric, for the complete trials of the configuration."""
        (group,) = (one for one in self.table.groups if one.name == self.row["configuration"])
        return group.by_seed(metric)

    def trial_folder(self, seed: int | None) -> Path:
        """The folder of the configuration's complete trial with ``seed``, or for None of its first complete trial."""
        complete = self.table.complete[self.table.complete["configuration"] == self.row["configuration"]]
        chosen = complete if seed is None else complete[complete["seed"] == seed]
        return trial_folder(self.study_dir, str(chosen["uid"].iloc[0]))


def chosen_configuration(study_dir: Path, rule: str) -> ChosenConfiguration:
    """The knee of the study's front, or its best member in the headline metric if asked for or if there is no knee.

    Args:
        rule: ``knee`` or ``best``.

    Raises:
        ValueError: if the study has no front, or nothing but costs to choose by.
    """
    table = tabulate(read_study(study_dir))
    rows, headline = table.configurations, table.headline
    if table.front_configurations.empty:
        raise ValueError(f"{study_dir} has no front: there is no configuration to compare")
    place = knee_of(rows, table.objectives) if rule == "knee" else None
    why = "the knee of its front"
    if place is None:
        if headline is None:
            raise ValueError(f"{study_dir} has no metric but costs to choose a configuration by")
        values = rows[headline.name].where(rows["on_front"] & rows["is_inside"]).to_numpy(dtype=float)
        if np.isnan(values).all():
            raise ValueError(f"{study_dir} has no {headline.name} on its front to choose a configuration by")
        place = int(np.nanargmax(values if headline.maximise else -values))
        is_lone = rule == "knee" and len(table.objectives) > 1
        why = f"the best of its front in {headline.name}" + (", as the front has no knee" if is_lone else "")
    return ChosenConfiguration(study_dir, table, dict(rows.iloc[place]), why)


def common_seed(first: ChosenConfiguration, second: ChosenConfiguration) -> int | None:
    """The lowest seed that both have; None if there is none."""
    return min(set(first.row["seeds"]) & set(second.row["seeds"]), default=None)


def front_shares(first: TrialTable, second: TrialTable) -> tuple[float, float]:
    """The share of a common box that each study's front dominates; NaN if their objectives differ."""
    names = [(objective.name, objective.direction) for objective in first.objectives]
    if names != [(objective.name, objective.direction) for objective in second.objectives]:
        return math.nan, math.nan
    points = [table.front_configurations[[name for name, _ in names]].to_numpy(float) for table in (first, second)]
    box = reference_box(np.concatenate(points), first.objectives)
    return box.share(points[0]), box.share(points[1])
