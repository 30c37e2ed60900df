"""The ablation on the page: what the figures draw, what the tables say, and what is said of what is missing."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from ablation_study import ablation_spec, additive, run, unless

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


def test_the_waterfall_goes_from_one_end_to_the_other() -> None:
    figure = section_of(ablation_spec()).figures["ablation_path"]
    bars = [trace for trace in figure.data if trace.type == "bar"]
    clean, robust, cost = bars  # one panel an objective
    assert list(robust.y) == ["+ method", "+ adversary", "+ view_scale_min"]
    assert list(robust.x) == pytest.approx([6.0, 6.0, 3.0]) and list(robust.base) == pytest.approx([30, 36, 42])
    assert list(clean.x) == pytest.approx([0.0, -4.0, 0.0]) and list(cost.x) == pytest.approx([1.0, 0.0, 0.0])
    assert robust.error_x.array[0] == pytest.approx(2.4841, abs=1e-4) and robust.error_x.array[1] == 0
    better, worse = robust.marker.color[0], clean.marker.color[1]
    assert better != worse and cost.marker.color[0] == worse  # more cost is for the worse
    marks = next(trace for trace in figure.data if trace.type == "scatter" and trace.xaxis == robust.xaxis)
    assert list(marks.y) == ["from", *robust.y, "to"] and list(marks.x) == pytest.approx([30, 36, 42, 45, 45])


def test_the_path_as_a_table() -> None:
    section = section_of(ablation_spec())
    start, method, *_ = text_of(section, "ablation_path")
    assert start["val PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "30.0" and start["chosen over"] == "–"
    assert method["val PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "36.0 (+6.0 [+3.5, +8.5])"
    assert method["test PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "35.0 (+6.0 [+3.5, +8.5])"
    assert method["chosen over"] == "view_scale_min, adversary" and method["training compute"] == "2 PFLOP"
    assert data_of(section, "ablation_path")[1]["val_pgd_8_change"] == pytest.approx(6.0)


def test_single_changes_as_a_table_and_a_figure() -> None:
    section = section_of(ablation_spec())
    rows = {(row["change"], row["against"]): row for row in text_of(section, "ablation_singles")}
    assert (
        rows["method brought in", "'from'"]["val PGD-20 (cross-entropy and margin) at 8/255 (points)"]
        == "+6.0 [+3.5, +8.5]"
    )
    assert rows["method brought in", "'from'"]["training compute"] == "× 2.00"
    assert (
        rows["method taken back", "'to'"]["val PGD-20 (cross-entropy and margin) at 8/255 (points)"]
        == "-10.0 [-12.5, -7.5]"
    )
    assert rows["method taken back", "'to'"]["training compute"] == "× 0.50"
    assert rows["all of them brought in", "'from'"]["val clean (points)"] == "-4.0 [-4.0, -4.0]"
    assert all(row["remark"] == "–" and row["seeds"] == "3" for row in rows.values())
    figure = section.figures["ablation_singles"]
    robust = [trace for trace in figure.data if trace.xaxis == "x2"]
    assert [trace.name for trace in robust] == ["brought in", "taken back"]
    assert dict(zip(robust[1].y, robust[1].x, strict=True)) == pytest.approx(
        {"method": -10, "adversary": -6, "view_scale_min": -3}
    )
    costs = [trace for trace in figure.data if trace.xaxis == "x3"]
    assert dict(zip(costs[0].y, costs[0].x, strict=True))["method"] == pytest.approx(2.0)


def test_more_cost_is_for_the_worse() -> None:
    dearer = Bar("+ method", 1.0, 6.0, Change(5.0, math.nan, math.nan, (0,)), is_step=True)
    fall = Waterfall(COST, (0,), 1.0, (dearer,), reaches_end=True)
    assert list(waterfall_figure([fall]).data[1].marker.color) == [VERMILLION]


def test_one_seed_has_no_interval_and_says_so() -> None:
    section = section_of(ablation_spec(seeds=(0,)))
    assert "One seed: no interval." in section.caption and "t intervals" not in section.method
    rows = text_of(section, "ablation_singles")
    assert all(row["remark"] == "one seed: no interval" for row in rows)
    assert rows[0]["val PGD-20 (cross-entropy and margin) at 8/255 (points)"] == "+14.0"
    assert text_of(section, "ablation_path")[1]["val PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "25.0 (+5.0)"
    bars = [trace for trace in section.figures["ablation_path"].data if trace.type == "bar"]
    assert list(bars[0].error_x.array) == [None, None, None] and "no interval" in bars[0].hovertext[0]


def test_a_path_that_broke_off_says_where_and_why() -> None:
    def made_up(trial: Any) -> Any:
        one = trial.params["method"] == "to" and sum(side == "to" for side in trial.params.values()) == 2
        return FAILED if one else additive(trial)

    section = section_of(ablation_spec(), made_up)
    assert "The path breaks off after method: view_scale_min: seed 0 failed: diverged; adversary: seed 0 failed" in (
        section.caption
    )
    bars = [trace for trace in section.figures["ablation_path"].data if trace.type == "bar"]
    assert list(bars[1].y) == ["+ method", "the rest: view_scale_min, adversary"]
    rows = text_of(section, "ablation_path")
    assert [row["step"] for row in rows] == ["from", "+ method", "the rest: view_scale_min, adversary"]
    assert rows[2]["val PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "45.0 (+9.0 [+9.0, +9.0])"
    remarks = {(row["change"]): row["remark"] for row in text_of(section, "ablation_singles")}
    assert remarks["adversary taken back"] == "seed 0 failed: diverged" and remarks["method taken back"] == "–"


def test_a_study_under_way_says_what_is_missing() -> None:
    section = section_of(ablation_spec(), most=7)
    assert "The path has only got as far as at its first step" in section.caption
    assert list(section.figures) == ["ablation_singles"]
    remarks = {row["change"]: row["remark"] for row in text_of(section, "ablation_singles")}
    assert "not trained yet" in remarks.values()
    empty = section_of(ablation_spec(), most=0)
    assert empty.figures == {} and "Results of 'from' are incomplete: not trained yet." in empty.caption


def test_ends_that_failed_are_said_to_have() -> None:
    section = section_of(ablation_spec(), unless(set(), FAILED))
    assert "Results of 'from' are incomplete: seed 0 failed: diverged." in section.caption
    assert "ablation_path" not in section.figures and "ablation_singles" in section.figures
    rows = {row["change"]: row for row in text_of(section, "ablation_singles")}
    assert rows["method brought in"]["val PGD-20 (cross-entropy and margin) at 8/255 (points)"] == "–"
    assert "'from': seed 0 failed: diverged" in rows["method brought in"]["remark"]


def test_the_differences_are_spelled_out() -> None:
    rows = text_of(section_of(ablation_spec()), "ablation_differences")
    assert {"difference": "method", "field": "num_views", "from": "2", "to": "4"} in rows


def test_other_studies_have_no_such_section_and_a_foreign_spec_is_said(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    assert TITLE not in [section.title for section in sections_of(tabulate(study.read()))]
    spec = ablation_spec()
    record = run(spec, most=1)
    record.spec["design"]["to"]["no_such_field"] = 1
    (section,) = [section for section in sections_of(tabulate(record)) if section.title == TITLE]
    assert section.caption.startswith("Not shown: this version does not accept the recorded spec: no_such_field")


def test_the_page_and_its_exports_hold_the_ablation(new_study: NewStudy) -> None:
    spec = ablation_spec()
    study = new_study(**spec.model_dump(mode="json"))
    run(spec, journal=study.journal)
    page = build_report(study.study_dir, print)
    assert TITLE in page.read_text(encoding="utf-8") and (page.parent / "tables" / "ablation_path.tex").is_file()
    assert (page.parent / "figures" / "ablation_path.html").is_file()
