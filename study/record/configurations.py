"""Trials grouped by configuration: each configuration that a search proposes is run with every seed of the study."""

import math
from dataclasses import dataclass
from functools import cached_property

from study.record.journal import FINISHED, State, StudyRecord, TrialRecord
from study.spec import Params, StudySpec


@dataclass(frozen=True)
class Configuration:
    """The trials of one choice of factor values, without confirmations.

    ``state`` is ``failed`` or ``stopped`` as soon as one trial is, ``complete`` once all seeds are, else ``running``.
    """

    trials: tuple[TrialRecord, ...]
    num_seeds: int

    @property
    def name(self) -> str:
        """The factor values, which its trials have in common, as canonical JSON."""
        return self.trials[0].configuration

    @property
    def params(self) -> Params:
        """The factor values."""
        return self.trials[0].params

    @cached_property
    def state(self) -> State:
        """The state of the configuration; computed once, because a ``Configuration`` is a snapshot."""
        states = {trial.state for trial in self.trials}
        for state in ("failed", "stopped"):
            if state in states:
                return state
        return "complete" if len(self.trials) >= self.num_seeds and states <= set(FINISHED) else "running"

    @property
    def is_final(self) -> bool:
        """Whether it will not change: none of its trials is under way, and none will follow unless seeds are added."""
        return self.state != "running" and all(trial.state in FINISHED for trial in self.trials)

    @property
    def uid(self) -> str:
        """The uid of its first trial."""
        return self.trials[0].uid

    @property
    def is_trustworthy(self) -> bool:
        """Whether it is complete and no trial failed a validity check."""
        return self.state == "complete" and not any(trial.metrics.get("validity") for trial in self.trials)

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the seeds; None unless the configuration is complete and all values are finite."""
        values = [trial.metrics.get(metric) for trial in self.trials]
        if self.state != "complete" or not all(_is_finite(value) for value in values):
            return None
        return float(sum(value for value in values if value is not None) / len(values))

    def last_report(self) -> dict[str, float | int | None]:
        """The last interim report of the trial that got farthest; empty if there is none."""
        reports = [trial.reports[-1] for trial in self.trials if trial.reports]
        return max(reports, key=lambda report: report["milestone"], default={})

    def violates(self, spec: StudySpec) -> dict[str, float]:
        """How far each constraint is exceeded (negative if satisfied), for constraints whose metric is known."""
        means = {constraint: self.mean(constraint.name) for constraint in spec.constraints}
        return {constraint.name: mean - constraint.at_most for constraint, mean in means.items() if mean is not None}


def configurations(record: StudyRecord, num_seeds: int) -> list[Configuration]:
    """The configurations of a study in the order in which they were proposed, each to be run ``num_seeds`` times."""
    return [Configuration(tuple(trials), num_seeds) for trials in list(record.searched.values())]


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
