"""What the page says while its study runs, and once it does not."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.build import build_report
from reports.page.running import MAX_NAMED, running_note, running_section
from study.status import StudyStatus, read_status

NewStudy = Callable[..., Any]
STOPPING = {"kind": "moasha", "eta": 2, "first_rung": 10}


@pytest.fixture
def study(new_study: NewStudy) -> Any:
    """One trial is complete, one half done at its rung, one before it."""
    study = new_study(stopping=STOPPING)
    study.complete(90.0, 20.0, 1.0)
    report = {"milestone": 1000, "view_passes": 1000, "val_clean": 50.0, "val_pgd_8": 9.0}
    uid = study.start([report], num_views=2, epochs=10, adversary="none")
    study.journal.write("decided", uid=uid, milestone=1000, decision="continue", reason="place 1 of 2")
    study.start(num_views=2, epochs=20)
    return study


def status_of(study: Any, seconds: float = 0.0) -> StudyStatus:
    """The study so long after its last trial was started."""
    launched = max(trial.launched_at for trial in study.read().trials.values())
    return read_status(study.study_dir, now=launched + seconds)


def test_trials_at_work_are_listed_with_how_far_they_are(study: Any) -> None:
    (table,) = running_section(status_of(study, seconds=151)).tables
    assert table.text.to_dict("records") == [
        {"trial": "t001", "attempt": "1", "at work for": "2:31", "done": "≥ 50%",
         "recipe": "2 views, 10 epochs, standard training", "last rung": "place 1 of 2"},
        {"trial": "t002", "attempt": "1", "at work for": "2:31", "done": "–",
         "recipe": "2 views, 20 epochs", "last rung": "–"},
    ]  # fmt: skip


def test_the_note_names_them(study: Any) -> None:
    note = running_note(status_of(study, seconds=151))
    assert '<a href="#running">t001 (2:31, ≥ 50%), t002 (2:31)</a>' in note
    assert "1 have ended, 0 wait" in note


def test_the_note_names_no_more_than_a_line(study: Any) -> None:
    for _ in range(MAX_NAMED):
        study.start()
    note = running_note(status_of(study))
    assert "t008" in note and "t009" not in note and " and 2 more</a>" in note


def test_where_nothing_is_at_work_the_note_has_no_link(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    assert "none at work" in running_note(status_of(study)) and "href" not in running_note(status_of(study))


def test_a_page_of_a_running_study_has_it_all_and_loads_its_newer_version(study: Any) -> None:
    page = build_report(study.study_dir).read_text(encoding="utf-8")
    assert '<body data-reload="60">' in page and '<table id="running">' in page
    assert "was running when this page was made" in page and "Interrupted:" not in page


@pytest.mark.parametrize("last", ["interrupted", "ended"])
def test_the_page_that_a_driver_writes_last_is_final(study: Any, last: str) -> None:
    """The journal is still open for writing, as it is in the driver."""
    study.journal.write(last, reason="the driver was told to stop")
    page = build_report(study.study_dir).read_text(encoding="utf-8")
    assert "<body>" in page and '<table id="running">' not in page and "was running" not in page
    assert ("Interrupted:" in page) == (last == "interrupted")


def test_a_study_whose_driver_was_killed_is_interrupted(study: Any) -> None:
    study.journal.close()
    page = build_report(study.study_dir).read_text(encoding="utf-8")
    assert "<body>" in page and "Interrupted: the study has not ended (trials: 2 unfinished, 0 waiting)" in page
