"""The decisions of a study, each written to the journal before it takes effect. Knows nothing of Ray's executor.

The engine hands out trials (interrupted ones first, then what ``planning`` wants next, which may be a paused one),
receives their reports, decides whether they may continue, and records how they ended or that they are paused. All of
its state follows from the journal, so a study can be resumed from its journal at any moment.
"""

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.decisions.early_stopping import early_stopping
from study.decisions.planning import Plan, Upcoming
from study.decisions.promotion import Promotion, decision_at_rung
from study.record.journal import SETTLED, Event, Journal, StudyRecord, TrialRecord
from study.settings import replaced
from study.spec import Rungs, StudySpec
from study.streams import stream_seed
from study.trainable import trainable_of

MAX_DEFERRED = 8  # proposed trials that may wait for a shared prefix in training; at this many, nothing new is proposed
Metrics = dict[str, Any]
STORAGE_CODE = 75  # the exit code of a study that pauses because its storage fails: "try again later" in sysexits.h


@dataclass(frozen=True)
class Halt:
    """Why a study is to be interrupted, and the exit code of its command."""

    reason: str
    exit_code: int


@dataclass(frozen=True)
class Assignment:
    """A trial to run: its config, the milestones it has yet to report, and whether it must run alone."""

    uid: str
    config: Any
    milestones: list[int]
    runs_alone: bool = False


