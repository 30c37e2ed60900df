"""The front over two objectives: one mark per configuration, on validation (selected) or on test (reported)."""

import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.front.front_layout import bar_title, framed, lying_bar, placed_buttons
from reports.front.front_pair import PLOT_HEIGHT, Pair, pair_of
from reports.front.hover import TEMPLATE, hover_text
from reports.page.figure_style import (
    BLUE,
    COST_COLORSCALE,
    GRAY,
    ORANGE,
    VERMILLION,
    decade_ticks,
    maybe_log,
    plain_numbers,
)
from study.record.measures import axis_scale
from study.record.trials import TrialTable
from study.trainable import Metric

WHISKERS = {"type": "data", "color": "rgba(128,136,144,0.6)", "thickness": 1.2, "width": 0}
MAX_WITH_WHISKERS = 30  # members of the front
MAX_LARGE, SMALLER = 60, 0.7  # with more configurations, their marks are smaller
# What a configuration is -> symbol, size, colour; in the order in which they are drawn and stand in the legend.
LOOKS = {
    "lost a seed": ("circle-x-open", 9, GRAY),
    "⚠ a check failed": ("x", 9, VERMILLION),
    "behind the front": ("circle", 9, BLUE),
    "on the front, outside the region": ("diamond-open", 11, ORANGE),
    "on the front": ("diamond", 13, ORANGE),
}
# Have a dot in the mark if they are of one seed.
DOTTED = ("behind the front", "on the front, outside the region", "on the front")
# Left or right of the axes, below or above them -> the symbol that points there.
ARROWS = {(-1, 0): "triangle-left", (1, 0): "triangle-right", (0, -1): "triangle-down", (0, 1): "triangle-up",
          (-1, -1): "triangle-sw", (1, -1): "triangle-se", (-1, 1): "triangle-nw", (1, 1): "triangle-ne"}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One trace and what depends on the split, such as ``x`` and ``error_x.array``; not drawn on a split it lacks."""

    trace: go.Scatter
    per_split: dict[str, dict[str, Any]]


def front_figure(table: TrialTable, x: Metric, y: Metric, color_by_cost: bool = False) -> go.Figure:
    """The configurations in two objectives with the staircase of their front; far ones are arrows at the edge.

    In the test view, marks are placed by their test values; membership of the front and the labels remain those
    selected on validation. ``color_by_cost`` colours the marks by the study's cost.
    """
    pair, color = pair_of(table, x, y), table.cost if color_by_cost else None
    layers = [_staircase(pair), *_region(pair), *_configurations(pair, color), *_legend(pair, color is not None)]
    first, *others = pair.splits
    figure = go.Figure([_shown(layer, first) for layer in layers])
    entries = max((_entries(layers, split) for split in pair.splits), key=len)
    titles = pair.x.title(first), pair.y.title(first)
    framed(figure, PLOT_HEIGHT, titles, entries, has_buttons=bool(others), has_bar=color is not None)
    views = {split: pair.layout(split) for split in pair.splits}
    if color is not None:
        _add_bar(figure, color, pair.rows[color.name], views)
    figure.update_layout(views[first])
    figure.update_xaxes(pair.x.kind)
    figure.update_yaxes(pair.y.kind)
    if others:
        placed_buttons(figure, {split: (_changes(layers, split), view) for split, view in views.items()})
    return figure


def _shown(layer: Layer, split: str) -> go.Scatter:
    """The trace as it is on a split."""
    placed = {name.replace(".", "_"): values for name, values in layer.per_split.get(split, {}).items()}
    return layer.trace.update(placed, visible=split in layer.per_split)


def _entries(layers: list[Layer], split: str) -> list[str]:
    """The names in the legend on a split."""
    return [layer.trace.name for layer in layers if split in layer.per_split and layer.trace.showlegend is not False]


def _add_bar(figure: go.Figure, cost: Metric, values: pd.Series, views: dict[str, dict[str, Any]]) -> None:
    """Adds the colour bar of ``cost`` to a framed figure, and its title to the annotations of each view."""
    scale = axis_scale(cost, values)
    ticks = decade_ticks(values, scale) if scale.is_log else {}
    figure.update_layout(coloraxis={"colorscale": COST_COLORSCALE, "colorbar": lying_bar(figure) | ticks})
    for view in views.values():
        view["annotations"].append(bar_title(html.escape(scale.label), figure))


def _changes(layers: list[Layer], split: str) -> dict[str, Any]:
    """The changes to the traces when a split's button is pressed."""
    changes: dict[str, Any] = {"visible": [split in layer.per_split for layer in layers]}
    for name in dict.fromkeys(name for layer in layers for values in layer.per_split.values() for name in values):
        changes[name] = [layer.per_split.get(split, {}).get(name, []) for layer in layers]
    return changes


