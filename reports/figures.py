"""The figures of a study's fronts. Each shows validation, on which the front was selected, or the reported test."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from reports.figure_style import (
    BLUE,
    COST_COLORSCALE,
    FAINT,
    GRAY,
    ORANGE,
    VERMILLION,
    hover_text,
    log_axis_ticks,
    split_buttons,
    styled,
)
from reports.measures import (
    COSTS,
    SPLIT_WORDS,
    CostScale,
    Objective,
    cost_scale,
    interval_of,
    is_accuracy,
    label,
    on_split,
)
from reports.pareto import front_mask
from reports.trials import TrialTable

Rows = list[dict[Hashable, Any]]
Floats = npt.NDArray[np.float64]
Scales = Mapping[str, CostScale]


def trade_off(table: TrialTable, x: str, y: str, color_by_cost: bool) -> go.Figure:
    """The complete trials in two measures; ``x`` a validation accuracy or a cost, ``y`` a validation accuracy.

    The validation view has the staircase of the front in these two measures; the test view has Wilson intervals.
    """
    figure, shown = go.Figure(), _measured(table, x, y)
    scales = {name: cost_scale(name, shown[name]) for name in (x, table.cost) if name in COSTS}
    cost = scales.get(table.cost or "") if color_by_cost else None
    traces = {split: _points(table, shown, x, y, split, scales, cost) for split in SPLIT_WORDS}
    traces["val"].insert(0, _staircase(shown, x, y, scales))
    visible = {split: [of == split for of in traces for _ in traces[of]] for split in traces}
    figure.add_traces(traces["val"] + traces["test"])
    for trace, is_visible in zip(figure.data, visible["val"], strict=True):
        trace.visible = is_visible
    styled(figure, height=520)
    figure.update_layout(_axis_titles(table, x, y, "val", scales))
    if x in scales and scales[x].is_log:
        figure.update_xaxes(type="log", **log_axis_ticks(shown[x] / scales[x].size))
    views = {split: (visible[split], _axis_titles(table, x, y, split, scales)) for split in traces}
    figure.update_layout(updatemenus=[split_buttons(views)])
    if cost is not None:
        figure.update_layout(coloraxis=_cost_colors(shown[cost.name], cost))
    return figure


def three_measures(table: TrialTable, clean: str, robust: str, cost_name: str) -> go.Figure:
    """The complete trials in clean accuracy, robust accuracy and cost, to be turned by hand."""
    figure, shown = go.Figure(), _measured(table, clean, robust)
    shown = shown[np.isfinite(shown[cost_name])]
    scale = cost_scale(cost_name, shown[cost_name])
    cost = _maybe_log(shown[cost_name], scale)
    groups = (("other complete trials", ~shown["on_front"], "circle", 4), ("front", shown["on_front"], "diamond", 6))
    visible: dict[str, list[bool]] = {"val": [], "test": []}
    for split in SPLIT_WORDS:
        for name, mask, symbol, size in groups:
            rows = shown[mask]
            figure.add_scatter3d(
                x=rows[on_split(clean, split)], y=rows[on_split(robust, split)], z=cost[mask.to_numpy()],
                name=name, mode="markers", visible=split == "val", hovertext=_hover(table, rows),
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"symbol": symbol, "size": size, "color": ORANGE if name == "front" else BLUE,
                        "line": {"color": GRAY, "width": 1}},
            )  # fmt: skip
            for of in visible:
                visible[of].append(of == split)
    styled(figure, height=620)
    axis = {"gridcolor": FAINT, "color": GRAY, "showbackground": False, "zeroline": False}
    titles = [_short_title(clean), _short_title(robust), scale.label]
    z_axis = _decade_ticks(shown[cost_name], scale) if scale.is_log else {}
    figure.update_layout(
        scene={
            "xaxis": axis | {"title": {"text": titles[0]}},
            "yaxis": axis | {"title": {"text": titles[1]}},
            "zaxis": axis | {"title": {"text": titles[2]}} | z_axis,
            "camera": {"eye": {"x": 1.45, "y": -1.5, "z": 0.6}, "center": {"z": -0.2}},
            "aspectmode": "cube",
        },
        margin={"l": 0, "r": 0, "t": 56, "b": 24},
        legend={"y": 0.0, "yanchor": "bottom"},
        updatemenus=[split_buttons({split: (mask, {}) for split, mask in visible.items()})],
    )
    return figure


def _measured(table: TrialTable, x: str, y: str) -> pd.DataFrame:
    complete = table.complete
    return complete[np.isfinite(complete[x]) & np.isfinite(complete[y])]


def _points(
    table: TrialTable,
    shown: pd.DataFrame,
    x: str,
    y: str,
    split: str,
    scales: Scales,
    cost: CostScale | None,
) -> list[go.Scatter]:
    """Complete trials, front members, and rings around those with warnings, on one split."""
    in_doubt = shown["validity"].map(len) > 0
    groups = [
        ("other complete trials", shown[~shown["on_front"]], {"symbol": "circle", "size": 9, "color": BLUE}),
        (f"front of the {len(table.objectives)} objectives", shown[shown["on_front"]],
         {"symbol": "diamond", "size": 13, "color": ORANGE}),
        ("⚠ a validity check failed", shown[in_doubt],
         {"symbol": "triangle-up-open", "size": 22, "color": VERMILLION, "line": {"width": 2, "color": VERMILLION}}),
    ]  # fmt: skip
    traces = []
    for name, rows, marker in groups:
        is_ring = "line" in marker
        if is_ring and rows.empty:
            continue
        marker = {"line": {"color": GRAY, "width": 1}} | marker
        if cost is not None and not is_ring:
            marker |= {"color": _maybe_log(rows[cost.name], cost), "coloraxis": "coloraxis"}
        columns = {"x": on_split(x, split), "y": on_split(y, split)}
        traces.append(
            go.Scatter(
                x=_in_unit(rows, columns["x"], scales), y=_in_unit(rows, columns["y"], scales),
                name=name, mode="markers", marker=marker, hovertext=_hover(table, rows),
                hoverinfo="skip" if is_ring else None,
                hovertemplate=None if is_ring else "%{hovertext}<extra></extra>",
                **({f"error_{axis}": _error_bars(rows, name) for axis, name in columns.items() if is_accuracy(name)}
                   if split == "test" and not is_ring else {}),
            )
        )  # fmt: skip
    return traces


def _staircase(shown: pd.DataFrame, x: str, y: str, scales: Mapping[str, CostScale]) -> go.Scatter:
    """The edge of what the trials attain in two measures: against a cost it rises, against an accuracy it falls."""
    pair = [Objective(x, maximise=is_accuracy(x)), Objective(y, maximise=True)]
    corners = shown[front_mask(shown, pair)].sort_values([x, y])
    xs, ys = _in_unit(corners, x, scales).tolist(), corners[y].tolist()
    if x in scales and xs:  # what is attained at a cost is attained at every higher one
        xs.append(float(_in_unit(shown, x, scales).max()))
        ys.append(ys[-1])
    line = {"shape": "vh" if is_accuracy(x) else "hv", "color": GRAY, "width": 1.5}
    return go.Scatter(x=xs, y=ys, name="front of these two", mode="lines", line=line, hoverinfo="skip")


def _in_unit(rows: pd.DataFrame, name: str, scales: Mapping[str, CostScale]) -> pd.Series:
    values = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
    return values / scales[name].size if name in scales else values


def _hover(table: TrialTable, rows: pd.DataFrame) -> list[str]:
    return [hover_text(row, table) for row in rows.to_dict("records")]


def _error_bars(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """Wilson 95% intervals as distances from the values; none where the number of images is not known."""
    up, down = [], []
    for row in rows.to_dict("records"):
        value = row.get(name, np.nan)
        low, high = interval_of(row, name) or (value, value)
        up.append(high - value)
        down.append(value - low)
    return {"type": "data", "array": up, "arrayminus": down, "thickness": 1, "width": 0, "color": GRAY}


def _axis_titles(table: TrialTable, x: str, y: str, split: str, scales: Mapping[str, CostScale]) -> dict[str, Any]:
    x_title = scales[x].label if x in scales else f"{SPLIT_WORDS[split]} {label(x, table.pgd_steps)}"
    return {"xaxis.title.text": x_title, "yaxis.title.text": f"{SPLIT_WORDS[split]} {label(y, table.pgd_steps)}"}


def _short_title(name: str) -> str:
    """A title that fits an edge of a cube; the caption has the rest."""
    kind, _, radius = name.split("_", 1)[1].partition("_")
    return f"{'robust at ' + radius + '/255' if radius else kind} (%)"


def _maybe_log(costs: pd.Series, scale: CostScale) -> Floats:
    """Costs in their unit, as log10 where they span over a factor of 10 (colour bars have no log type)."""
    values = costs.to_numpy(dtype=float) / scale.size
    return np.log10(np.where(values > 0, values, np.nan)) if scale.is_log else values


def _cost_colors(costs: pd.Series, scale: CostScale) -> dict[str, Any]:
    ticks = _decade_ticks(costs, scale) if scale.is_log else {}
    bar = {"title": {"text": scale.label, "side": "right"}, "thickness": 12, "outlinewidth": 0, "len": 1.0} | ticks
    return {"colorscale": COST_COLORSCALE, "colorbar": bar}


def _decade_ticks(costs: pd.Series, scale: CostScale) -> dict[str, Any]:
    """Ticks for values that are already log10."""
    ticks = log_axis_ticks(costs / scale.size)
    return ticks | {"tickvals": [float(np.log10(tick)) for tick in ticks["tickvals"]]}
