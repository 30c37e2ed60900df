"""What the figures draw, and what they leave out."""

import html
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from written_studies import results

from reports.effects.curve_figures import curves_figure
from reports.effects.learning_curves import curves_info
from reports.effects.traded_figure import traded_fields
from reports.front.axis import drawable_pairs
from reports.front.front_figures import front_figure
from reports.front.front_labels import MAX_LABELLED
from reports.front.front_progress import attainment_figure, attainment_in, growth_figure, growth_of
from reports.front.front_sections import front_sections
from reports.page.export import image_views
from reports.page.figure_style import GRAY, VERMILLION
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
    """The marks and lines by name after a press, without entries of the legend alone."""
    pressed = go.Figure(figure)
    traces, layout = pressed.layout.updatemenus[0].buttons[button].args
    for index, trace in enumerate(pressed.data):
        # As plotly.js does: one entry of a list for each trace.
        trace.update({name.replace(".", "_"): values[index] for name, values in traces.items() if values[index] != []})
    pressed.update_layout(layout)
    return {trace.name: trace for trace in pressed.data if trace.visible in (True, None) and trace.x != (None,)}


def legend(figure: go.Figure) -> list[str]:
    """The entries of the legend in the first view."""
    return [trace.name for trace in figure.data if trace.visible in (True, None) and trace.showlegend is not False]


def labels(figure: go.Figure, button: int = 0) -> dict[str, Any]:
    """Visible annotations by text after a press, without the titles."""
    found = figure.layout.updatemenus[0].buttons[button].args[1]["annotations"]
    return {label["text"]: label for label in found if label["visible"] and label["showarrow"]}


def test_the_first_view_is_validation_with_the_staircase(table: TrialTable) -> None:
    figure = front_figure(table, CLEAN, ROBUST, color_by_cost=True)
    shown = press(figure, 0)
    assert list(shown) == ["front of these two", "⚠ a check failed", "on the front"]
    assert legend(figure) == list(shown)
    line, front = shown["front of these two"], shown["on the front"]
    assert (list(line.x), list(line.y), line.line.shape) == ([70, 80, 90], [50, 40, 20], "vh")
    assert sorted(front.x) == [70, 80, 90] and list(shown["⚠ a check failed"].x) == [60]
    title = "validation robust accuracy,<br>PGD-20 (cross-entropy and margin) at 8/255 (%)"
    assert figure.layout.annotations[0].text == title


def test_marks_name_their_configurations_and_legends_have_no_numbers_for_colours(table: TrialTable) -> None:
    figure = front_figure(table, CLEAN, ROBUST, color_by_cost=True)
    marks = [trace for trace in figure.data if trace.customdata is not None]
    assert [list(trace.customdata) for trace in marks] == [["t003"], ["t000", "t001", "t002"]]
    assert all(len(trace.customdata) == len(trace.x) for trace in marks)
    assert list(marks[1].marker.color) == pytest.approx([0, 1.301, 1.699], abs=1e-3)  # log10 of TFLOP
    named = [trace for trace in figure.data if trace.showlegend is not False and trace.mode == "markers"]
    assert [trace.marker.color for trace in named] == [VERMILLION, GRAY]  # plotly.js warns of a number there


def test_the_second_view_is_test_at_its_own_place_and_intervals(table: TrialTable) -> None:
    figure = front_figure(table, CLEAN, ROBUST, color_by_cost=True)
    shown = press(figure, 1)
    assert "front of these two" not in shown
    front = shown["on the front"]
    assert list(front.x) == [89, 79, 69]
    assert front.error_x.array[1] == pytest.approx(82.79 - 79, abs=0.01)  # Wilson, 284 of 360 correct
    layout = figure.layout.updatemenus[0].buttons[1].args[1]
    assert layout["xaxis.title.text"] == "test clean accuracy (%)"
    assert layout["annotations"][0]["text"].startswith("test robust accuracy,")
    back = press(front_figure(table, CLEAN, ROBUST), 0)["on the front"]
    assert back.error_x.array[1] == pytest.approx(wilson_95(80.0, 144)[1] - 80, abs=1e-4)


def test_a_mean_of_seeds_has_its_spread_as_bar_and_one_seed_a_dot(new_study: NewStudy) -> None:
    study = new_study()
    for seed, clean in enumerate((70.0, 72.0, 77.0)):
        study.complete(clean, 40.0, 2.0, {"num_views": 4}, seed=seed)
    study.complete(90.0, 20.0, 3.0, {"num_views": 8})
    front = press(front_figure(tabulate(study.read()), CLEAN, ROBUST), 0)["on the front"]
    assert list(front.x) == [73.0, 90.0] and list(front.customdata) == ["t000", "t003"]
    assert front.error_x.array[0] == front.error_x.arrayminus[0] == 3.6056
    assert list(front.marker.symbol) == ["diamond", "diamond-dot"]
    assert "73.0 ± 3.6" in front.hovertext[0] and "90.0 [84.3, 94.1]" in front.hovertext[1]


