"""Trials grouped by configuration: those with equal factor values, which differ in their seeds.

The one place that says what a configuration's state, its means over seeds and its doubts are.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.record.journal import FINISHED, SETTLED, State, StudyRecord, TrialRecord

Params = dict[str, Any]
LOST: tuple[State, ...] = ("failed", "stopped", "paused")


@dataclass(frozen=True)
class Configuration:
    """The trials of one choice of factor values; a snapshot.

    ``num_seeds`` is how many seeds the study gives each configuration.
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

    @property
    def uid(self) -> str:
        """The uid of its first trial."""
        return self.trials[0].uid

    @cached_property
    def completed(self) -> tuple[TrialRecord, ...]:
        """Its complete trials, which are those with results."""
        return tuple(trial for trial in self.trials if trial.state == "complete")

    @cached_property
    def state(self) -> State:
        """``failed``, ``stopped`` or ``paused`` if one trial is, ``complete`` once all seeds are, else ``running``."""
        states = {trial.state for trial in self.trials}
        for state in LOST:
            if state in states:
                return state
        return "complete" if len(self.trials) >= self.num_seeds and states <= set(SETTLED) else "running"

    @property
    def is_lost(self) -> bool:
        """Whether a trial failed, was stopped or is paused: the mean of others is optimistic, so it is on no front."""
        return self.state in LOST

    @property
    def is_final(self) -> bool:
        """Whether it will not change: none of its trials is under way, and none will follow unless seeds are added."""
        return self.state != "running" and all(trial.state in FINISHED for trial in self.trials)

    @cached_property
    def validity(self) -> list[str]:
        """The validity checks that its complete trials failed, in words."""
        return list(dict.fromkeys(text for trial in self.completed for text in trial.metrics.get("validity") or []))

    @property
    def is_trustworthy(self) -> bool:
        """Whether it is complete and no trial failed a validity check."""
        return self.state == "complete" and not self.validity

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of its complete trials, ascending."""
        return sorted({trial.seed for trial in self.completed})

    def by_seed(self, metric: str) -> dict[int, float]:
        """Seed -> the metric, for complete trials that have a finite value.

        If a seed was run twice (a confirmation that repeats a seed of the search), its trials count as one: they share
        the seed's luck, so they are no further evidence on the spread over seeds.
        """
        values: dict[int, list[float]] = {}
        for trial in self.completed:
            value = trial.metrics.get(metric)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                values.setdefault(trial.seed, []).append(value)
        return {seed: sum(own) / len(own) for seed, own in values.items()}

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the seeds of its complete trials; None unless all of them have a finite value."""
        values = self.by_seed(metric)
        return sum(values.values()) / len(values) if values and len(values) == len(self.seeds) else None

    def last_report(self) -> dict[str, float | int | None]:
        """The last interim report of the trial that got farthest; empty if there is none."""
        reports = [trial.reports[-1] for trial in self.trials if trial.reports]
        return max(reports, key=lambda report: report["milestone"], default={})

    def excess(self, constraints: Iterable[tuple[str, float]]) -> dict[str, float]:
        """How far means over the seeds that have it exceed each constraint (metric, at most); negative if satisfied."""
        values = {name: (list(self.by_seed(name).values()), bound) for name, bound in constraints}
        return {name: rounded(sum(own) / len(own)) - bound for name, (own, bound) in values.items() if own}


def configurations(record: StudyRecord, num_seeds: int, *, with_confirmations: bool = False) -> list[Configuration]:
    """The configurations of a study in the order in which they were proposed, each to be run ``num_seeds`` times.

    Confirmations, which add seeds after the search, are left out unless asked for.
    """
    groups: dict[str, list[TrialRecord]] = {} if with_confirmations else dict(record.searched)
    for trial in list(record.trials.values()) if with_confirmations else ():
        groups.setdefault(trial.configuration, []).append(trial)
    return [Configuration(tuple(trials), num_seeds) for trials in groups.values()]


def measured_configurations(record: StudyRecord) -> list[Configuration]:
    """The configurations with at least one result, confirmations included, in the order of their first results."""
    num_seeds = len(record.spec.get("seeds", [0]))
    groups = [one for one in configurations(record, num_seeds, with_confirmations=True) if one.completed]
    return sorted(groups, key=lambda one: one.completed[0].number)


def rounded(value: float) -> float:
    """``value`` rounded to 12 significant digits: three equal costs must have the cost itself as their mean."""
    return float(f"{value:.12g}")


def spent(trial: TrialRecord, cost: str, reused: str) -> float:
    """What a trial has cost so far: from its result, else from its last report that says so, else 0.

    What it reports as ``reused_<cost>`` was spent by another trial. Where the metric ``reused`` is true and nothing
    says how much, all of it was. What it had trained before a pause and, without a checkpoint, trained once more,
    counts twice.
    """
    own = [_own_cost(metrics, cost, reused) for metrics in (*trial.reports, trial.metrics)]
    last = max((index for index, value in enumerate(own) if value is not None), default=-1)
    lost = [own[index] or 0.0 for index in trial.repeated if index < last]
    return sum(lost) + (own[last] or 0.0)


def _own_cost(metrics: dict[str, Any], cost: str, reused: str) -> float | None:
    value = metrics.get(cost)
    if value is None or not math.isfinite(value):
        return None
    return float(value - metrics.get(f"reused_{cost}", value if metrics.get(reused) else 0.0))
