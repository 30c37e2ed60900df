"""Two fields against each other at equal cost: what is compared with what, and where it is drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.effects.traded_figure import traded_at_equal_cost, traded_figure
from reports.page.sections import sections_of
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]
FIELDS = ("num_views", "epochs")
FACTORS = [{"name": name} for name in (*FIELDS, "adversary", "view_scale_min")]


def crops_help(new_study: NewStudy) -> TrialTable:
    """At equal cost a doubling of views adds 3 points; without attack, which only many views have, 40 are missing."""
    study = new_study(factors=FACTORS)
    for place, (views, epochs) in enumerate([(2, 4), (4, 2), (8, 1), (2, 8), (4, 4), (8, 2)]):
        robust = 40.0 + 3 * np.log2(views) + 5 * np.log2(views * epochs)
        params = {"num_views": views, "epochs": epochs, "adversary": "free", "view_scale_min": 0.1 + place / 100}
        study.complete(80.0, float(robust), 1.0, params)
    for views, epochs in ((8, 1), (16, 1), (8, 2)):
        params = {"num_views": views, "epochs": epochs, "adversary": "none", "view_scale_min": 0.3 + views / 100}
        study.complete(80.0, 2.0, 1.0, params)
    return tabulate(study.read())


def test_only_what_is_alike_in_all_else_and_costs_the_same_is_compared(new_study: NewStudy) -> None:
    traded = traded_at_equal_cost(crops_help(new_study), FIELDS)
    assert (traded.fixed, traded.loose, traded.num_left_out) == (("adversary",), ("view_scale_min",), 0)
    free, none = traded.settings.values()
    assert sorted(free["product"]) == [8, 8, 8, 16, 16, 16]
    assert sorted(none["factor_num_views"]) == [8, 16] and set(none["product"]) == {16}  # 8 x 1 costs like no other


def test_each_line_meets_its_cells_in_their_middle(new_study: NewStudy) -> None:
    table = crops_help(new_study)
    figure = traded_figure(table, table.metric("val_pgd_8"), traded_at_equal_cost(table, FIELDS))
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.name for trace in marks] == [f"num_views × epochs = {product}" for product in (8, 16, 16)]
    for line, mark in zip(lines, marks, strict=True):
        assert (line.x, line.y, line.yaxis) == (mark.x, mark.y, mark.yaxis)  # one configuration in each cell
        assert list(line.x) == sorted(line.x)
    assert np.diff(lines[0].y) == pytest.approx([3, 3], abs=1e-3)
    uids = [uid for trace in marks for uid in trace.customdata]
    assert len(set(uids)) == 8 and all(table.study.trials[uid].params["num_views"] in (2, 4, 8, 16) for uid in uids)


def test_cells_of_several_configurations_are_at_their_mean(new_study: NewStudy) -> None:
    study = new_study(factors=FACTORS)
    for views, epochs, scale, robust in ((2, 4, 0.1, 30.0), (4, 2, 0.2, 40.0), (4, 2, 0.3, 50.0), (2, 4, 0.4, 10.0),
                                         (8, 4, 0.5, 99.0)):  # fmt: skip
        params = {"num_views": views, "epochs": epochs, "view_scale_min": scale}
        study.complete(80.0, robust, 1.0, params)
    table = tabulate(study.read())
    line, marks = traded_figure(table, table.metric("val_pgd_8"), traded_at_equal_cost(table, FIELDS)).data
    assert (list(line.x), list(line.y)) == ([2, 4], [20, 45])
    assert (list(marks.y), len(marks.customdata)) == ([30, 10, 40, 50], 4)


def test_without_two_of_equal_cost_there_is_no_figure_but_a_reason(new_study: NewStudy) -> None:
    study = new_study(factors=FACTORS)
    for views, epochs, adversary in ((2, 4, "free"), (4, 2, "none"), (8, 2, "none")):
        params = {"num_views": views, "epochs": epochs, "adversary": adversary, "view_scale_min": 0.1}
        study.complete(80.0, 20.0, 1.0, params)
    (section,) = [one for one in sections_of(tabulate(study.read())) if one.title == "num_views against epochs"]
    assert not section.figures and "equal num_views × epochs" in section.missing and "adversary" in section.missing