def _kinds(rows: pd.DataFrame) -> pd.Series:
    """What each configuration is; a key of ``LOOKS``."""
    lost, doubt, behind, outside, front = LOOKS
    doubtful, is_out = rows["validity"].map(len) > 0, rows["on_front"] & ~rows["is_inside"]
    conditions = [rows["is_lost"], doubtful, is_out, rows["on_front"]]
    return pd.Series(np.select(conditions, [lost, doubt, outside, front], behind), rows.index)


def _configurations(pair: Pair, color: Metric | None) -> list[Layer]:
    """One trace of marks for each kind of configuration that there is."""
    rows, kinds, layers = pair.rows, _kinds(pair.rows), []
    for kind, (_, size, look_color) in LOOKS.items():
        own = np.flatnonzero(kinds == kind)
        if not len(own):
            continue
        found = rows.iloc[own]
        shrunk = 1 if len(rows) <= MAX_LARGE else SMALLER
        marker: dict[str, Any] = {"size": shrunk * size, "color": look_color, "line": {"color": GRAY, "width": 1}}
        if color is not None and kind in DOTTED:
            values = maybe_log(found[color.name], axis_scale(color, rows[color.name]))
            numbers = [math.nan if value is None else value for value in values]  # a list with a None is no colours
            marker |= {"color": numbers, "coloraxis": "coloraxis"}
        shown = [pair.x.metric, pair.y.metric, *([color] if color else [])]
        trace = go.Scatter(
            name=kind, legendgroup=kind, showlegend=False, mode="markers", marker=marker,
            customdata=found["uid"].tolist(), hovertemplate=TEMPLATE,
            hovertext=[hover_text(row, pair.table, shown) for row in found.to_dict("records")],
            unselected={"marker": {"opacity": 0.15}},
            error_x=WHISKERS, error_y=WHISKERS,  # their colour would be the marks' numbers, at which plotly.js warns
        )  # fmt: skip
        per_split = {split: _placed(pair, own, kind, split) for split in pair.splits}
        if kind == "on the front" and len(own) <= MAX_WITH_WHISKERS:
            for split in pair.splits:
                per_split[split] |= _whiskers(pair, found, split)
        layers.append(Layer(trace, per_split))
    return layers


def _placed(pair: Pair, own: Any, kind: str, split: str) -> dict[str, Any]:
    """Coordinates and symbols of some rows on a split; those beyond the axes are arrows."""
    x, y = pair.drawn[split]
    has_seeds = pair.rows["num_seeds"].to_numpy() > 1
    one, dotted = LOOKS[kind][0], f"{LOOKS[kind][0]}-dot" if kind in DOTTED else LOOKS[kind][0]
    symbols = []
    for position in own:
        away = int(x.beyond[position]), int(y.beyond[position])
        symbols.append(ARROWS.get(away) or (one if has_seeds[position] else dotted))
    placed = {"x": pair.x.in_unit(x.coordinates[own]), "y": pair.y.in_unit(y.coordinates[own])}
    return placed | {"marker.symbol": symbols}


