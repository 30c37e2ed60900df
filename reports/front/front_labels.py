"""The labels of a front's figure: its members by name, the knee, and the best within a budget."""

import html
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.front.axis import Axis
from reports.front.front_layout import plot_sizes
from reports.front.front_marks import best_within_budgets, knee_of
from reports.front.label_places import MARK_RADIUS, Offset, label_places
from reports.front.robust_axis import DrawnAxis
from reports.page.figure_style import GRAY
from study.record.measures import short_number

Floats = npt.NDArray[np.float64]
POINTS_OF_A_PIECE = 25
HIDDEN = {"text": "", "visible": False}
MAX_LABELLED = 12  # members of a front; of a larger one only the notable members have a label


def label_texts(rows: pd.DataFrame, x: Axis, y: Axis) -> dict[int, str]:
    """Position of a configuration -> its label, notable ones first: 't0003 knee', 't0005 ≤ 200' (best for 200).

    The knee is that of the front of all objectives, the same in every figure.
    """
    notes: dict[int, list[str]] = {}
    knee = knee_of(rows, x.table.objectives)
    if knee is not None:
        notes[knee] = ["knee"]
    if x.metric.is_cost and not x.metric.maximise and not y.metric.is_cost:
        for budget, row in best_within_budgets(rows, y.metric, x.metric).itertuples(index=False):
            notes.setdefault(int(row), []).append(f"≤ {short_number(budget / x.scale.size)}")
    members = np.flatnonzero(rows["on_front"] & ~rows["is_lost"])
    if len(members) <= MAX_LABELLED:
        notes |= {int(member): [] for member in members if member not in notes}
    return {row: "<br>".join([html.escape(rows["uid"].iloc[row]), *words]) for row, words in notes.items()}


def front_labels(
    x: DrawnAxis, y: DrawnAxis, texts: dict[int, str], strokes: Floats, plot_height: int
) -> list[dict[str, Any]]:
    """The labels as annotations of a layout: one for each of ``texts``, invisible if there is no place for it.

    Args:
        x, y: where all configurations are drawn.
        texts: position of a configuration -> its label, in the order in which they choose their places.
        strokes: coordinates of points along lines that are better not written upon (points, 2).
    """
    marks = shares(x, y, np.column_stack([x.coordinates, y.coordinates]))
    drawn = np.all(np.isfinite(marks), axis=1)
    rows = [row for row in texts if drawn[row]]
    lines = shares(x, y, strokes)
    labels = [texts[row] for row in rows]
    places = label_places(marks[rows], marks[drawn], lines[np.all(np.isfinite(lines), axis=1)], labels,
                          plot_sizes(plot_height))  # fmt: skip
    found = dict(zip(rows, places, strict=True))
    return [_annotation(text, x.coordinates[row], y.coordinates[row], found.get(row)) for row, text in texts.items()]


def shares(x: DrawnAxis, y: DrawnAxis, coordinates: Floats) -> Floats:
    """Coordinates (points, 2) in shares of the lengths of the axes."""
    low, high = np.array([x.limits, y.limits]).T
    return (coordinates - low) / (high - low)


def along(ends: Floats) -> Floats:
    """Points along straight pieces of lines, given as their ends (pieces, 2, 2)."""
    steps = np.linspace(0, 1, POINTS_OF_A_PIECE)[:, None]
    return (ends[:, None, 0] * (1 - steps) + ends[:, None, 1] * steps).reshape(-1, 2)


def _annotation(text: str, x: float, y: float, place: Offset | None) -> dict[str, Any]:
    """A label on a thin line to its mark, at coordinates of the axes (logarithms on a logarithmic axis)."""
    if place is None:
        return HIDDEN | {"text": text}
    return {
        "text": text, "visible": True, "x": round(float(x), 5), "y": round(float(y), 5), "showarrow": True,
        "ax": place[0], "ay": -place[1], "arrowhead": 0, "arrowwidth": 0.8, "arrowcolor": GRAY,
        "standoff": MARK_RADIUS, "font": {"size": 11}, "borderpad": 0,
    }  # fmt: skip
