"""Which paused trial goes on: multi-objective ASHA of the promotion type, as functions of the record.

At a rung with n trials, the best ``floor(n / eta)`` may go on; the others are paused, and go on once they are among the
best. A worker that is free promotes first, from the highest rung that has a trial to promote, the best of them; only
then it starts a new config. A trial that is the next one to be promoted when it reports goes on at once.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (arXiv:1810.05934), algorithm 2, with the
ranking of Schmucker et al. (arXiv:2106.12639, see ``study.decisions.moasha``) in the place of the sorting. Deviations:
trials without a finite value take no part and are stopped; references go on whatever their place.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.decisions.fronts import front_numbers
from study.decisions.moasha import epsilon_net, place_of
from study.record.journal import SETTLED, StudyRecord, TrialRecord
from study.spec import Rungs, StudySpec

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Promotion:
    """A paused trial that is to go on.

    Args:
        uid: the trial.
        milestone: of the rung at which it was paused.
        place: among the ``count`` trials of the rung, from 1; 0 if it goes on for another reason.
        count: the trials of the rung.
        to_end: whether it goes on to its end, past all further rungs.
    """

    uid: str
    milestone: int
    place: int = 0
    count: int = 0
    to_end: bool = False


@dataclass(frozen=True)
class RungStanding:
    """The trials of a rung and what they reported there.

    Args:
        uids: in the order in which the trials were proposed, in which equally good ones stand.
        points: their values (trials, objectives), finite.
        maximise: for each objective, whether larger values are better.
    """

    uids: list[str]
    points: npt.NDArray[np.float64]
    maximise: tuple[bool, ...]

    def place(self, uid: str) -> int:
        """The place of a trial, from 1."""
        return place_of(self.uids.index(uid), self.points, self.maximise)

    def best_of(self, waiting: Collection[str]) -> tuple[str, int]:
        """The best of the trials that are ``waiting``, at least one of them here, and its place."""
        fronts = front_numbers(self.points, self.maximise)
        is_waiting = np.array([uid in waiting for uid in self.uids])
        front = fronts[is_waiting].min()
        own = np.flatnonzero(fronts == front)
        order = [int(own[index]) for index in epsilon_net(self.points[own], self.maximise)]
        first = next(index for index, row in enumerate(order) if is_waiting[row])
        return self.uids[order[first]], int((fronts < front).sum()) + first + 1


def next_promotion(record: StudyRecord, spec: StudySpec, reporting: tuple[str, int] | None = None) -> Promotion | None:
    """The promotion that a free worker makes, or None if there is none.

    Args:
        record: of a study with a rule that pauses.
        spec: of the study.
        reporting: uid and milestone of a trial that has just reported and counts as paused there.
    """
    waiting: dict[int, set[str]] = {}
    for trial in record.with_state("paused"):
        waiting.setdefault(trial.reports[-1]["milestone"], set()).add(trial.uid)
    if reporting is not None:
        waiting.setdefault(reporting[1], set()).add(reporting[0])
    for milestone in sorted(waiting, reverse=True):
        rung = standing_at(record, spec, milestone, reporting)
        if len(rung.uids) >= _rungs(spec).eta:
            uid, place = rung.best_of(waiting[milestone])
            if place <= len(rung.uids) // _rungs(spec).eta:
                return Promotion(uid, milestone, place, len(rung.uids))
    return None


def standing_at(
    record: StudyRecord, spec: StudySpec, milestone: int, reporting: tuple[str, int] | None = None
) -> RungStanding:
    """The trials of a rung.

    A report counts from the decision about it, or if it is the one that is ``reporting``. Trials that were audited at
    an earlier rung do not count: without the audit they would not have come here.
    """
    vectors: dict[str, Vector] = {}
    for trial in record.trials.values():
        decided = {decision["milestone"]: decision["decision"] for decision in trial.decisions}
        is_here = milestone in decided or (trial.uid, milestone) == reporting
        audited = any(decision == "audit" and where < milestone for where, decision in decided.items())
        if is_here and not audited and (vector := finite_values(trial, milestone, spec)) is not None:
            vectors[trial.uid] = vector
    directions = {objective.name: objective.direction == "maximize" for objective in spec.objectives}
    maximise = tuple(directions[name] for name in _rungs(spec).compared)
    return RungStanding(list(vectors), np.array(list(vectors.values())), maximise)


def finite_values(trial: TrialRecord, milestone: int, spec: StudySpec) -> Vector | None:
    """What a trial reported of the compared objectives at a milestone; None unless all are there and finite."""
    report = next((report for report in trial.reports if report["milestone"] == milestone), {})
    values = [report.get(name) for name in _rungs(spec).compared]
    finite = tuple(float(value) for value in values if value is not None and math.isfinite(value))
    return finite if len(finite) == len(values) else None


def decision_at_rung(record: StudyRecord, spec: StudySpec, uid: str, milestone: int) -> tuple[str, str]:
    """What the rule says of a report, and why: ``continue``, ``pause``, or ``stop`` if a value is not finite."""
    known = record
    if spec.window is not None:
        job = record.trials[uid].jobs[-1]
        known = as_known_at(record, job - spec.window, before=job, whole=uid)
    if finite_values(record.trials[uid], milestone, spec) is None:
        return "stop", "not finite"
    rung = standing_at(known, spec, milestone, (uid, milestone))
    place, count = rung.place(uid), len(rung.uids)
    standing = f"place {place} of {count}"
    first = next_promotion(known, spec, (uid, milestone))
    if first is not None and first.uid == uid:
        return "continue", standing
    is_due = place <= count // _rungs(spec).eta
    return "pause", f"{standing}, after {first.uid}" if is_due and first is not None else standing


def as_known_at(record: StudyRecord, number: int, *, before: int | None = None, whole: str = "") -> StudyRecord:
    """The study as if nothing were known of jobs after ``number`` but that they had begun.

    Args:
        record: of the study.
        number: of the last job of which everything is known.
        before: jobs from this one on had not even begun; None: all jobs count as begun.
        whole: a trial of which everything is known nevertheless.
    """
    known = dataclasses.replace(record, trials={})
    for trial in record.trials.values():
        begun = [job for job in trial.jobs if before is None or job < before]
        if trial.uid == whole or (begun == trial.jobs and begun[-1] <= number):
            known.add(trial)
        elif begun:
            known.add(_known_part(trial, begun, number))
    return known


def has_ended_up_to(record: StudyRecord, number: int) -> bool:
    """Whether the jobs up to ``number`` have ended, with the end of the trial or with a pause."""
    return all(
        trial.state in SETTLED or trial.jobs[-1] > number for trial in record.trials.values() if trial.jobs[0] <= number
    )


def _known_part(trial: TrialRecord, begun: Iterable[int], number: int) -> TrialRecord:
    """A trial of which the jobs ``begun`` have begun and nothing is known of those after ``number``."""
    jobs = list(begun)
    part = TrialRecord(trial.uid, trial.number, trial.params, trial.config, trial.purpose, trial.sampler_attrs)
    part.jobs = jobs
    part.report_jobs = [job for job in trial.report_jobs if job <= number and job in jobs]
    part.reports = trial.reports[: len(part.report_jobs)]
    milestones = {report["milestone"] for report in part.reports}
    part.decisions = [decision for decision in trial.decisions if decision["milestone"] in milestones]
    part.repeated = [index for index in trial.repeated if index < len(part.reports)]
    if jobs[-1] <= number:  # what it did next had not begun
        part.state = "paused"
    elif part.reports:
        part.state = "running"
    return part


def _rungs(spec: StudySpec) -> Rungs:
    assert isinstance(spec.stopping, Rungs)
    return spec.stopping
