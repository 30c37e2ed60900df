"""What the page says while its study is running: the progress of its trials, and that it will be refreshed."""

import html
from typing import Any

from reports.page.page import Section, utc_text
from reports.page.report_table import table_of
from study.display.trial_tables import clock, describe_factors
from study.record.journal import FINISHED, TrialRecord
from study.status import StudyStatus

LEAST_PAUSE_SECONDS = 60.0
PAUSE_FACTOR = 20  # keeps the share of time spent on building below a twentieth
MAX_NAMED = 8  # trials named in the note; the table lists all


def pause_seconds(build_seconds: float) -> float:
    """The pause in seconds between reports of a running study, after one that took ``build_seconds`` to build."""
    return max(LEAST_PAUSE_SECONDS, PAUSE_FACTOR * build_seconds)


def running_note(status: StudyStatus) -> str:
    """A note, as HTML, that the study is running, with the running trials."""
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
    """The running trials, and how far each was at its last report."""
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
    caption = "Progress is known from each trial's last rung."
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
