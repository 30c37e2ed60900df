"""What the page of a study says while the study runs: how far its trials are, and when there will be a newer page."""

import html
from typing import Any

from reports.page import Section, utc_text
from reports.report_table import table_of
from study.journal import FINISHED, TrialRecord
from study.status import StudyStatus
from study.trial_tables import clock, describe_factors

LEAST_PAUSE_SECONDS = 60.0
PAUSE_FACTOR = 20  # so that building takes no more than a twentieth of the time
MAX_NAMED = 8  # trials in the note; the table has them all


def pause_seconds(build_seconds: float) -> float:
    """How long the report of a running study rests after it took ``build_seconds`` to build."""
    return max(LEAST_PAUSE_SECONDS, PAUSE_FACTOR * build_seconds)


def running_note(status: StudyStatus) -> str:
    """That the study runs, and which trials are at work, as HTML."""
    trials = status.record.with_state("running")
    named = [_named(status, trial) for trial in trials[:MAX_NAMED]]
    more = f" and {len(trials) - MAX_NAMED} more" if len(trials) > MAX_NAMED else ""
    at_work = f'at work: <a href="#running">{html.escape(", ".join(named))}{more}</a>' if trials else "none at work"
    ended, waiting = len(status.record.with_state(*FINISHED)), len(status.record.with_state("proposed"))
    return (
        f"The study was running when this page was made, at {utc_text(status.now)}. Of its trials so far {ended} have "
        f"ended, {waiting} wait; {at_work}. What is shown can change. Opened as a file, the page loads its newer "
        "version now and then, until you click on something in it or press a key."
    )


def running_section(status: StudyStatus) -> Section:
    """The trials that are at work, and how far each was at its last report."""
    columns: dict[str, Any] = {
        "trial": lambda row: row["uid"],
        "attempt": lambda row: row["attempt"],
        "at work for": lambda row: clock(row["seconds"]),
        "pretrained": lambda row: "–" if row["share"] is None else f"≥ {row['share']:.0%}",
        "factors": lambda row: row["factors"],
        "last rung": lambda row: row["rung"] or "–",
    }
    rows = [_row(status, trial) for trial in status.record.with_state("running")]
    table = table_of("running", f"Trials at work at {utc_text(status.now)}", rows, columns)
    caption = "How far a trial is, is known from its last rung."
    return Section("Still running", caption, tables=(table,))


def _row(status: StudyStatus, trial: TrialRecord) -> dict[str, Any]:
    return {
        "uid": trial.uid,
        "attempt": trial.attempts,
        "seconds": status.now - status.launched_at[trial.uid],
        "share": status.share_done(trial),
        "rung": trial.decisions[-1]["reason"] if trial.decisions else "",
        "factors": describe_factors(trial),
    }


def _named(status: StudyStatus, trial: TrialRecord) -> str:
    row = _row(status, trial)
    share = "" if row["share"] is None else f", ≥ {row['share']:.0%}"
    return f"{trial.uid} ({clock(row['seconds'])}{share})"
