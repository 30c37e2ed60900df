"""Which trials a page of a large study shows, and that it says so."""

from pathlib import Path

import pytest

from benchmarks.constructed_study import write_journal
from reports.page.sampled import sampling_note, share_shown
from reports.page.sections import sections_of
from study.record import trials
from study.record.journal import read_study
from study.record.trials import TrialTable, tabulate


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrialTable:
    """150 trials, of which 60 are shown."""
    monkeypatch.setattr(trials, "MOST_SHOWN", 60)
    write_journal(tmp_path, 150, 1)
    return tabulate(read_study(tmp_path))


def test_the_front_is_shown_as_it_is_among_all(table: TrialTable) -> None:
    shown = table.shown
    assert len(shown.frame) == len(shown.study.trials) == 60
    columns = ["uid", "on_front", "front_probability"]
    whole, part = table.certainty[0][columns], shown.certainty[0][columns]
    assert part[part["on_front"]].values.tolist() == whole[whole["on_front"]].values.tolist()
    assert part.values.tolist() == whole[whole["uid"].isin(part["uid"])].values.tolist()
    assert [one.name for one in shown.groups] == shown.configurations["configuration"].tolist()


def test_more_trials_change_the_others_little(table: TrialTable, tmp_path: Path) -> None:
    write_journal(tmp_path / "later", 165, 1)
    later = tabulate(read_study(tmp_path / "later")).shown
    assert len({*table.shown.frame["uid"]} & {*later.frame["uid"]}) > 45, "a new random choice would have about 22"


def test_the_page_says_so(table: TrialTable) -> None:
    assert sampling_note(table).startswith("Charts and lists show 60 of 150 trials: the front, ")
    shown, total = len(table.shown.configurations), len(table.configurations)
    assert share_shown(table.shown) == f" Drawn: {shown} of {total} configurations." and shown < total
    assert share_shown(table) == ""


def test_a_study_that_fits_is_shown_whole(table: TrialTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MOST_SHOWN", 150)
    assert table.shown is table and sampling_note(table) == ""


@pytest.mark.slow
def test_charts_have_the_share_and_texts_the_whole(table: TrialTable) -> None:
    sections = {section.title: section for section in sections_of(table)}
    assert f"of {len(table.configurations)} configurations" in sections["The front"].caption
    drawn = share_shown(table.shown)
    assert {title for title, one in sections.items() if drawn in one.caption} >= {
        "Parallel coordinates",
        "What it costs",
    }
    assert sections["60 of 150 trials"].body.count("<tr data-uid") <= 60
    exported = next(one for section in sections.values() for one in section.exports if one.name == "trials")
    assert len(exported.data) == 150
