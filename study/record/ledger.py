"""What the trials of a study have cost together, and what they would have cost had they shared nothing."""

from dataclasses import dataclass

from study.record.configurations import spent, stand_alone
from study.record.journal import StudyRecord
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
        trials = [(spent(t, cost.name, reused), stand_alone(t, cost.name)) for t in record.trials.values()]
        own, alone = (sum(numbers) for numbers in zip(*trials, strict=True)) if trials else (0.0, 0.0)
        if alone > 0:
            entries.append(Entry(cost, own, alone - own))
    return entries
