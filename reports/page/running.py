"""What the page says while its study is running: the progress of its trials, and that it will be refreshed."""

import pandas as pd
from markupsafe import Markup

from reports.page.html_templates import filled
from reports.page.page import Section, utc_text
from reports.page.report_table import ReportTable
from study.display.running import RunningTrial, running_trials
from study.display.trial_tables import clock
from study.record.journal import FINISHED
from study.status import StudyStatus

MAX_NAMED = 8  # trials named in the note; the table lists all


def running_note(status: StudyStatus) -> Markup:
    """A note that the study is running, with the running trials."""
    trials = running_trials(status.record, status.now)
    return filled(
        "page/templates/running_note.html",
        time=utc_text(status.now),
        ended=len(status.record.with_state(*FINISHED)),
        paused=len(status.record.with_state("paused")),
        waiting=len(status.record.with_state("proposed")),
        named=[_named(trial) for trial in trials[:MAX_NAMED]],
        more=len(trials) - MAX_NAMED,
    )


def running_section(status: StudyStatus) -> Section:
    """The running trials, and how far each was at its last report."""
    rows = [
        {
            "trial": trial.uid,
            "attempt": trial.attempt,
            "at work for": clock(trial.seconds or 0.0),
            "done": _done(trial) or "–",
            "recipe": trial.recipe,
            "last rung": trial.rung or "–",
        }
        for trial in running_trials(status.record, status.now)
    ]
    frame = pd.DataFrame(rows)
    table = ReportTable("running", f"Trials at work at {utc_text(status.now)}", frame, frame.astype(str))
    return Section("Still running", "Progress is known from each trial's last rung.", tables=(table,))


def _named(trial: RunningTrial) -> str:
    facts = [clock(trial.seconds or 0.0), _done(trial)]
    return f"{trial.uid} ({', '.join(fact for fact in facts if fact)})"


def _done(trial: RunningTrial) -> str:
    return "" if trial.share is None else f"≥ {trial.share:.0%}"