class StudyEngine:
    """Steers one study.

    Args:
        journal: open for writing; may already hold part of the study.
        spec: the study.
        seed: of the search; the seed offsets of the trials are added to it.
        scale: how much progress ``first_rung=1`` means (``Trainable.scale``).
        on_event: called with each event after it has been written.
        has_checkpoint: whether a trial has kept something to go on from; asked when a paused one goes on.
        finishes_paused: whether trials that are still paused when the search is over go on to their end.
        most_failures: halts once so many trials have failed since it was made; None: never.

    Attributes:
        halted: set once the study is to be interrupted; nothing more is handed out.
    """

    def __init__(
        self,
        journal: Journal,
        spec: StudySpec,
        seed: int,
        scale: int,
        on_event: Callable[[Event], None] = lambda event: None,
        has_checkpoint: Callable[[str], bool] = lambda uid: True,
        *,
        finishes_paused: bool = False,
        most_failures: int | None = None,
    ) -> None:
        self.halted: Halt | None = None
        self._fault: OSError | None = None  # of the journal
        self._most_failures, self._num_failures = most_failures, 0
        self.journal, self.spec, self.seed, self.on_event = journal, spec, seed, on_event
        self._scale, self.trainable, self._has_checkpoint = scale, trainable_of(spec.base), has_checkpoint
        self.share_done: dict[str, float] = {}  # of running trials; no part of the journal
        self.longest_silence = 0.0  # seconds between two reports of a trial that has completed since; 0: none has
        self._plan = Plan(spec, seed, scale, finishes_paused=finishes_paused)
        self._upcoming: tuple[int, Upcoming | Promotion | str | None] | None = (
            None  # number of events when asked, and the answer
        )
        self._num_events = 0
        self._configs: dict[str, Any] = {}  # by uid
        self._prefixes: dict[str, str] = {}  # uid -> what the trial begins with
        self._running: set[str] = set()
        rungs = spec.stopping
        self._stopping = early_stopping(spec, rungs.first_rung * scale) if isinstance(rungs, Rungs) else None
        self._restore_decisions()
        unfinished = self.record.with_state("proposed", "running")
        # The driver was killed between the decision to stop or pause and the end of the trial: the decision stands.
        self._to_be_stopped = [trial.uid for trial in unfinished if trial.is_leaving]
        self._waiting = [trial.uid for trial in unfinished if not trial.is_leaving]

    @property
    def record(self) -> StudyRecord:
        """Everything that has happened so far."""
        return self.journal.record

    @property
    def num_planned(self) -> int:
        """How many trials the study will have, as far as is known."""
        return self._plan.num_planned(self.record)

    def is_complete(self) -> bool:
        """Whether every trial has ended or is paused, and none is left to propose or to promote."""
        return self.record.count(*SETTLED) == len(self.record.trials) and self._next() is None

    def is_exhausted(self) -> bool:
        """Whether no trial is left to hand out, now or later; False while trials run, as they may have to be rerun."""
        return not self._waiting and not self._running and self._next() is None

    def next_assignment(self) -> Assignment | None:
        """The next trial to run, or None if there is none at the moment (see ``is_exhausted``)."""
        self.end_stopped()
        trial = self._startable()
        while trial is None:
            upcoming = self._next()
            if not isinstance(upcoming, Upcoming | Promotion) or self._starts_nothing_new():
                return None
            self._waiting.append(self._begin(upcoming))
            trial = self._startable()
        self._waiting.remove(trial.uid)
        self._running.add(trial.uid)
        afresh = {"is_afresh": True} if trial.paused_at and not self._has_checkpoint(trial.uid) else {}
        self._write("launched", uid=trial.uid, attempt=trial.attempts + 1, **afresh)
        config = self.trainable.recorded(trial.config)
        decided = {decision["milestone"] for decision in trial.decisions}
        milestones = [m for m in self.milestones(config) if m not in decided] if self._is_compared(trial) else []
        return Assignment(trial.uid, config, milestones, trial.runs_alone)

    def end_stopped(self) -> None:
        """Ends or pauses the trials for which an earlier driver, killed meanwhile, has written only that decision."""
        while self._to_be_stopped:
            self.stop(self._to_be_stopped.pop(0))

    def milestones(self, config: Any) -> list[int]:
        """The rungs that lie within the training of ``config``, as amounts of progress."""
        total = self.trainable.total_progress(config, self._scale)
        if total is None or not isinstance(self.spec.stopping, Rungs):
            return []
        rungs = []
        rung = self.spec.stopping.first_rung * self._scale
        while rung < total:
            rungs.append(rung)
            rung *= self.spec.stopping.eta
        return rungs

    def report(self, uid: str, metrics: Metrics) -> bool:
        """Records an interim evaluation and returns whether the trial may continue; repeated reports change nothing."""
        trial, milestone = self.record.trials[uid], metrics["milestone"]
        if milestone not in [report["milestone"] for report in trial.reports]:
            self._write("reported", uid=uid, metrics=metrics)
        known = [decision for decision in trial.decisions if decision["milestone"] == milestone]
        if not known:
            decision, reason = self._decide(trial, milestone)
            self._write("decided", uid=uid, milestone=milestone, decision=decision, reason=reason)
            known = trial.decisions[-1:]
        # A promoted trial that starts afresh comes again to the rung at which it was paused.
        return known[0]["decision"] != "stop" and trial.state != "paused" and not trial.is_leaving

    def complete(self, uid: str, metrics: Metrics) -> None:
        """Records the result of a trial that ran to the end."""
        self._finish(uid, "complete", "", metrics)
        if "_trained" in self.__dict__:
            self._trained.add(self._prefix_of(self.record.trials[uid]))

    def stop(self, uid: str) -> None:
        """Records that a trial was stopped or paused by the decision at its last rung; its worker has ended."""
        trial = self.record.trials[uid]
        if trial.decisions[-1]["decision"] == "stop":
            self._finish(uid, "stopped", trial.decisions[-1]["reason"], {})
        elif trial.is_leaving:
            self._running.discard(uid)
            self.share_done.pop(uid, None)
            self._write("paused", uid=uid)

    def fail(self, uid: str, reason: str, *, out_of_memory: bool = False, again_alone: bool = False) -> None:
        """Records that a trial diverged or crashed; its numbers are lost, and the study continues.

        A trial that ran out of memory, or that is to be tried ``again_alone`` for another reason, is run once more,
        alone: others may have shared the memory until just before.
        """
        if (out_of_memory or again_alone) and not self.record.trials[uid].runs_alone:
            self._running.discard(uid)
            self._waiting.append(uid)
            self._write("retried", uid=uid, reason=reason)
        else:
            memory = "out of memory, even when run alone: " if out_of_memory else ""
            # A lone surrogate, as of a file name that is not UTF-8, could be printed nowhere.
            self._finish(uid, "failed", f"{memory}{reason}".encode(errors="backslashreplace").decode(), {})
            self._num_failures += 1
            if self._num_failures == self._most_failures:
                self.halt(f"{self._num_failures} trials failed (--abort-after-failures)", 1)

    def requeue(self, uid: str) -> None:
        """Queues a trial whose worker died to run again, before anything new, unless it was to stop or pause."""
        if self.record.trials[uid].is_leaving:
            self.stop(uid)
            return
        self._running.discard(uid)
        self._waiting.insert(0, uid)
        self.share_done.pop(uid, None)

    def restart(self, uid: str, reason: str) -> None:
        """Records that a running trial has begun afresh, because its checkpoint was of no use."""
        self.share_done.pop(uid, None)
        self._write("restarted", uid=uid, reason=reason)

    def reopen_failed(self) -> None:
        """Queues all trials that have failed to run once more, from their beginning."""
        for trial in self.record.with_state("failed"):
            self._write("reopened", uid=trial.uid, reason="--retry-failed")
            self._waiting.append(trial.uid)

    def halt(self, reason: str, exit_code: int) -> None:
        """From now on nothing more is handed out; the first reason counts."""
        self.halted = self.halted or Halt(reason, exit_code)

    def close(self) -> None:
        """Records whether the study ended or was interrupted."""
        if self.halted is None and self.is_complete():
            self._write("ended")
            return
        with contextlib.suppress(OSError):  # the storage may be the reason
            reason = self.halted.reason if self.halted else "the driver was told to stop"
            self.on_event(self.journal.write("interrupted", reason=reason))

    def _finish(self, uid: str, state: str, reason: str, metrics: Metrics) -> None:
        self._running.discard(uid)
        if self.record.trials[uid].state not in SETTLED:
            self._write("finished", uid=uid, state=state, reason=reason, metrics=metrics)
        self.share_done.pop(uid, None)

    def _next(self) -> Upcoming | Promotion | str | None:
        """What the plan wants next; computed once for each state of the journal."""
        if self._upcoming is None or self._upcoming[0] != self._num_events:
            self._upcoming = self._num_events, self._plan.next(self.record)
        return self._upcoming[1]

    def _startable(self) -> TrialRecord | None:
        """The first waiting trial that may run now."""
        if any(self.record.trials[uid].runs_alone for uid in self._running):
            return None
        training = {self._prefix_of(self.record.trials[uid]) for uid in self._running}
        for place, uid in enumerate(self._waiting):
            trial = self.record.trials[uid]
            if trial.runs_alone:
                return None if self._running else trial  # nothing behind it in the queue starts before it
            is_in_training = self._prefix_of(trial) in training and self._prefix_of(trial) not in self._trained
            if not is_in_training and not self._saves_by_waiting(trial, self._waiting[:place]):
                return trial
        return None

    @cached_property
    def _trained(self) -> set[str]:
        """What complete trials begin with; made when it is first asked for, as it takes long for a long study."""
        return {self._prefix_of(trial) for trial in self.record.with_state("complete")}

    def _starts_nothing_new(self) -> bool:
        return len(self._waiting) >= MAX_DEFERRED or self._one_is_to_run_alone()

    def _saves_by_waiting(self, trial: TrialRecord, before: list[str]) -> bool:
        """Whether a trial under way will leave a part of this one's training that no complete trial has left.

        In a deterministic study, trials that share anything run one after the other, in the order of the queue: what a
        trial finds, and with it where it reports, must not depend on which of the others, ``before`` it, is faster.
        """
        config, reusable = self._config_of(trial), self.trainable.reusable
        running = {uid: self._config_of(self.record.trials[uid]) for uid in self._running}
        others = [*running.values()]
        if self.spec.window is not None:
            others += [self._config_of(self.record.trials[uid]) for uid in before]
            return any(reusable(config, [other]) or reusable(other, [config]) for other in others)
        if not reusable(config, others):
            return False
        left = [self._config_of(other) for other in self.record.with_state("complete")]
        left += [other for uid, other in running.items() if self._has_passed(uid, other, config)]
        already, later = reusable(config, left), reusable(config, [*left, *others])
        return any(saved > already.get(cost, 0.0) for cost, saved in later.items())

    def _has_passed(self, uid: str, running: Any, waiting: Any) -> bool:
        """Whether a running trial has already left all that it will leave to a waiting one, by their configs."""
        known, share = self.trainable.known_metrics(running), self.share_done.get(uid, 0.0)
        return all(share * known[cost] >= saved for cost, saved in self.trainable.reusable(waiting, [running]).items())

    def _config_of(self, trial: TrialRecord) -> Any:
        if trial.uid not in self._configs:
            self._configs[trial.uid] = self.trainable.recorded(trial.config)
        return self._configs[trial.uid]

    def _one_is_to_run_alone(self) -> bool:
        """Whether a trial that must run alone is running or waiting; until it has ended, nothing new is proposed."""
        return any(self.record.trials[uid].runs_alone for uid in [*self._running, *self._waiting])

    def _is_compared(self, trial: TrialRecord) -> bool:
        """Whether rungs decide about a trial.

        Rungs decide about a configuration by its first trial. Further seeds and confirmations repeat a configuration
        that has survived; at the rungs they would compete with trials of their own configuration.
        """
        is_first = trial.purpose == "search" and self.record.searched[trial.configuration][0].uid == trial.uid
        return is_first and not trial.runs_to_end

    def _prefix_of(self, trial: TrialRecord) -> str:
        """What other trials may begin with, too; its own uid if the trainable shares nothing."""
        if trial.uid not in self._prefixes:
            self._prefixes[trial.uid] = self.trainable.prefix(self._config_of(trial)) or trial.uid
        return self._prefixes[trial.uid]

    def _begin(self, upcoming: Upcoming | Promotion) -> str:
        """Writes what is run next; returns its uid."""
        if isinstance(upcoming, Upcoming):
            return self._propose(upcoming).uid
        standing = f"place {upcoming.place} of {upcoming.count}"
        how = {"reason": "all that is paused is run to its end", "to_end": True} if upcoming.to_end else {}
        self._write("promoted", uid=upcoming.uid, milestone=upcoming.milestone, **{"reason": standing} | how)
        return upcoming.uid

    def _propose(self, upcoming: Upcoming) -> TrialRecord:
        number = len(self.record.trials)
        uid = f"t{number:04d}"
        config = self.spec.config(upcoming.params, self.seed + upcoming.seed_offset)
        if upcoming.purpose == "confirmation":
            config = replaced(config, self.spec.confirmation.settings or {})
        self._write(
            "proposed",
            uid=uid,
            number=number,
            params=upcoming.params,
            config=config.model_dump(mode="json"),
            purpose=upcoming.purpose,
            sampler_attrs=upcoming.sampler_attrs,
        )
        return self.record.trials[uid]

    def _decide(self, trial: TrialRecord, milestone: int) -> tuple[str, str]:
        """The decision about a recorded report, and the reason for it."""
        assert isinstance(self.spec.stopping, Rungs)
        if trial.is_audited:
            return "continue", "audited"
        names = self.spec.stopping.compared
        values = self._values(trial, milestone)  # as recorded: a rerun trial may report slightly different values
        decision, why = self._rule_says(trial, milestone, values)
        shown = ", ".join(f"{name} {'–' if v is None else f'{v:.1f}'}" for name, v in zip(names, values, strict=True))
        where = f"{milestone:,} {self.trainable.progress.replace('_', ' ')}"
        reason = f"{why} at {where} ({shown})"
        if trial.params in self.spec.references:
            return "continue", f"reference, {reason}"
        if decision != "continue" and self._is_drawn_for_audit(trial):
            return "audit", f"audited, {reason}"
        return decision, reason

    def _rule_says(self, trial: TrialRecord, milestone: int, values: list[float | None]) -> tuple[str, str]:
        if self._stopping is None:
            return decision_at_rung(self.record, self.spec, trial.uid, milestone)
        kept = self._stopping.decide(trial.uid, milestone, values, self._comparable(trial))
        return ("continue" if kept else "stop"), self._stopping.explain(trial.uid, milestone)

    def _comparable(self, trial: TrialRecord) -> set[str] | None:
        """The trials that a decision may depend on: in a deterministic study, those that had ended when it began."""
        if self.spec.window is None:
            return None
        return {other.uid for other in self.record.trials.values() if other.number <= trial.number - self.spec.window}

    def _is_drawn_for_audit(self, trial: TrialRecord) -> bool:
        assert isinstance(self.spec.stopping, Rungs)
        return random.Random(stream_seed(self.seed, "audit", trial.number)).random() < self.spec.stopping.audit

    def _values(self, trial: TrialRecord, milestone: int) -> list[float | None]:
        assert isinstance(self.spec.stopping, Rungs)
        report = next(report for report in trial.reports if report["milestone"] == milestone)
        return [report.get(name) for name in self.spec.stopping.compared]

    def _restore_decisions(self) -> None:
        if self._stopping is not None:
            # In the order in which decisions were made, not in that of the trials: ties at a rung depend on it.
            audited: set[str] = set()
            for decision in self.record.decisions:
                uid, milestone = decision["uid"], decision["milestone"]
                if uid not in audited:
                    values = self._values(self.record.trials[uid], milestone)
                    self._stopping.restore(uid, milestone, values, decision["decision"] == "continue")
                if decision["decision"] == "audit":
                    audited.add(uid)

    def _write(self, event: str, **fields: Any) -> None:
        if self._fault is not None:  # something is missing before this event
            raise self._fault
        self._num_events += 1
        try:
            written = self.journal.write(event, **fields)
        except OSError as error:
            self._fault = error
            self.halt(f"the journal cannot be written: {error.strerror}", STORAGE_CODE)
            raise
        self.on_event(written)
