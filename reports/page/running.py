"""What the page says while its study is running: the progress of its trials, and that it will be refreshed."""

import pandas as pd
from markupsafe import Markup

from reports.page.html_templates import filled
from reports.page.page import Section, utc_text
from reports.page.report_table import ReportTable
from study.display.trial_tables import clock, describe_factors
from study.record.journal import FINISHED, TrialRecord
from study.status import StudyStatus

MAX_NAMED = 8  # trials named in the note; the table lists all


def running_note(status: StudyStatus) -> Markup:
    """A note that the study is running, with the running trials."""
    trials = status.record.with_state("running")
    return filled(
        "page/templates/running_note.html",
        time=utc_text(status.now),
        ended=len(status.record.with_state(*FINISHED)),
        waiting=len(status.record.with_state("proposed")),
        named=[_named(status, trial) for trial in trials[:MAX_NAMED]],
        more=len(trials) - MAX_NAMED,
    )


def running_section(status: StudyStatus) -> Section:
    """The running trials, and how far each was at its last report."""
    rows = [
        {
            "trial": trial.uid,
            "attempt": trial.attempts,
            "at work for": clock(_seconds(status, trial)),
            "done": _done(status, trial) or "–",
            "factors": describe_factors(trial),
            "last rung": trial.decisions[-1]["reason"] if trial.decisions else "–",
        }
        for trial in status.record.with_state("running")
    ]
    frame = pd.DataFrame(rows)
    table = ReportTable("running", f"Trials at work at {utc_text(status.now)}", frame, frame.astype(str))
    return Section("Still running", "Progress is known from each trial's last rung.", tables=(table,))


def _named(status: StudyStatus, trial: TrialRecord) -> str:
    facts = [clock(_seconds(status, trial)), _done(status, trial)]
    return f"{trial.uid} ({', '.join(fact for fact in facts if fact)})"


def _seconds(status: StudyStatus, trial: TrialRecord) -> float:
    return status.now - status.launched_at[trial.uid]


def _done(status: StudyStatus, trial: TrialRecord) -> str:
    share = status.share_done(trial)
    return "" if share is None else f"≥ {share:.0%}"
