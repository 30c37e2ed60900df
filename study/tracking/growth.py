"""How a study grew, as metrics of its parent run: step = trials that have ended. Nothing here talks to MLflow."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from study.record.configurations import spent
from study.record.hypervolume import Growing, Stage, reference_box
from study.record.journal import FINISHED, StudyRecord, TrialRecord
from study.record.metrics import metrics_of, objectives_of, trainable_in
from study.tracking.trial_runs import Point, mlflow_key
from study.trainable import Trainable

ENDED = "trials/ended"


class Growth:
    """Follows a study; what it says after a trial ended depends on the trials that had ended by then alone.

    Attributes:
        front: the names of the configurations on the front, after the trials that were seen.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._record, self._objectives = record, objectives_of(record)
        self._costs = [metric for metric in metrics_of(record).values() if metric.is_cost]
        self._reused = (trainable_in(record) or Trainable).reused
        self._growing = Growing(record, self._objectives, None, self._reused)
        self._seen: set[str] = set()
        self._counts = dict.fromkeys(("complete", "stopped", "failed"), 0)
        self._spent = {cost.name: 0.0 for cost in self._costs}
        self.front: set[str] = set()

    def news(self) -> Iterator[list[Point]]:
        """The points of each trial that has ended and was not yet seen, in the order in which they ended."""
        paused_before = [trial for trial in list(self._record.trials.values()) if trial.paused_at]
        ended = [trial for trial in self._record.with_state(*FINISHED) if trial.uid not in self._seen]
        for trial in sorted(ended, key=lambda one: one.ended_at or 0.0):
            self._seen.add(trial.uid)
            self._counts[trial.state] += 1
            for cost in self._costs:
                self._spent[cost.name] += spent(trial, cost.name, self._reused)
            values = {f"trials/{state}": float(count) for state, count in self._counts.items()}
            at = trial.ended_at or 0.0
            paused = {name: self._spent_by_paused(paused_before, name, at) for name in self._spent}
            values |= {f"spent/{name}": total + paused[name] for name, total in self._spent.items()}
            values |= self._found(self._growing.add(trial)) if self._objectives else {}
            step, time = len(self._seen), int(1000 * (trial.ended_at or 0.0))
            values[ENDED] = float(step)
            yield [Point(mlflow_key(name), value, time, step) for name, value in values.items()]

    def _spent_by_paused(self, paused_before: Sequence[TrialRecord], cost: str, time: float) -> float:
        """What those of trials that had been paused which had not ended by ``time`` had cost by then."""
        total = 0.0
        for trial in paused_before:
            if trial.paused_at[0] <= time < (trial.ended_at or math.inf):
                reports = trial.reports[: sum(reported <= time for reported in trial.reported_at)]
                total += spent(dataclasses.replace(trial, reports=reports, metrics={}), cost, self._reused)
        return total

    def _found(self, stage: Stage) -> dict[str, float]:
        """The front, its share of the box that the configurations so far span, and the best of each objective."""
        self.front = set(stage.names)
        found = {"front/size": float(len(stage.front))}
        if len(stage.front) == 0:
            return found
        found["front/hypervolume"] = reference_box(stage.span, self._objectives).share(stage.front)
        for objective, column in zip(self._objectives, stage.front.T, strict=True):
            found[f"best/{objective.name}"] = float(column.max() if objective.maximise else column.min())
        return found