def test_a_configuration_that_lost_a_seed_is_gray_and_on_no_line(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 90.0, 0.01, {"num_views": 4}, seed=0)
    study.finish(study.start(seed=1, num_views=4), "failed", reason="diverged")
    study.complete(70.0, 40.0, 0.02, {"num_views": 8}, seed=0)
    table = tabulate(study.read())
    shown = press(front_figure(table, CLEAN, ROBUST), 0)
    lost = shown["lost a seed"]
    assert list(lost.x) == [90] and "on no front: ⚠ 1 failed" in lost.hovertext[0]
    assert list(shown["front of these two"].x) == list(shown["on the front"].x) == [70]
    (front,) = (section for section in sections_of(table) if section.title == "The front")
    assert "Kept off the front: 1 that lost a seed" in front.caption


def test_against_cost_the_staircase_rises_on_a_log_axis_in_a_fitting_unit(table: TrialTable) -> None:
    figure = front_figure(table, COST, ROBUST)
    line = press(figure, 0)["front of these two"]
    assert list(line.x[:3]) == pytest.approx([1, 20, 50]) and list(line.y) == [20, 40, 50, 50]
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "training compute (TFLOP)")
    low, high = figure.layout.xaxis.range
    assert low < 0 and 10**high == pytest.approx(line.x[3], rel=1e-3), "the line ends at the edge"


def test_members_and_budgets_have_labels(table: TrialTable) -> None:
    figure = front_figure(table, COST, ROBUST)
    texts = ["t000<br>≤ 1", "t001<br>≤ 20", "t002<br>≤ 50"]
    assert list(labels(figure)) == texts
    assert labels(figure)[texts[1]]["x"] == pytest.approx(np.log10(20), abs=1e-4), "annotations lie at logarithms"


def test_the_knee_of_all_objectives_is_the_same_in_every_figure(new_study: NewStudy) -> None:
    study = new_study()
    for clean, robust in ((90.0, 20.0), (85.0, 45.0), (70.0, 50.0), (60.0, 52.0)):
        study.complete(clean, robust, 0.1)
    table = tabulate(study.read())
    figure = front_figure(table, CLEAN, ROBUST)
    assert list(labels(figure)) == list(labels(figure, 1)) == ["t001<br>knee", "t000", "t002", "t003"]
    knee = labels(figure, 1)["t001<br>knee"]
    assert (knee["x"], knee["y"]) == (84, 44)  # chosen on validation, drawn where test has it
    assert "t001<br>knee" in labels(front_figure(table, COST, CLEAN))


def test_of_a_large_front_only_notable_members_have_labels(new_study: NewStudy) -> None:
    study = new_study()
    for step in range(MAX_LABELLED + 1):
        study.complete(50.0 + step, 50.0 - step - step**2 / 50, 1.0)
    found = labels(front_figure(tabulate(study.read()), CLEAN, ROBUST))
    assert [text.partition("<br>")[2] for text in found] == ["knee"]


def far_study(new_study: NewStudy) -> Any:
    """A front in 3 points of clean accuracy, ten near it, and one collapsed trial far away, but for its test value."""
    study = new_study()
    for step in range(4):
        study.complete(90.0 + step, 60.0 - step, 0.02)
    for step in range(6):
        study.complete(89.0 + step / 4, 50.0 + step, 0.03)
    study.complete(10.0, 52.0, 0.03, test_clean=92.0)
    return study


def test_a_collapsed_trial_is_an_arrow_at_the_edge_with_its_value(new_study: NewStudy) -> None:
    figure = front_figure(tabulate(far_study(new_study).read()), CLEAN, ROBUST)
    low, high = figure.layout.xaxis.range
    assert low > 80 and high < 100
    behind = press(figure, 0)["behind the front"]
    place = list(behind.customdata).index("t010")
    assert behind.marker.symbol[place] == "triangle-left" and low < behind.x[place] < low + 0.03 * (high - low)
    assert set(behind.marker.symbol) == {"triangle-left", "circle-dot"}
    assert "val clean (%): 10.0" in behind.hovertext[place]
    assert labels(figure)["10"]["x"] == pytest.approx(behind.x[place], abs=1e-3)
    assert "beyond the axes: 1" in legend(figure)
    on_test = press(figure, 1)["behind the front"]
    assert on_test.x[place] == 92 and set(on_test.marker.symbol) == {"circle-dot"}
    buttons = figure.layout.updatemenus[0].buttons
    assert len(buttons[0].args[1]["annotations"]) == len(buttons[1].args[1]["annotations"])


