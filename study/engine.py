"""The decisions of a study, each written to the journal before it takes effect. Knows nothing of Ray.

The engine hands out trials (interrupted ones first, then new proposals), takes their reports, answers whether they may
go on, and records how they ended. All of its state follows from the journal, so that a study can be resumed from it at
any moment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.journal import FINISHED, Event, Journal, StudyRecord, TrialRecord
from study.moasha import MultiObjectiveAsha
from study.optuna_search import propose
from study.proposals import enumerate_grid
from study.spec import Grid, MoAsha, Params, StudySpec
from trainables.trial_config import TrialConfig

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Assignment:
    """A trial to run: what it is and the milestones that it has yet to report."""

    uid: str
    config: TrialConfig
    milestones: list[int]


class StudyEngine:
    """Steers one study.

    Args:
        journal: open for writing; may already hold a part of the study.
        spec: the study.
        seed: of the search and of every trial.
        num_train_images: for the rungs, which are placed in view passes per training image.
        on_event: called with every event after it was written.
    """

    def __init__(
        self,
        journal: Journal,
        spec: StudySpec,
        seed: int,
        num_train_images: int,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.journal, self.spec, self.seed, self.on_event = journal, spec, seed, on_event
        self.num_train_images = num_train_images
        self.share_done: dict[str, float] = {}  # of running trials, for display only
        self._grid = enumerate_grid(spec) if isinstance(spec.design, Grid) else []
        self._exhausted = False
        self._asha: MultiObjectiveAsha | None = None
        if isinstance(spec.stopping, MoAsha):
            directions = {objective.name: objective.direction for objective in spec.objectives}
            self._asha = MultiObjectiveAsha(
                spec.stopping.eta, [directions[name] == "maximize" for name in spec.stopping.objectives]
            )
        self._restore_decisions()
        self._waiting = [trial.uid for trial in self.record.trials.values() if trial.state not in FINISHED]

    @property
    def record(self) -> StudyRecord:
        """All that happened so far."""
        return self.journal.record

    @property
    def num_planned(self) -> int:
        """How many trials the study is to have."""
        if self._exhausted:
            return len(self.record.trials)
        return len(self._grid) if isinstance(self.spec.design, Grid) else self.spec.design.trials

    def is_complete(self) -> bool:
        """Whether every planned trial was proposed and has ended."""
        trials = self.record.trials.values()
        return len(trials) >= self.num_planned and all(trial.state in FINISHED for trial in trials)

    def next_assignment(self) -> Assignment | None:
        """The next trial to run, or None where there is none left to hand out."""
        if self._waiting:
            trial = self.record.trials[self._waiting.pop(0)]
        else:
            params = self._next_params()
            if params is None:
                return None
            trial = self._propose(params)
        self._write("launched", uid=trial.uid, attempt=trial.attempts + 1)
        config = TrialConfig(**trial.config)
        decided = {decision["milestone"] for decision in trial.decisions}
        return Assignment(trial.uid, config, [m for m in self.milestones(config) if m not in decided])

    def milestones(self, config: TrialConfig) -> list[int]:
        """View passes of the rungs that lie within the budget of ``config``."""
        if not isinstance(self.spec.stopping, MoAsha):
            return []
        total = config.epochs * self.num_train_images * config.view_passes_per_image()
        rungs = []
        rung = self.spec.stopping.first_rung * self.num_train_images
        while rung < total:
            rungs.append(rung)
            rung *= self.spec.stopping.eta
        return rungs

    def report(self, uid: str, metrics: Metrics) -> bool:
        """Records an interim evaluation and answers whether the trial may go on; repeated reports change nothing."""
        trial, milestone = self.record.trials[uid], metrics["milestone"]
        if milestone not in [report["milestone"] for report in trial.reports]:
            self._write("reported", uid=uid, metrics=metrics)
        for known in trial.decisions:
            if known["milestone"] == milestone:
                return bool(known["decision"] == "continue")
        assert self._asha is not None and isinstance(self.spec.stopping, MoAsha)
        recorded = self._recorded_report(uid, milestone)  # a repeated trial may report other digits
        values = [recorded.get(name) for name in self.spec.stopping.objectives]
        kept = self._asha.decide(uid, milestone, values)
        reason = self._reason(uid, milestone, values)
        if trial.params in self.spec.references:
            kept, reason = True, f"reference, {reason}"
        decision = "continue" if kept else "stop"
        self._write("decided", uid=uid, milestone=milestone, decision=decision, reason=reason)
        return kept

    def complete(self, uid: str, metrics: Metrics) -> None:
        """Records the result of a trial that ran to its end."""
        self._finish(uid, "complete", "", metrics)

    def stop(self, uid: str) -> None:
        """Records that a trial ended by the decision at its last rung."""
        self._finish(uid, "stopped", self.record.trials[uid].decisions[-1]["reason"], {})

    def fail(self, uid: str, reason: str) -> None:
        """Records that a trial diverged or crashed; its numbers are lost, the study goes on."""
        self._finish(uid, "failed", reason, {})

    def close(self) -> None:
        """Writes whether the study ended or was interrupted."""
        if self.is_complete():
            self._write("ended")
        else:
            self._write("interrupted", reason="the driver was told to stop")

    def _finish(self, uid: str, state: str, reason: str, metrics: Metrics) -> None:
        if self.record.trials[uid].state not in FINISHED:
            self._write("finished", uid=uid, state=state, reason=reason, metrics=metrics)
        self.share_done.pop(uid, None)

    def _next_params(self) -> Params | None:
        number = len(self.record.trials)
        if number >= self.num_planned:
            return None
        if isinstance(self.spec.design, Grid):
            return self._grid[number]
        if number < len(self.spec.references):
            return dict(self.spec.references[number])
        params = propose(self.record, self.spec, self.seed)
        self._exhausted = params is None
        return params

    def _propose(self, params: Params) -> TrialRecord:
        number = len(self.record.trials)
        uid = f"t{number:04d}"
        config = self.spec.config(params, self.seed).model_dump(mode="json")
        self._write("proposed", uid=uid, number=number, params=params, config=config)
        return self.record.trials[uid]

    def _reason(self, uid: str, milestone: int, values: list[Any]) -> str:
        assert self._asha is not None and isinstance(self.spec.stopping, MoAsha)
        if uid not in self._asha.rungs[milestone].vectors:
            return f"not finite at {milestone:,} view passes"
        place, count = self._asha.standing(uid, milestone)
        shown = ", ".join(f"{n} {v:.1f}" for n, v in zip(self.spec.stopping.objectives, values, strict=True))
        return f"place {place} of {count} at {milestone:,} view passes ({shown})"

    def _recorded_report(self, uid: str, milestone: int) -> Metrics:
        return next(r for r in self.record.trials[uid].reports if r["milestone"] == milestone)

    def _restore_decisions(self) -> None:
        if self._asha is not None and isinstance(self.spec.stopping, MoAsha):
            # In the order in which they were made, which is not that of the trials: ties at a rung depend on it.
            for decision in self.record.decisions:
                uid, milestone = decision["uid"], decision["milestone"]
                report = self._recorded_report(uid, milestone)
                values = [report.get(name) for name in self.spec.stopping.objectives]
                self._asha.restore(uid, milestone, values, decision["decision"] == "continue")
        for trial in self.record.trials.values():
            # Killed between the decision and the end of the trial: the decision stands.
            if trial.state not in FINISHED and any(d["decision"] == "stop" for d in trial.decisions):
                self.stop(trial.uid)

    def _write(self, event: str, **fields: Any) -> None:
        self.on_event(self.journal.write(event, **fields))
