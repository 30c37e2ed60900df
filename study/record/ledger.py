"""What the trials of a study have cost together, and what they would have cost had they shared nothing."""

import math
from dataclasses import dataclass

from study.record.configurations import spent
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import in_words, value_text
from study.record.metrics import metrics_of, trainable_in
from study.trainable import Metric, Trainable


@dataclass(frozen=True)
class Entry:
    """A cost, summed over all trials, also those that were stopped: what was spent, and what sharing saved."""

    cost: Metric
    spent: float
    saved: float

    def describe(self) -> str:
        """In words: '3.2 TFLOP of training compute spent, 1.1 TFLOP saved by sharing (26%)'."""
        text = f"{value_text(self.cost, self.spent)} of {in_words(self.cost)} spent"
        if self.saved <= 0:
            return text
        share = self.saved / (self.spent + self.saved)
        return f"{text}, {value_text(self.cost, self.saved)} saved by sharing ({share:.0%})"


def ledger(record: StudyRecord) -> list[Entry]:
    """An entry for each cost that trials have reported, those known before training first."""
    reused = (trainable_in(record) or Trainable).reused
    costs = [metric for metric in metrics_of(record).values() if metric.is_cost]
    entries = []
    for cost in sorted(costs, key=lambda metric: not metric.is_known):
        own, others = record.omitted.costs.get(cost.name, (0.0, 0.0))
        own += sum(spent(trial, cost.name, reused) for trial in record.trials.values())
        others += sum(_saved(trial, cost.name, reused) for trial in record.trials.values())
        if own + others > 0:
            entries.append(Entry(cost, own, others))
    return entries


def _saved(trial: TrialRecord, cost: str, reused: str) -> float:
    """What a trial did not spend, from its result, else from its last report that says what it has cost."""
    for metrics in (trial.metrics, *reversed(trial.reports)):
        value = metrics.get(cost)
        if value is not None and math.isfinite(value):
            return float(metrics.get(f"reused_{cost}", value if metrics.get(reused) else 0.0))
    return 0.0
