"""The ablation on the page: what the figures draw, what the tables say, and what is said of what is missing."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from ablation_study import ablation_spec, additive, run, unless
from scipy.stats import binomtest

from reports.ablation.ablation_figures import waterfall_figure
from reports.ablation.ablation_sections import TITLE
from reports.ablation.ablation_waterfall import Bar, Waterfall
from reports.ablation.executed_ablation import Change
from reports.build import build_report
from reports.page.figure_style import VERMILLION
from reports.page.page import Section
from reports.page.sections import sections_of
from study.record.trials import tabulate
from study.trainable import Metric

NewStudy = Callable[..., Any]
COST = Metric("train_pflop", "minimize", kind="cost")
METHOD = "method: simclr → emp_ssl, num_views 2 → 4"
FAILED = {"state": "failed", "metrics": {}, "reason": "diverged"}


def section_of(spec: Any, made_up: Any = additive, most: int = 1000) -> Section:
    table = tabulate(run(spec, made_up, most))
    (section,) = [section for section in sections_of(table) if section.title == TITLE]
    return section


def text_of(section: Section, name: str) -> list[dict[str, str]]:
    (table,) = [table for table in section.tables if table.name == name]
    return table.text.to_dict("records")


def data_of(section: Section, name: str) -> list[dict[str, Any]]:
    (table,) = [table for table in section.tables if table.name == name]
    return table.data.to_dict("records")


def trace_of(figure: Any, kind: str) -> Any:
    (found,) = [trace for trace in figure.data if trace.type == kind]
    return found


def test_the_waterfall_goes_from_one_end_to_the_other() -> None:
    figures = section_of(ablation_spec()).figures
    clean, robust, cost = (
        trace_of(figures[f"ablation_path_{name}"], "bar") for name in ("val_clean", "val_pgd_8", "train_pflop")
    )
    assert [name.replace("<br>", " ") for name in robust.y] == [
        "method: simclr → emp_ssl, num_views 2 → 4", "adversary: pgd → free", "view_scale_min: 0.08 → 0.2",
    ]  # fmt: skip
    assert list(robust.x) == pytest.approx([6.0, 6.0, 3.0]) and list(robust.base) == pytest.approx([30, 36, 42])
    assert list(clean.x) == pytest.approx([0.0, -4.0, 0.0]) and list(cost.x) == pytest.approx([1.0, 0.0, 0.0])
    assert robust.error_x.array[0] == pytest.approx(2.4841, abs=1e-4) and robust.error_x.array[1] == 0
    better, worse = robust.marker.color[0], clean.marker.color[1]
    assert better != worse and cost.marker.color[0] == worse  # more cost is for the worse
    marks = trace_of(figures["ablation_path_val_pgd_8"], "scatter")
    assert [name.partition(":")[0] for name in (marks.y[0], marks.y[-1])] == ["start", "end"]
    assert list(marks.y[1:-1]) == list(robust.y) and list(marks.x) == pytest.approx([30, 36, 42, 45, 45])


def test_marks_name_the_trials_that_they_are_of() -> None:
    study = run(ablation_spec())
    (section,) = [section for section in sections_of(tabulate(study)) if section.title == TITLE]
    marks = trace_of(section.figures["ablation_path_val_pgd_8"], "scatter")
    sides = [set(study.trials[uid].params.items()) for uid in marks.customdata]
    assert [sum(side == "to" for _, side in one) for one in sides] == [0, 1, 2, 3, 3]
    brought_in, taken_back = section.figures["ablation_singles_val_clean"].data
    assert [sum(side == "to" for side in study.trials[uid].params.values()) for uid in brought_in.customdata] == [1] * 3
    assert [sum(side == "to" for side in study.trials[uid].params.values()) for uid in taken_back.customdata] == [2] * 3


def test_the_path_as_a_table() -> None:
    section = section_of(ablation_spec())
    start, method, *_ = text_of(section, "ablation_path")
    assert start["test PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "29.0"
    assert start["step"] == "start: method simclr, num_views 2, view_scale_min 0.08, adversary pgd"
    assert method["test PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "35.0 (+6.0 [+3.5, +8.5])"
    assert method["training compute"] == "2 PFLOP"
    row = data_of(section, "ablation_path")[1]
    assert row["val_pgd_8_change"] == pytest.approx(6.0) and row["over"] == "view_scale_min, adversary"


def test_single_changes_as_a_table_and_a_figure() -> None:
    section = section_of(ablation_spec())
    robust, method = "test PGD-20 (cross-entropy and margin) at 8/255 (points)", METHOD
    rows = {(row["change"], row["made"]): row for row in text_of(section, "ablation_singles")}
    assert rows[method, "changed in the start"][robust] == "+6.0 [+3.5, +8.5]"
    assert rows[method, "changed in the start"]["training compute"] == "× 2.00"
    assert rows[method, "undone in the end"][robust] == "-10.0 [-12.5, -7.5]"
    assert rows[method, "undone in the end"]["training compute"] == "× 0.50"
    assert rows["all of them", "changed in the start"]["test clean (points)"] == "-4.0 [-4.0, -4.0]"
    assert all("remark" not in row for row in rows.values())
    traces = section.figures["ablation_singles_val_pgd_8"].data
    assert [trace.name for trace in traces] == ["changed in the start", "undone in the end"]
    names = [name.partition(":")[0] for name in traces[1].y]
    assert dict(zip(names, traces[1].x, strict=True)) == pytest.approx(
        {"method": -10, "adversary": -6, "view_scale_min": -3}
    )
    assert "ablation_singles_train_pflop" not in section.figures  # a cost follows from the factors


def test_more_cost_is_for_the_worse() -> None:
    dearer = Bar("method: a → b", 1.0, 6.0, Change(5.0, math.nan, math.nan, (0,)), None, is_step=True)
    fall = Waterfall(COST, (0,), ("start: a", "end: b"), 1.0, None, (dearer,), reaches_end=True)
    assert list(trace_of(waterfall_figure(fall), "bar").marker.color) == [VERMILLION]


def test_one_seed_has_the_interval_of_its_examples_and_says_so() -> None:
    section = section_of(ablation_spec(seeds=(0,)))
    assert "of one seed: its luck is not in them" in section.caption
    assert "Newcombe" in section.method and "t intervals" not in section.method
    rows = {(row["change"], row["made"]): row for row in text_of(section, "ablation_singles")}
    text = rows[METHOD, "changed in the start"]["test PGD-20 (cross-entropy and margin) at 8/255 (points)"]
    (low_before, high_before), (low_after, high_after) = (
        [100 * end for end in binomtest(count, 360).proportion_ci(method="wilson")] for count in (68, 86)
    )  # 19 and 24% of 360 images, in whole images
    low = 5 - math.hypot(24 - low_after, high_before - 19)
    high = 5 + math.hypot(high_after - 24, 19 - low_before)
    assert text == f"+5.0 [{low:+.1f}, {high:+.1f}]"
    bars = trace_of(section.figures["ablation_path_val_pgd_8"], "bar")
    assert all(value > 1 for value in (*bars.error_x.array, *bars.error_x.arrayminus))
    assert "(one seed)" in bars.hovertext[0]
    assert list(trace_of(section.figures["ablation_path_train_pflop"], "bar").error_x.array) == [None, None, None]


def test_a_path_that_broke_off_says_where_and_why() -> None:
    def made_up(trial: Any) -> Any:
        one = trial.params["method"] == "to" and sum(side == "to" for side in trial.params.values()) == 2
        return FAILED if one else additive(trial)

    section = section_of(ablation_spec(), made_up)
    assert "The path breaks off after method: view_scale_min: seed 0 failed: diverged; adversary: seed 0 failed" in (
        section.caption
    )
    rest = "the rest: view_scale_min, adversary"
    assert trace_of(section.figures["ablation_path_val_pgd_8"], "bar").y[1].replace("<br>", " ") == rest
    rows = text_of(section, "ablation_path")
    assert [row["step"].partition(":")[0] for row in rows] == ["start", "method", "the rest"]
    assert rows[2]["test PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "44.0 (+9.0 [+9.0, +9.0])"
    remarks = {(row["change"], row["made"]): row["remark"] for row in text_of(section, "ablation_singles")}
    assert remarks["adversary: pgd → free", "undone in the end"] == "seed 0 failed: diverged"
    assert remarks[METHOD, "undone in the end"] == "–"


def test_a_study_under_way_says_what_is_missing() -> None:
    section = section_of(ablation_spec(), most=7)
    assert "The path has only got as far as at its first step" in section.caption
    assert {name.rpartition("_val")[0] for name in section.figures if "val" in name} == {"ablation_singles"}
    remarks = {row["change"]: row["remark"] for row in text_of(section, "ablation_singles")}
    assert "not trained yet" in remarks.values()
    empty = section_of(ablation_spec(), most=0)
    assert empty.figures == {} and "Results of the start are incomplete: not trained yet." in empty.caption


def test_ends_that_failed_are_said_to_have() -> None:
    section = section_of(ablation_spec(), unless(set(), FAILED))
    assert "Results of the start are incomplete: seed 0 failed: diverged." in section.caption
    assert not any(name.startswith("ablation_path") for name in section.figures)
    assert "ablation_singles_val_clean" in section.figures
    rows = {(row["change"], row["made"]): row for row in text_of(section, "ablation_singles")}
    brought_in = rows[METHOD, "changed in the start"]
    assert brought_in["test PGD-20 (cross-entropy and margin) at 8/255 (points)"] == "–"
    assert "the start: seed 0 failed: diverged" in brought_in["remark"]


def test_the_differences_are_spelled_out() -> None:
    rows = text_of(section_of(ablation_spec()), "ablation_differences")
    assert {"difference": "method", "field": "num_views", "start": "2", "end": "4"} in rows


def test_other_studies_have_no_such_section_and_a_foreign_spec_is_said(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    assert TITLE not in [section.title for section in sections_of(tabulate(study.read()))]
    spec = ablation_spec()
    record = run(spec, most=1)
    record.spec["design"]["to"]["no_such_field"] = 1
    (section,) = [section for section in sections_of(tabulate(record)) if section.title == TITLE]
    assert section.missing.startswith("this version does not accept the recorded spec: no_such_field")


def test_the_page_and_its_exports_hold_the_ablation(new_study: NewStudy) -> None:
    spec = ablation_spec()
    study = new_study(**spec.model_dump(mode="json"))
    run(spec, journal=study.journal)
    page = build_report(study.study_dir, print)
    assert TITLE in page.read_text(encoding="utf-8") and (page.parent / "tables" / "ablation_path.tex").is_file()
    assert (page.parent / "figures" / "ablation_path_val_clean.html").is_file()
