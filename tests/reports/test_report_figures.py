"""What the figures draw, and what they leave out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from reports.figures import three_measures, trade_off
from reports.learning_curves import learning_curves
from reports.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]


@pytest.fixture
def table(new_study: NewStudy) -> TrialTable:
    """Three on the front, one behind it (in doubt), one stopped with the best numbers of all."""
    study = new_study()
    for clean, robust, pflop in ((90.0, 20.0, 0.001), (80.0, 40.0, 0.02), (70.0, 50.0, 0.05)):
        study.complete(clean, robust, pflop)
    study.complete(60.0, 10.0, 0.05, validity=["masked"])
    report = {"milestone": 10, "view_passes": 10, "val_clean": 99.0, "val_pgd_8": 98.0}
    study.finish(study.start([report]), "stopped", reason="rung 10")
    return tabulate(study.read())


def press(figure: go.Figure, button: int) -> list[go.Scatter]:
    """The traces that are visible after a press."""
    visible = figure.layout.updatemenus[0].buttons[button].args[0]["visible"]
    return [trace for trace, is_visible in zip(figure.data, visible, strict=True) if is_visible]


def test_the_first_view_is_validation_with_the_staircase(table: TrialTable) -> None:
    figure = trade_off(table, "val_clean", "val_pgd_8", color_by_cost=True)
    line, others, front, doubt = press(figure, 0)
    assert [trace for trace in figure.data if trace.visible] == [line, others, front, doubt]
    assert (list(line.x), list(line.y), line.line.shape) == ([70, 80, 90], [50, 40, 20], "vh")
    assert sorted(front.x) == [70, 80, 90] and list(others.x) == list(doubt.x) == [60]
    assert front.error_x.array is None
    assert figure.layout.yaxis.title.text == "validation robust accuracy, PGD-20 at 8/255 (%)"


def test_the_second_view_is_test_with_wilson_intervals(table: TrialTable) -> None:
    figure = trade_off(table, "val_clean", "val_pgd_8", color_by_cost=True)
    _, front, _ = press(figure, 1)
    assert list(front.x) == [89, 79, 69]
    assert front.error_x.array[1] == pytest.approx(82.79 - 79, abs=0.01)  # 284 of 360 correct
    assert figure.layout.updatemenus[0].buttons[1].args[1]["xaxis.title.text"] == "test clean accuracy (%)"


def test_against_cost_the_staircase_rises_on_a_log_axis_in_a_fitting_unit(table: TrialTable) -> None:
    figure = trade_off(table, "train_pflop", "val_pgd_8", color_by_cost=False)
    line = press(figure, 0)[0]
    assert list(line.x) == pytest.approx([1, 20, 50, 50]) and list(line.y) == [20, 40, 50, 50]
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "training compute (TFLOP)")


def test_no_figure_of_results_draws_a_stopped_trial(table: TrialTable) -> None:
    figures = [
        trade_off(table, "val_clean", "val_pgd_8", color_by_cost=True),
        trade_off(table, "train_pflop", "val_clean", color_by_cost=False),
        three_measures(table, "val_clean", "val_pgd_8", "train_pflop"),
    ]
    for figure in figures:
        assert len(figure.data) > 0
        assert all(98.0 not in trace.y and 99.0 not in trace.y for trace in figure.data)
        assert not any("t004" in text for trace in figure.data for text in trace.hovertext or [])


def test_three_measures_has_all_complete_trials(table: TrialTable) -> None:
    others, front = press(three_measures(table, "val_clean", "val_pgd_8", "train_pflop"), 0)
    assert len(others.x) == 1
    assert list(front.z) == pytest.approx(np.log10([1, 20, 50]))


def test_learning_curves_draw_stopped_trials_dashed(table: TrialTable) -> None:
    figure = learning_curves(table, ["val_clean", "val_pgd_8"])
    stopped = [trace for trace in figure.data if trace.name == "stopped early"]
    assert [(trace.line.dash, trace.y[0]) for trace in stopped] == [("dash", 99.0), ("dash", 98.0)]
    assert all(trace.line.dash is None for trace in figure.data if trace.name.startswith("complete"))


def test_hover_says_all_one_thing_a_line(table: TrialTable) -> None:
    front = press(trade_off(table, "val_clean", "val_pgd_8", color_by_cost=True), 0)[2]
    lines = front.hovertext[0].split("<br>")
    assert lines[0] == "trial t000, on the front"
    assert "num_views = –" in lines
    assert "validation clean accuracy (%): 90.0 [84.3, 94.1], n=144" in lines
    assert "training compute: 1 TFLOP" in lines


def test_hover_escapes_what_plotly_would_read_as_markup(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0, {"kind": "<b>crop</b>"}, test_aa_8=12.0)
    report = {"milestone": 10, "view_passes": 10, "val_clean": 50.0, "val_pgd_8": 9.0}
    study.finish(study.start([report]), "stopped", reason="<i>rung</i>")
    table = tabulate(study.read())
    text = press(trade_off(table, "val_clean", "val_pgd_8", color_by_cost=False), 0)[2].hovertext[0]
    assert "kind = &lt;b&gt;crop&lt;/b&gt;" in text and "test robust accuracy, AutoAttack at 8/255 (%): 12.0" in text
    assert "&lt;i&gt;rung" in learning_curves(table, ["val_clean"]).data[0].hovertext[0]
