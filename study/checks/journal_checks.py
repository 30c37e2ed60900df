"""Whether the events of a journal can have happened: their order within each trial, and the guarantees of a study.

All functions are pure; a disagreement is one line that begins with the line number or the trial.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from study.record.journal import FINISHED, Event, Purpose, StudyRecord, TrialRecord
from study.record.journal_lines import REQUIRED
from study.record.metrics import trainable_path
from study.settings import explain
from study.trainable import load_trainable

DECISIONS = ("continue", "stop", "pause", "audit")


@dataclass
class _Seen:
    """What the events so far say about one trial."""

    attempts: int = 0
    reported: list[int] = field(default_factory=list)  # milestones
    decided: list[int] = field(default_factory=list)
    is_stopped: bool = False  # by a decision
    is_pausing: bool = False  # by a decision
    is_paused: bool = False
    is_finished: bool = False
    has_failed: bool = False


def order_disagreements(events: Sequence[Event]) -> list[str]:
    """Events that cannot follow those before them."""
    disagreements: list[str] = []
    trials: dict[str, _Seen] = {}
    has_ended = False
    for number, event in enumerate(events, start=1):
        problems = []
        kind, uid = event["event"], event.get("uid")
        if (kind == "created") != (number == 1):
            problems.append("a journal begins with 'created', once")
        if has_ended and kind in REQUIRED and kind != "resumed":
            problems.append(f"{kind!r} after the study had ended")
        if kind == "ended":
            unfinished = [uid for uid, seen in trials.items() if not (seen.is_finished or seen.is_paused)]
            problems += [f"the study ended before {', '.join(unfinished)}"] if unfinished else []
        has_ended = kind == "ended" or (has_ended and kind != "resumed")
        if kind == "proposed":
            problems += _proposal_problems(event, trials)
            trials[event["uid"]] = _Seen()
        elif uid is not None and kind in REQUIRED:
            seen = trials.get(uid)
            problems += [f"{kind!r}, but it was never proposed"] if seen is None else _trial_problems(event, seen)
        place = f"line {number}, {uid}" if uid else f"line {number}"
        disagreements += [f"{place}: {problem}" for problem in problems]
    return disagreements


def _proposal_problems(event: Event, trials: dict[str, _Seen]) -> list[str]:
    problems = []
    if event["uid"] in trials:
        problems.append("proposed twice")
    if event["number"] != len(trials):
        problems.append(f"has the number {event['number']} and is the trial {len(trials)}")
    if event.get("purpose", "search") not in get_args(Purpose):
        problems.append(f"has an unknown purpose: {event['purpose']!r}")
    return problems


def _trial_problems(event: Event, seen: _Seen) -> list[str]:
    """What is wrong with an event of a trial; updates ``seen``."""
    kind = event["event"]
    if kind == "reopened" and seen.has_failed:
        seen.is_finished = seen.has_failed = False
        return []
    if seen.is_finished:
        return [f"{kind!r} after it had finished"]
    problems = []
    if kind != "launched" and seen.attempts == 0:
        problems.append(f"{kind!r} before it was launched")
    if kind != "finished" and seen.is_stopped:
        problems.append(f"{kind!r} after the decision to stop it")
    if kind != "paused" and seen.is_pausing:
        problems.append(f"{kind!r} after the decision to pause it")
    if kind != "promoted" and seen.is_paused:
        problems.append(f"{kind!r} while it was paused")
    match kind:
        case "launched":
            if event["attempt"] != seen.attempts + 1:
                problems.append(f"attempt {event['attempt']} after attempt {seen.attempts}")
            seen.attempts = event["attempt"]
        case "reported":
            problems += _report_problems(event["metrics"]["milestone"], seen)
        case "decided":
            problems += _decision_problems(event, seen)
        case "paused":
            problems += [] if seen.is_pausing or seen.is_paused else ["paused without a decision to pause it"]
            seen.is_pausing, seen.is_paused = False, True
        case "promoted":
            if not seen.is_paused:
                problems.append("promoted while it was not paused")
            elif event["milestone"] != seen.reported[-1]:
                problems.append(f"promoted at {event['milestone']:,}, and paused at {seen.reported[-1]:,}")
            seen.is_paused = False
        case "finished":
            problems += _end_problems(event["state"], seen)
    return problems


def _report_problems(milestone: int, seen: _Seen) -> list[str]:
    problems = []
    if seen.reported and milestone <= seen.reported[-1]:
        problems.append(f"reported at {milestone:,} after {seen.reported[-1]:,}")
    elif len(seen.reported) > len(seen.decided):
        problems.append(f"reported at {milestone:,} without a decision at {seen.reported[-1]:,}")
    seen.reported.append(milestone)
    return problems


def _decision_problems(event: Event, seen: _Seen) -> list[str]:
    problems = []
    milestone, decision = event["milestone"], event["decision"]
    if decision not in DECISIONS:
        problems.append(f"an unknown decision: {decision!r}")
    if milestone in seen.decided:
        problems.append(f"decided about twice at {milestone:,}")
    elif milestone not in seen.reported:
        problems.append(f"decided about at {milestone:,}, where it has not reported")
    seen.decided.append(milestone)
    seen.is_stopped, seen.is_pausing = decision == "stop", decision == "pause"
    return problems


def _end_problems(state: str, seen: _Seen) -> list[str]:
    seen.is_finished, seen.has_failed = True, state == "failed"
    if state not in FINISHED:
        return [f"finished in an unknown state: {state!r}"]
    if seen.is_stopped and state != "stopped":
        return [f"finished as {state} after the decision to stop it"]
    if state == "stopped" and not seen.is_stopped:
        return ["finished as stopped without a decision to stop it"]
    return []


def result_disagreements(record: StudyRecord) -> list[str]:
    """Complete trials without a finite value of an objective or constraint, unless a failed check explains it."""
    names = [part["name"] for key in ("objectives", "constraints") for part in record.spec.get(key, [])]
    disagreements = []
    for trial in record.with_state("complete"):
        missing = [name for name in names if not _is_finite(trial.metrics.get(name))]
        if missing and not trial.metrics.get("validity"):
            disagreements.append(f"{trial.uid}: complete, but {', '.join(missing)} is not a finite number")
    return disagreements


def repetition_disagreements(record: StudyRecord) -> list[str]:
    """Trials that repeat the config, seed included, of an earlier trial of the same purpose; also invalid configs."""
    try:
        trainable = load_trainable(trainable_path(record))
    except ValueError as error:
        return [str(error)]
    disagreements = []
    first: dict[tuple[str, str], TrialRecord] = {}
    for trial in record.trials.values():
        try:
            identity = trainable.identity(trainable.recorded(trial.config))
        except ValidationError as error:
            disagreements.append(f"{trial.uid}: its config is invalid: {explain(error)}")
            continue
        earlier = first.setdefault((trial.purpose, identity), trial)
        if earlier is not trial:
            disagreements.append(f"{trial.uid}: the same config and seed as {earlier.uid}, for the same purpose")
    return disagreements


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