def test_an_image_for_a_paper_has_the_arrow_of_its_split(new_study: NewStudy) -> None:
    views = image_views("front", front_figure(tabulate(far_study(new_study).read()), CLEAN, ROBUST))
    texts = {name: [label.text for label in view.layout.annotations if label.visible] for name, view in views.items()}
    assert "10" in texts["front"] and "10" not in texts["front_test"] and "t000" in texts["front_test"]


def test_every_two_objectives_are_drawn_with_cost_across(table: TrialTable) -> None:
    pairs = drawable_pairs(table, [*table.objectives, Metric("val_pgd_2")])
    assert [(x.name, y.name) for x, y in pairs] == [
        ("val_clean", "val_pgd_8"), ("train_pflop", "val_clean"), ("train_pflop", "val_pgd_8"),
    ]  # fmt: skip


def test_growth_is_drawn_over_the_compute_of_all_trials(table: TrialTable) -> None:
    found = growth_of(table)
    assert found is not None
    line, complete, stopped, failed = growth_figure(table, found).data
    assert list(line.x) == pytest.approx([1, 21, 71, 125]) and len(complete.x) == 4  # where it turns, and the ends
    assert list(stopped.x) == [123] and list(failed.x) == [125] and list(stopped.customdata) == ["t004"]


def test_attainment_is_one_line_a_level(new_study: NewStudy) -> None:
    study = new_study()
    for seed in range(5):
        study.complete(70.0 + seed, 40.0, 2.0, {"num_views": 4}, seed=seed)
        study.complete(80.0 + seed, 30.0, 3.0, {"num_views": 8}, seed=seed)
    table = tabulate(study.read())
    found = attainment_in(table, (COST, CLEAN))
    assert found is not None
    lines = attainment_figure(table, (COST, CLEAN), found).data
    assert [line.name for line in lines] == ["20% (1 of 5 seeds)", "50% (3 of 5 seeds)", "80% (4 of 5 seeds)"]
    assert [list(line.y) for line in lines] == [[74, 84, 84], [72, 82, 82], [71, 81, 81]]


def test_what_is_missing_is_said_instead_of_drawn(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    sections = {section.title: section for section in front_sections(tabulate(study.read()))}
    assert {title for title, section in sections.items() if section.missing} == set(sections) - {"The front"}
    assert len(sections) == 5 and not any(section.figures for section in sections.values())


def test_learning_curves_draw_stopped_trials_dashed(table: TrialTable) -> None:
    figures = [curves_figure(table, measured) for measured in curves_info(table, {})]
    drawn = [trace for figure in figures for trace in figure.data]
    stopped = [trace for trace in drawn if trace.name == "stopped early"]
    assert [(trace.line.dash, trace.y[0]) for trace in stopped] == [("dash", 99.0), ("dash", 98.0)]
    others = [trace for trace in drawn if trace.name in ("complete", "on the front")]
    assert len(others) == 8 and all(trace.line.dash is None for trace in others), "a result is a point of its own"


def test_hover_says_name_recipe_and_the_shown_values(table: TrialTable) -> None:
    front = press(front_figure(table, CLEAN, ROBUST, color_by_cost=True), 0)["on the front"]
    assert front.hovertext[0].split("<br>") == [
        "t000, on the front",
        "1 epoch",
        "val clean (%): 90.0 [84.3, 94.1]",
        "test clean (%): 89.0 [85.2, 91.7]",
        "val PGD-20 at 8/255 (%): 20.0 [14.4, 27.4]",
        "test PGD-20 at 8/255 (%): 19.0 [15.2, 23.3]",
    ]


def test_hover_escapes_what_plotly_would_read_as_markup(new_study: NewStudy) -> None:
    study = new_study(factors=[{"name": "<b>kind"}])
    study.complete(90.0, 20.0, 1.0, {"<b>kind": "<i>crop " * 30})
    study.finish(study.start([REPORT]), "stopped", reason="<i>rung</i>")
    table = tabulate(study.read())
    text = press(front_figure(table, CLEAN, ROBUST), 0)["on the front"].hovertext[0]
    assert "&lt;b&gt;kind &lt;i&gt;crop" in text and "<b>" not in text and "<i>" not in text
    lines = text.split("<br>")
    assert len(lines) == 6 and max(len(html.unescape(line)) for line in lines) <= 60
    (stopped, *_) = curves_figure(table, curves_info(table, {})[0]).data
    assert stopped.customdata == ("t001",) and stopped.hovertemplate.startswith("t001, stopped early<br>")
    assert "&lt;b&gt;kind" in curves_figure(table, curves_info(table, {})[0]).data[1].hovertemplate


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
