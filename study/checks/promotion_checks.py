"""Whether paused trials were paused and promoted as the rule of the study says, from what was known each time."""

from collections.abc import Sequence

from study.decisions.promotion import Promotion, as_known_at, decision_at_rung, has_ended_up_to, next_promotion
from study.record.journal import Event, StudyRecord, TrialRecord, apply, configuration_name
from study.spec import Rungs, StudySpec
from study.trainable import trainable_of


def promotion_disagreements(events: Sequence[Event], spec: StudySpec) -> list[str]:
    """Decisions, promotions and proposals that do not follow from the events before them.

    Args:
        events: of a journal whose order is as it should be.
        spec: of the study; with a rule that pauses.
    """
    record, disagreements = StudyRecord(), []
    for event in events:
        match event["event"]:
            case "decided":
                disagreements += _wrong_decision(record, spec, event)
            case "promoted" if not event.get("to_end"):
                disagreements += _wrong_promotion(record, spec, event)
            case "proposed" if _is_new_config(record, event) and spec.window is None:
                first = next_promotion(record, spec)
                if first is not None:
                    disagreements.append(f"{event['uid']}: proposed while {first.uid} could have gone on")
        apply(record, event)
    return disagreements


def _wrong_decision(record: StudyRecord, spec: StudySpec, event: Event) -> list[str]:
    assert isinstance(spec.stopping, Rungs)
    uid, milestone, decided = event["uid"], event["milestone"], event["decision"]
    trial = record.trials[uid]
    if trial.is_audited:
        allowed = {"continue"}
    else:
        expected, _ = decision_at_rung(record, spec, uid, milestone)
        allowed = {"continue"} if trial.params in spec.references else {expected}
        if allowed != {"continue"} and spec.stopping.audit:
            allowed.add("audit")
    if decided in allowed:
        return []
    progress = trainable_of(spec.base).progress.replace("_", " ")
    words = " or ".join(sorted(allowed))
    return [f"{uid}: {decided!r} at {milestone:,} {progress}, the reports lead to {words!r}"]


def _wrong_promotion(record: StudyRecord, spec: StudySpec, event: Event) -> list[str]:
    expected = _expected_promotion(record, spec)
    if expected is not None and expected.uid == event["uid"]:
        return []
    return [f"{event['uid']}: promoted, the reports lead to {expected.uid if expected else 'none'}"]


def _expected_promotion(record: StudyRecord, spec: StudySpec) -> Promotion | None:
    if spec.window is None:
        return next_promotion(record, spec)
    for number in range(record.num_jobs - spec.window, record.num_jobs):
        if not has_ended_up_to(record, number):
            return None
        if (promotion := next_promotion(as_known_at(record, number), spec)) is not None:
            return promotion
    return None


def _is_new_config(record: StudyRecord, event: Event) -> bool:
    return event.get("purpose", "search") == "search" and configuration_name(event["params"]) not in record.searched


def paused_without_checkpoint(trials: Sequence[TrialRecord], kept: Sequence[str]) -> list[str]:
    """Notes on paused trials that will start afresh, as nothing of them was ``kept``."""
    lost = [trial.uid for trial in trials if trial.uid not in kept]
    return [f"no checkpoint of {', '.join(lost)}: paused, and would start afresh if promoted"] if lost else []