def _whiskers(pair: Pair, rows: pd.DataFrame, split: str) -> dict[str, Any]:
    """The whiskers of a mean (standard deviation over seeds) or of one seed (Wilson's interval)."""
    found: dict[str, Any] = {}
    is_away = np.any([drawn.beyond != 0 for drawn in pair.drawn[split]], axis=0)[rows.index]
    for name, axis in (("error_x", pair.x), ("error_y", pair.y)):
        down, up = (plain_numbers(np.where(is_away, np.nan, lengths)) for lengths in axis.whiskers(rows, split))
        found |= {f"{name}.array": up, f"{name}.arrayminus": down}
    return found


def _staircase(pair: Pair) -> Layer:
    """The boundary of the region attained on validation in these two objectives alone."""
    x, split = pair.x.metric, pair.splits[0]
    xs, ys = (axis.in_unit(values) for axis, values in zip((pair.x, pair.y), pair.corners.T, strict=True))
    if xs and not x.maximise:  # what is attained at some cost is also attained at any higher cost
        xs.append(pair.x.in_unit(np.array(pair.drawn[split][0].limits))[1])
        ys.append(ys[-1])
    line = {"shape": "vh" if x.maximise else "hv", "color": GRAY, "width": 2}
    trace = go.Scatter(name="front of these two", mode="lines", line=line, hoverinfo="skip")
    return Layer(trace, {split: {"x": xs, "y": ys}})


def _region(pair: Pair) -> list[Layer]:
    """The edge of the study's region of interest in these two objectives; none where it bounds neither."""
    split = pair.splits[0]
    axes, limits = (pair.x, pair.y), [drawn.limits for drawn in pair.drawn[split]]
    ends = [axis.in_unit(np.array(limit)) for axis, limit in zip(axes, limits, strict=True)]
    bounds = {bound.name: bound.value for bound in pair.table.region.bounds}
    at_x, at_y = (bounds[a.metric.name] / a.scale.size if a.metric.name in bounds else None for a in axes)
    best_x, best_y = (end[1] if axis.metric.maximise else end[0] for axis, end in zip(axes, ends, strict=True))
    if at_x is not None and at_y is not None:
        xs, ys = [at_x, at_x, best_x], [best_y, at_y, at_y]
    elif at_x is not None:
        xs, ys = [at_x, at_x], ends[1]
    elif at_y is not None:
        xs, ys = ends[0], [at_y, at_y]
    else:
        return []
    line = {"color": ORANGE, "width": 1.5, "dash": "dash"}
    trace = go.Scatter(name="region of interest", mode="lines", line=line, hoverinfo="skip")
    return [Layer(trace, {split: {"x": xs, "y": ys}})]


def _legend(pair: Pair, is_by_cost: bool) -> list[Layer]:
    """Entries of the legend alone: a mark has a colour and a symbol of its own, and plotly.js would show the first."""
    layers, kinds = [], set(_kinds(pair.rows))
    for kind, (symbol, size, color) in LOOKS.items():
        if kind in kinds:
            shown = GRAY if is_by_cost and kind in DOTTED else color
            layers.append(_entry(kind, {"size": size, "color": shown}, dict.fromkeys(pair.splits, symbol)))
    for split in pair.splits:
        x, y = pair.drawn[split]
        count = int(((x.beyond != 0) | (y.beyond != 0)).sum())
        if count:
            layers.append(_entry(f"beyond the axes: {count}", {"size": 9, "color": BLUE}, {split: "triangle-left"}))
    return layers


def _entry(name: str, marker: dict[str, Any], symbols: dict[str, str]) -> Layer:
    marker |= {"line": {"color": GRAY, "width": 1}}
    trace = go.Scatter(name=name, legendgroup=name, mode="markers", marker=marker, hoverinfo="skip")
    return Layer(
        trace, {split: {"x": [None], "y": [None], "marker.symbol": symbol} for split, symbol in symbols.items()}
    )
