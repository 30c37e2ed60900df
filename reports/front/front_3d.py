"""The front over three objectives, as a figure that can be rotated."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.front.axis import Axis, axis_of, measured_in, splits_of
from reports.page.figure_style import (
    BLUE,
    FAINT,
    GRAY,
    ORANGE,
    decade_ticks,
    hover_text,
    maybe_log,
    split_buttons,
    styled,
)
from study.record.measures import short_label
from study.record.trials import TrialTable
from study.trainable import Metric


def three_objectives(table: TrialTable, objectives: Sequence[Metric]) -> go.Figure:
    """The configurations in three objectives; buttons switch the marks between validation and test values."""
    rows = measured_in(table, objectives)
    axes = {letter: axis_of(table, o, rows[o.name]) for letter, o in zip("xyz", objectives, strict=True)}
    is_lost, on_front = rows["is_lost"], rows["on_front"]
    looks = [
        (rows[~is_lost & ~on_front], "behind the front", "circle", 4, BLUE),
        (rows[on_front], "on the front", "diamond", 6, ORANGE),
        (rows[is_lost], "a seed failed or stopped", "x", 3, GRAY),
    ][: 3 if is_lost.any() else 2]
    splits = splits_of(table, objectives)
    figure = go.Figure()
    for own, name, symbol, size, color in looks:
        figure.add_scatter3d(
            name=name, mode="markers", hovertext=[hover_text(row, table) for row in own.to_dict("records")],
            hovertemplate="%{hovertext}<extra></extra>", **_at(own, axes, splits[0]),
            marker={"symbol": symbol, "size": size, "color": color, "line": {"color": GRAY, "width": 1}},
        )  # fmt: skip
    styled(figure, height=620)
    figure.update_layout(
        scene={
            **{f"{letter}axis": _look(axis) for letter, axis in axes.items()},
            "camera": {"eye": {"x": 1.45, "y": -1.5, "z": 0.6}, "center": {"z": -0.2}},
            "aspectmode": "cube",
        },
        margin={"l": 0, "r": 0, "t": 56, "b": 24},
        legend={"y": 0.0, "yanchor": "bottom"},
    )
    if len(splits) > 1:
        views = {split: [_at(own, axes, split) for own, *_ in looks] for split in splits}
        per_split: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            split: ({letter: [at[letter] for at in view] for letter in axes}, {}) for split, view in views.items()
        }
        figure.update_layout(updatemenus=[split_buttons(per_split)])
    return figure


def _at(rows: pd.DataFrame, axes: dict[str, Axis], split: str) -> dict[str, Any]:
    """The coordinates of ``rows``; costs in their unit, as logarithms if they span over a factor of 10."""
    return {letter: maybe_log(axis.series(rows, split), axis.scale) for letter, axis in axes.items()}


def _look(axis: Axis) -> dict[str, Any]:
    """A title that fits an edge of the cube, the caption gives the rest; round ticks for logarithms."""
    metric = axis.metric
    title = axis.scale.label if metric.is_cost else short_label(metric).removeprefix(f"{metric.split} ")
    look = {"gridcolor": FAINT, "color": GRAY, "showbackground": False, "zeroline": False}
    return look | {"title": {"text": title}} | (decade_ticks(axis.values, axis.scale) if axis.scale.is_log else {})
