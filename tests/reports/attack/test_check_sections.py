"""What a report says of the checks; values are constructed."""

from collections.abc import Callable
from pathlib import Path

from reports.attack.check_sections import by_check, by_trial, check_sections
from study.record.trials import tabulate
from trainables.evaluation.check_table import LIMITS, check_metrics

NewStudy = Callable[..., "StudyWriter"]  # type: ignore[name-defined]  # noqa: F821
SOUND = {"effective_rank": (9.0, 100), "unbounded": (0.0, 100), "saturated": (12.0, 100)}
BROKEN = SOUND | {"unbounded": (61.0, 100), "black_box": (4.0, 100)}


def test_no_section_where_no_trial_made_checks(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0)
    assert check_sections(tabulate(study.read()), tmp_path) == []


def test_one_line_where_all_pass(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0, **check_metrics(SOUND))
    study.complete(80.0, 40.0, 2.0, **check_metrics(SOUND))
    (section,) = check_sections(tabulate(study.read()), tmp_path)
    assert section.caption == "All 6 checks of 2 trials passed." and section.tables == ()
    assert section.body.startswith("<details") and "effective rank" in section.body
    assert [table.name for table in section.exports] == ["checks", "checks_by_trial"]


def test_a_failure_is_named_with_value_and_limit(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0, **check_metrics(SOUND))
    broken = study.complete(80.0, 40.0, 2.0, **check_metrics(BROKEN))
    study.complete(80.0, 40.0, 2.0)  # by an earlier version
    record = study.read()
    (section,) = check_sections(tabulate(record), tmp_path)
    assert section.caption == f"1 of 2 trials failed a check: {broken}." and section.body == ""
    checks, trials = section.tables
    row = checks.data.set_index("check").loc["unbounded"]
    assert (row["worst"], row["limit"], row["trial"], row["trials"], row["failed"]) == (61.0, 5.0, broken, 2, 1)
    assert list(checks.data["check"]) == ["effective_rank", "saturated", "unbounded", "black_box"]
    text = trials.text.set_index("trial")
    assert text.loc[broken, "unbounded"] == "⚠ 61 %" and text.loc["t000", "black_box"] == "–"
    assert trials.data.set_index("trial").loc[broken, "black_box"] == 4.0


def test_a_lost_value_is_the_worst() -> None:
    checked = {"a": check_metrics(SOUND), "b": {"check_unbounded": None, LIMITS: {"unbounded": 5.0}}}
    row = by_check(checked).data.set_index("check").loc["unbounded"]
    assert row["trial"] == "b" and row["failed"] == 1
    assert by_trial(checked).text.set_index("trial").loc["b", "unbounded"].startswith("⚠")
