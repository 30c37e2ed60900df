"""What the figures draw, and what they leave out."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from written_studies import results

from reports.effects.learning_curves import learning_curves
from reports.effects.space_figures import traded_fields
from reports.front.axis import drawable_pairs
from reports.front.front_3d import three_objectives
from reports.front.front_figures import MAX_WITH_WHISKERS, front_figure
from reports.front.front_progress import attainment_figure, attainment_in, growth_figure, growth_of
from reports.page.sections import sections_of
from study.record.intervals import wilson_95
from study.record.trials import TrialTable, tabulate
from study.trainable import Metric
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

NewStudy = Callable[..., Any]
METRICS = {metric.name: metric for metric in ROBUST_SSL.metrics(TrialConfig())}
CLEAN, ROBUST, COST = METRICS["val_clean"], METRICS["val_pgd_8"], METRICS["train_pflop"]
REPORT = {"milestone": 10, "view_passes": 10, "val_clean": 99.0, "val_pgd_8": 98.0, "train_pflop": 0.002}


def fill(study: Any) -> None:
    """Three on the front, one behind it (in doubt), one stopped and one failed with the best numbers of all."""
    for clean, robust, pflop in ((90.0, 20.0, 0.001), (80.0, 40.0, 0.02), (70.0, 50.0, 0.05)):
        study.complete(clean, robust, pflop)
    study.complete(60.0, 10.0, 0.05, validity=["masked"])
    study.finish(study.start([REPORT]), "stopped", reason="rung 10")
    study.finish(study.start([REPORT]), "failed", reason="diverged\n at line 3")


@pytest.fixture
def table(new_study: NewStudy) -> TrialTable:
    study = new_study()
    fill(study)
    return tabulate(study.read())


def press(figure: go.Figure, button: int) -> dict[str, Any]:
    """The traces by name after a press, those in the legend alone left out."""
    pressed = go.Figure(figure)
    traces, layout = pressed.layout.updatemenus[0].buttons[button].args
    for index, trace in enumerate(pressed.data):
        # As plotly.js does: one entry of a list for each trace.
        trace.update({name.replace(".", "_"): values[index] for name, values in traces.items() if values[index] != []})
    pressed.update_layout(layout)
    return {trace.name: trace for trace in pressed.data if trace.visible in (True, None)}


def test_the_first_view_is_validation_with_the_staircase(table: TrialTable) -> None:
    figure = front_figure(table, CLEAN, ROBUST, color_by_cost=True)
    shown = press(figure, 0)
    assert list(shown) == [
        "front of these two",
        "behind, one seed",
        "front, one seed",
        "⚠ a check failed",
        "knee of the line",
    ]
    assert [trace.name for trace in figure.data if trace.visible is True] == list(shown)
    line, front = shown["front of these two"], shown["front, one seed"]
    assert (list(line.x), list(line.y), line.line.shape) == ([70, 80, 90], [50, 40, 20], "vh")
    assert sorted(front.x) == [70, 80, 90]
    assert list(shown["behind, one seed"].x) == list(shown["⚠ a check failed"].x) == [60]
    assert (
        figure.layout.yaxis.title.text
        == "validation robust accuracy,<br>PGD-20 (cross-entropy and margin) at 8/255 (%)"
    )


def test_the_second_view_is_test_at_its_own_place_and_intervals(table: TrialTable) -> None:
    figure = front_figure(table, CLEAN, ROBUST, color_by_cost=True)
    shown = press(figure, 1)
    assert "front of these two" not in shown
    front = shown["front, one seed"]
    assert list(front.x) == [89, 79, 69]
    assert front.error_x.array[1] == pytest.approx(82.79 - 79, abs=0.01)  # Wilson, 284 of 360 correct
    assert figure.layout.updatemenus[0].buttons[1].args[1]["xaxis.title.text"] == "test clean accuracy (%)"
    back = press(front_figure(table, CLEAN, ROBUST), 0)["front, one seed"]
    assert back.error_x.array[1] == pytest.approx(wilson_95(80.0, 144)[1] - 80, abs=1e-4)


def test_a_mean_of_seeds_has_its_spread_as_bar_and_its_own_name(new_study: NewStudy) -> None:
    study = new_study()
    for seed, clean in enumerate((70.0, 72.0, 77.0)):
        study.complete(clean, 40.0, 2.0, {"num_views": 4}, seed=seed)
    study.complete(90.0, 20.0, 3.0, {"num_views": 8})
    shown = press(front_figure(tabulate(study.read()), CLEAN, ROBUST), 0)
    several, one = shown["front, mean of seeds"], shown["front, one seed"]
    assert list(several.x) == [73.0] and list(several.error_x.array) == list(several.error_x.arrayminus) == [3.6056]
    assert (several.marker.symbol, one.marker.symbol) == ("diamond", "diamond-dot")
    assert "73.0 ± 3.6 (sd, 3 seeds)" in several.hovertext[0] and "90.0 [84.3, 94.1]" in one.hovertext[0]


def test_a_configuration_that_lost_a_seed_is_gray_and_on_no_line(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 90.0, 0.01, {"num_views": 4}, seed=0)
    study.finish(study.start(seed=1, num_views=4), "failed", reason="diverged")
    study.complete(70.0, 40.0, 0.02, {"num_views": 8}, seed=0)
    table = tabulate(study.read())
    shown = press(front_figure(table, CLEAN, ROBUST), 0)
    lost = shown["failed in a seed, mean of the others"]
    assert (
        list(lost.x) == [90]
        and "failed: 1 of its trials were stopped or failed, so it is on no front" in lost.hovertext[0]
    )
    assert list(shown["front of these two"].x) == list(shown["front, one seed"].x) == [70]
    in_space = three_objectives(table, table.objectives).data
    assert [(trace.name, len(trace.x)) for trace in in_space] == [
        ("behind the front", 0), ("on the front", 1), ("a seed failed or stopped", 1),
    ]  # fmt: skip
    (front,) = (section for section in sections_of(table) if section.title == "The front")
    assert "1 configurations failed or were stopped in a seed" in front.caption


def test_in_a_crowd_only_the_front_has_whiskers(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 90.0, 0.1)
    for _ in range(MAX_WITH_WHISKERS):
        study.complete(50.0, 50.0, 1.0)
    shown = press(front_figure(tabulate(study.read()), CLEAN, ROBUST), 0)
    assert shown["front, one seed"].error_x.array is not None and shown["behind, one seed"].error_x.array is None


def test_against_cost_the_staircase_rises_on_a_log_axis_in_a_fitting_unit(table: TrialTable) -> None:
    figure = front_figure(table, COST, ROBUST)
    line = press(figure, 0)["front of these two"]
    assert list(line.x) == pytest.approx([1, 20, 50, 50]) and list(line.y) == [20, 40, 50, 50]
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "training compute (TFLOP)")


def test_budgets_and_knee_are_marked(table: TrialTable) -> None:
    shown = press(front_figure(table, COST, ROBUST), 0)
    budgets = shown["best within a budget"]
    assert list(budgets.text) == ["≤ 1", "≤ 20", "≤ 50"] and list(budgets.y) == [20, 40, 50]
    assert "knee of the line" not in shown  # in decades of cost the second lies behind the line through the ends
    knee = press(front_figure(table, CLEAN, ROBUST), 1)["knee of the line"]
    assert (list(knee.x), list(knee.y)) == ([79], [39])  # chosen on validation, drawn where test has it


def test_stopped_and_failed_trials_wait_in_the_legend_and_are_on_no_line(table: TrialTable) -> None:
    for pair in ((CLEAN, ROBUST), (COST, CLEAN)):
        figure = front_figure(table, *pair)
        hidden = {trace.name: trace for trace in figure.data if trace.visible == "legendonly"}
        assert list(hidden) == ["stopped, not comparable", "failed, not comparable"]
        stopped = hidden["stopped, not comparable"]
        assert (
            stopped.marker.symbol == "circle-open" and "not comparable: this is its last report" in stopped.hovertext[0]
        )
        assert (stopped.x[0], stopped.y[0]) == ((99.0, 98.0) if pair[0] is CLEAN else (2.0, 99.0))
        visible = [list(trace.x) + list(trace.y) for trace in figure.data if trace.visible is True]
        assert visible and all(99.0 not in values and 98.0 not in values for values in visible)
        on_test = figure.layout.updatemenus[0].buttons[1].args[0]["visible"]
        assert "legendonly" not in on_test


def test_three_objectives_have_every_complete_configuration(table: TrialTable) -> None:
    shown = press(three_objectives(table, [CLEAN, ROBUST, COST]), 0)
    assert len(shown["behind the front"].x) == 1
    assert list(shown["on the front"].z) == pytest.approx(np.log10([1, 20, 50]), abs=1e-4)
    assert list(press(three_objectives(table, [CLEAN, ROBUST, COST]), 1)["on the front"].x) == [89, 79, 69]


def test_every_two_objectives_are_drawn_with_cost_across(table: TrialTable) -> None:
    pairs = drawable_pairs(table, [*table.objectives, Metric("val_pgd_2")])
    assert [(x.name, y.name) for x, y in pairs] == [
        ("val_clean", "val_pgd_8"), ("train_pflop", "val_clean"), ("train_pflop", "val_pgd_8"),
    ]  # fmt: skip


def test_growth_is_drawn_over_the_compute_of_all_trials(table: TrialTable) -> None:
    found = growth_of(table)
    assert found is not None
    line, complete, stopped, failed = growth_figure(table, found).data
    assert list(line.x) == pytest.approx([1, 21, 71, 121, 123, 125]) and len(complete.x) == 4
    assert list(stopped.x) == [123] and list(failed.x) == [125]


def test_attainment_is_one_line_a_level(new_study: NewStudy) -> None:
    study = new_study()
    for seed in range(3):
        study.complete(70.0 + seed, 40.0, 2.0, {"num_views": 4}, seed=seed)
        study.complete(80.0 + seed, 30.0, 3.0, {"num_views": 8}, seed=seed)
    table = tabulate(study.read())
    found = attainment_in(table, (COST, CLEAN))
    assert found is not None
    lines = attainment_figure(table, (COST, CLEAN), found).data
    assert [line.name for line in lines] == ["20% (1 of 3 seeds)", "50% (2 of 3 seeds)", "80% (3 of 3 seeds)"]
    assert [list(line.y) for line in lines] == [[72, 82, 82], [71, 81, 81], [70, 80, 80]]


def test_learning_curves_draw_stopped_trials_dashed(table: TrialTable) -> None:
    figure = learning_curves(table, [CLEAN, ROBUST])
    stopped = [trace for trace in figure.data if trace.name == "stopped early"]
    assert [(trace.line.dash, trace.y[0]) for trace in stopped] == [("dash", 99.0), ("dash", 98.0)]
    assert all(trace.line.dash is None for trace in figure.data if trace.name.startswith("complete"))


def test_hover_says_all_one_thing_a_line(table: TrialTable) -> None:
    front = press(front_figure(table, CLEAN, ROBUST, color_by_cost=True), 0)["front, one seed"]
    lines = front.hovertext[0].split("<br>")
    assert lines[0] == "trial t000, on the front"
    assert "num_views = –" in lines
    assert "validation clean accuracy (%): 90.0 [84.3, 94.1], n=144" in lines
    assert "training compute: 1 TFLOP" in lines
    assert lines[-1] == "python -m trainables.run_trial --preset laptop --set epochs=1"


def test_hover_escapes_what_plotly_would_read_as_markup(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0, {"kind": "<b>crop</b>", "eval_autoattack_samples": 50}, test_aa_8=12.0)
    study.finish(study.start([REPORT]), "stopped", reason="<i>rung</i>")
    table = tabulate(study.read())
    figure = front_figure(table, CLEAN, ROBUST)
    text = press(figure, 0)["front, one seed"].hovertext[0]
    assert "kind = &lt;b&gt;crop&lt;/b&gt;" in text and "test robust accuracy, AutoAttack at 8/255 (%): 12.0" in text
    assert "&lt;i&gt;rung" in learning_curves(table, [CLEAN]).data[0].hovertext[0]
    assert "&lt;i&gt;rung" in figure.data[-1].hovertext[0]


@pytest.mark.parametrize(("levels", "expected"), [(("from", "to"), None), ((2, 4), ("num_views", "epochs"))])
def test_levels_of_an_ablation_are_not_traded_against_each_other(
    new_study: NewStudy, levels: tuple[Any, Any], expected: tuple[str, str] | None
) -> None:
    study = new_study(factors=[{"name": "num_views"}, {"name": "epochs"}])
    for number, (views, epochs) in enumerate(itertools.product(levels, levels)):
        params, config = {"num_views": views, "epochs": epochs}, TrialConfig(**LAPTOP).model_dump(mode="json")
        study.journal.write("proposed", uid=f"t{number}", number=number, params=params, config=config)
        study.finish(f"t{number}", "complete", results(80.0, 40.0, 1.0))
    assert traded_fields(tabulate(study.read())) == expected
