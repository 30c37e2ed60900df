"""The trials that are running, as the terminal and the report show them."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group

from study.display.trial_tables import clock, of_all, recipe_of, titled_table
from study.record.journal import StudyRecord, TrialRecord
from study.record.metrics import trainable_in


@dataclass(frozen=True)
class RunningTrial:
    """A running trial.

    ``seconds`` since its last launch (None if no driver runs it), ``share`` of its training that is known to be done.
    """

    uid: str
    attempt: int
    seconds: float | None
    share: float | None
    rung: str  # the last decision about it
    recipe: str


def running_trials(
    record: StudyRecord, now: float | None, shares: Mapping[str, float] | None = None
) -> list[RunningTrial]:
    """The running trials at ``now`` (Unix seconds; None if no driver runs them); shares as last reported, or given."""
    return [
        RunningTrial(
            uid=trial.uid,
            attempt=trial.attempts,
            seconds=None if now is None else now - (trial.relaunched_at or now),
            share=reported_share(record, trial) if shares is None else shares.get(trial.uid),
            rung=trial.decisions[-1]["reason"] if trial.decisions else "",
            recipe=recipe_of(record, trial),
        )
        for trial in record.with_state("running")
    ]


def reported_share(record: StudyRecord, trial: TrialRecord) -> float | None:
    """The share of its training that a trial had completed at its last report; None if that is not known."""
    milestones = [decision["milestone"] for decision in record.decisions]
    first_rung, trainable = record.spec.get("stopping", {}).get("first_rung"), trainable_in(record)
    if not trial.reports or not milestones or not first_rung or trainable is None:
        return None
    scale = min(milestones) // first_rung
    total = trainable.total_progress(trainable.recorded(trial.config), scale)
    return None if total is None else float(min(1.0, trial.reports[-1][trainable.progress] / total))


def running_table(running: list[RunningTrial], title: str, *, is_live: bool, most: int | None = None) -> Group:
    """One row per running trial, at most ``most``; ``is_live``: their driver says how far they are."""
    shown, rows = running[:most], []
    for trial in shown:
        since = "–" if trial.seconds is None else clock(trial.seconds)
        unknown = "starting" if is_live else "–"
        share = unknown if trial.share is None else f"{trial.share:.0%}" if is_live else f"≥ {trial.share:.0%}"
        rows.append([trial.uid, str(trial.attempt), since, share, trial.recipe, trial.rung])
    columns = ("trial", "attempt", "since", "trained", "recipe", "last rung")
    return titled_table(title + of_all(shown, running), columns, rows, long=("recipe", "last rung"))
