"""Reports of trainables that have little in common with robust training, known by what their journal says of them."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.build import build_report
from reports.effects.importance import importances
from reports.front.axis import splits_of
from reports.front.front_progress import growth_of
from reports.front.front_sections import front_sections
from reports.page.sections import sections_of
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]
LOSS = {"name": "loss", "direction": "minimize", "label": "squared error"}
SIZE = {"name": "size", "direction": "minimize", "kind": "number", "unit": "MB"}
HOURS = {"name": "hours", "direction": "minimize", "label": "time", "kind": "cost", "is_clocked": True,
         "units": [[1.0, "h"], [1 / 60, "min"]]}  # fmt: skip
FACTORS = [{"name": "depth"}, {"name": "width"}]


def study_of(new_study: NewStudy, metrics: list[dict[str, Any]], objectives: list[str], seeds: int = 3) -> Any:
    """Deeper is better and dearer, wider is bigger; one trial failed and one was stopped."""
    named = [{"name": item["name"], "direction": item["direction"]} for item in metrics if item["name"] in objectives]
    study = new_study(trainable="nowhere:TO_BE_FOUND", metrics=metrics, objectives=named, factors=FACTORS, base={})
    names = [item["name"] for item in metrics]
    for depth, width, seed in ((d, w, s) for d in (1, 2, 4) for w in (8, 16) for s in range(seeds)):
        values = {"loss": 2.0 / depth + 0.01 * seed + 0.1 / width, "size": 1.5 * width * depth, "hours": 0.1 * depth}
        uid = study.start([{"milestone": 1, "steps": 1, "loss": 3.0}], seed=seed, depth=depth, width=width)
        study.finish(uid, "complete", {name: values[name] for name in names})
    study.finish(study.start(depth=8, width=8), "failed", reason="diverged")
    study.finish(study.start([{"milestone": 1, "steps": 1, "loss": 0.001}], depth=9, width=8), "stopped", reason="rung")
    return study


def table_of(*arguments: Any) -> TrialTable:
    return tabulate(study_of(*arguments).read())


@pytest.mark.parametrize(("metrics", "x_title"), [([LOSS, HOURS], "time (h), all trials so far"),
                                                  ([LOSS], "trials that ended")])  # fmt: skip
def test_one_objective_has_the_best_so_far_and_no_front(
    new_study: NewStudy, metrics: list[dict[str, Any]], x_title: str
) -> None:
    table = table_of(new_study, metrics, ["loss"])
    best, bought = front_sections(table)
    assert best.figures == {} and list(best.tables[0].data["depth"][:2]) == [4, 4]
    assert best.tables[0].text["configuration"][0] == "depth 4 · width 16"
    assert best.tables[0].data["loss"][0] == pytest.approx(0.51625) and best.tables[0].data["loss_sd"][0] == 0.01
    figure = bought.figures["best_so_far"]
    assert figure.layout.annotations[0].text == "best squared error" and figure.layout.xaxis.title.text == x_title
    line = figure.data[0]
    assert line.y[0] == pytest.approx(2.0125) and min(line.y) == pytest.approx(0.50625)
    assert line.y[-1] == pytest.approx(0.51625), "the other seeds are a little worse"
    assert line.x[-1] == (pytest.approx(4.2) if len(metrics) > 1 else 20)


def test_one_objective_to_be_maximised(new_study: NewStudy) -> None:
    table = table_of(new_study, [LOSS | {"direction": "maximize"}], ["loss"])
    growth = growth_of(table)
    assert growth is not None and growth.frame["best"].max() == pytest.approx(2.0225)
    assert (growth.frame["best"].diff().dropna() >= -1e-9).all() and growth.cost is None


@pytest.mark.parametrize("seeds", [1, 5])
def test_two_numbers_have_a_front_without_buttons_or_costs(new_study: NewStudy, seeds: int) -> None:
    table = table_of(new_study, [LOSS, SIZE], ["loss", "size"], seeds)
    assert table.cost is None and splits_of(table, table.objectives) == ["val"]
    sections = {section.title: section for section in front_sections(table)}
    (figure,) = sections["Squared error against size"].figures.values()
    assert not figure.layout.updatemenus
    assert (figure.layout.xaxis.title.text, figure.layout.annotations[0].text) == ("squared error", "size (MB)")
    line = next(trace for trace in figure.data if trace.name == "front of these two")
    assert list(line.y) == [96, 48, 24, 12, 12], "the narrow ones, the deepest wide one, and the edge to the right"
    text = sections["The front"].exports[0].text
    assert {"squared error", "size (MB)"} <= set(text) and "Wilson" not in sections["The front"].exports[0].title
    attained = sections["What a share of the seeds attains"]
    assert bool(attained.figures) == (seeds == 5) and bool(attained.missing) == (seeds == 1)


@pytest.mark.parametrize("objectives", [["loss"], ["loss", "size"], ["loss", "hours"], ["loss", "size", "hours"]])
@pytest.mark.parametrize("metrics", [[LOSS, SIZE, HOURS], [LOSS, SIZE]])
def test_every_section_can_be_made(new_study: NewStudy, metrics: list[dict[str, Any]], objectives: list[str]) -> None:
    names = [item["name"] for item in metrics]
    study = study_of(new_study, metrics, [name for name in objectives if name in names])
    titles = [section.title for section in sections_of(tabulate(study.read()))]
    assert "What mattered" in titles and "Explore all trials" in titles and "All trials" in titles
    assert build_report(study.study_dir).is_file()


def test_what_was_selected_on_test_is_drawn_there_first(new_study: NewStudy) -> None:
    study = new_study(objectives=[{"name": name, "direction": "maximize"} for name in ("test_clean", "test_pgd_8")])
    study.complete(70.0, 30.0, 1.0)
    study.complete(80.0, 20.0, 1.0)
    table = tabulate(study.read())
    assert splits_of(table, table.objectives) == ["test", "val"]
    figure = next(iter(front_sections(table)[0].figures.values()))
    assert list(figure.data[0].x) == [69, 79] and figure.layout.xaxis.title.text == "test clean accuracy (%)"


def test_factors_whose_values_are_lists(new_study: NewStudy) -> None:
    study = new_study(trainable="nowhere:TO_BE_FOUND", metrics=[LOSS], objectives=[LOSS], factors=FACTORS, base={})
    for depth, width, seed in ((d, w, s) for d in (1, 2, 4) for w in ([8], [8, 16]) for s in range(5)):
        uid = study.start(seed=seed, depth=depth, width=width)
        study.finish(uid, "complete", {"loss": 10 * len(width) + 0.1 * seed / depth})
    table = tabulate(study.read())
    shown = next(one for one in sections_of(table) if one.title == "Parallel coordinates").figures
    assert {"[8] ", "[8, 16] "} <= set(shown["parallel_coordinates"].data[-1].text)
    (found,) = importances(table)
    assert found.factors["fANOVA"].idxmax() == "width"


def test_a_cost_that_some_did_not_report_leaves_their_marks_without_colour(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(70.0, 30.0, 1.0)
    study.complete(80.0, 20.0, 1.0, train_pflop=None)
    figure = next(iter(front_sections(tabulate(study.read()))[0].figures.values()))
    colors = [color for trace in figure.data if trace.customdata for color in trace.marker.color]
    assert len(colors) == 2 and 1.0 in colors
