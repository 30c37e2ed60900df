"""What figures, tables and captions of the front say of a region of interest and of a plateau."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.front.front_figures import front_figure
from reports.front.front_marks import best_within_budgets, knee_of
from reports.front.front_sections import front_sections
from reports.front.front_tables import sorted_front
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]
OBJECTIVES = [
    {"name": "val_clean", "direction": "maximize"},
    {"name": "train_pflop", "direction": "minimize"},
]
BOUNDED = [OBJECTIVES[0] | {"at_least": 70}, OBJECTIVES[1] | {"at_most": 12}]
POINTS = [(40.0, 0.1), (60.0, 1.0), (75.0, 3.0), (85.0, 4.0), (88.0, 10.0), (95.0, 100.0), (50.0, 50.0)]
PLATEAU = {"kind": "Search", "trials": 9, "budget": {"plateau": {"configurations": 3, "gain": 0.5}}}


def table_of(new_study: NewStudy, **changes: Any) -> TrialTable:
    study = new_study(**({"objectives": OBJECTIVES} | changes))
    for number, (clean, cost) in enumerate(POINTS):
        study.complete(clean, 30.0, cost, {"num_views": 2, "epochs": number + 1})
    return tabulate(study.read())


def traces(table: TrialTable) -> dict[str, Any]:
    cost, clean = table.metric("train_pflop"), table.metric("val_clean")
    return {trace.name: trace for trace in front_figure(table, cost, clean).data if trace.x and trace.x[0] is not None}


def test_marks_outside_are_told_apart_and_the_edge_is_drawn(new_study: NewStudy) -> None:
    drawn = traces(table_of(new_study, objectives=BOUNDED))
    edge = drawn["region of interest"]
    assert list(edge.x)[:2] == [12, 12] and list(edge.y)[1:] == [70, 70] and edge.x[2] < 0.1 < 95 <= edge.y[0]
    assert sorted(drawn["on the front"].customdata) == ["t002", "t003", "t004"]
    assert sorted(drawn["on the front, outside the region"].customdata) == ["t000", "t001", "t005"]
    drawn = traces(table_of(new_study))
    assert len(drawn["on the front"].customdata) == 6
    assert not {"region of interest", "on the front, outside the region"} & set(drawn)


@pytest.mark.parametrize("bounded", OBJECTIVES, ids=lambda one: one["name"])
def test_one_bound_is_a_straight_edge(new_study: NewStudy, bounded: dict[str, Any]) -> None:
    objectives = [BOUNDED[place] if one == bounded else one for place, one in enumerate(OBJECTIVES)]
    edge = traces(table_of(new_study, objectives=objectives))["region of interest"]
    assert len(edge.x) == 2 and (edge.x[0] == edge.x[1] == 12) != (edge.y[0] == edge.y[1] == 70)


def test_notable_members_are_chosen_inside(new_study: NewStudy) -> None:
    table = table_of(new_study, objectives=BOUNDED)
    cost, clean = table.metric("train_pflop"), table.metric("val_clean")
    uids = table.configurations["uid"]
    knee = knee_of(table.configurations, table.objectives)
    assert knee is not None and uids[knee] == "t003"
    assert set(uids[best_within_budgets(table.configurations, clean, cost)["row"]]) == {"t003", "t004"}
    assert sorted_front(table)["uid"].tolist() == ["t004", "t003", "t002", "t005", "t001", "t000"]
    (front,) = [section for section in front_sections(table) if section.title == "The front"]
    assert "In the region of interest (val_clean >= 70, train_pflop <= 12): 3;" in front.caption
    nothing = table_of(new_study, objectives=[BOUNDED[0] | {"at_least": 99}, OBJECTIVES[1]])
    assert knee_of(nothing.configurations, nothing.objectives) is None
    assert best_within_budgets(nothing.configurations, clean, cost).empty


def test_the_growth_says_whether_the_front_still_moves(new_study: NewStudy) -> None:
    def caption(**changes: Any) -> str:
        sections = front_sections(table_of(new_study, **changes))
        return next(section.caption for section in sections if section.title == "What the search bought")

    assert "over the last 3 complete configurations; it no longer moves, below 50%." in caption(design=PLATEAU)
    assert "complete configurations" not in caption()
