"""The front over three objectives, as a figure that can be rotated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.page.figure_style import (
    BLUE,
    FAINT,
    GRAY,
    ORANGE,
    decade_ticks,
    hover_text,
    maybe_log,
    plain_numbers,
    split_buttons,
    styled,
)
from study.record.measures import COSTS, SPLIT_WORDS, CostScale, Objective, cost_scale, is_accuracy, on_split
from study.record.trials import TrialTable

AXES = ("x", "y", "z")


def three_objectives(table: TrialTable, objectives: Sequence[Objective]) -> go.Figure:
    """The configurations in three objectives; buttons switch the marks between validation and test values."""
    names = [objective.name for objective in objectives]
    frame = table.certainty[0]
    shown = frame[np.isfinite(frame[names].to_numpy(dtype=float)).all(axis=1)]
    scales = {name: cost_scale(name, shown[name]) for name in names if name in COSTS}
    figure = go.Figure()
    is_whole = shown["state"] == "complete"
    groups = [shown[is_whole & ~shown["on_front"]], shown[shown["on_front"]], shown[~is_whole]]
    looks = [("behind the front", "circle", 4, BLUE), ("on the front", "diamond", 6, ORANGE)]
    looks += [("a seed failed or stopped", "x", 3, GRAY)] if len(groups[2]) else []
    groups = groups[: len(looks)]
    for rows, (name, symbol, size, color) in zip(groups, looks, strict=True):
        figure.add_scatter3d(
            name=name, mode="markers", hovertext=[hover_text(row, table) for row in rows.to_dict("records")],
            hovertemplate="%{hovertext}<extra></extra>", **_at(rows, names, scales, "val"),
            marker={"symbol": symbol, "size": size, "color": color, "line": {"color": GRAY, "width": 1}},
        )  # fmt: skip
    styled(figure, height=620)
    look = {"gridcolor": FAINT, "color": GRAY, "showbackground": False, "zeroline": False}
    figure.update_layout(
        scene={
            **{f"{axis}axis": look | _axis(name, shown, scales) for axis, name in zip(AXES, names, strict=True)},
            "camera": {"eye": {"x": 1.45, "y": -1.5, "z": 0.6}, "center": {"z": -0.2}},
            "aspectmode": "cube",
        },
        margin={"l": 0, "r": 0, "t": 56, "b": 24},
        legend={"y": 0.0, "yanchor": "bottom"},
    )
    if any(is_accuracy(name) for name in names):
        views = {split: [_at(rows, names, scales, split) for rows in groups] for split in SPLIT_WORDS}
        figure.update_layout(updatemenus=[split_buttons({
            split: ({axis: [view[axis] for view in group] for axis in AXES}, {}) for split, group in views.items()
        })])  # fmt: skip
    return figure


def _at(rows: pd.DataFrame, names: list[str], scales: dict[str, CostScale], split: str) -> dict[str, Any]:
    """The coordinates of ``rows``; costs in their unit, as logarithms if they span over a factor of 10."""
    return {
        axis: maybe_log(rows[name], scales[name]) if name in scales else plain_numbers(_on_split(rows, name, split))
        for axis, name in zip(AXES, names, strict=True)
    }


def _on_split(rows: pd.DataFrame, name: str, split: str) -> pd.Series:
    column = on_split(name, split)
    return rows[column] if column in rows else pd.Series(np.nan, index=rows.index)


def _axis(name: str, shown: pd.DataFrame, scales: dict[str, CostScale]) -> dict[str, Any]:
    if name in scales:
        ticks = decade_ticks(shown[name], scales[name]) if scales[name].is_log else {}
        return {"title": {"text": scales[name].label}} | ticks
    return {"title": {"text": _short_title(name) if is_accuracy(name) else name}}


def _short_title(name: str) -> str:
    """A title that fits an edge of the cube; the caption gives the rest."""
    kind, _, radius = name.split("_", 1)[1].partition("_")
    return f"{'robust at ' + radius + '/255' if radius else kind} (%)"
