"""Figures of the whole search space: parallel coordinates, slices, and two fields whose product decides the cost."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.page.figure_style import (
    BLUE,
    COST_COLORSCALE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    factor_text,
    maybe_log,
    plain_numbers,
    styled,
)
from study.record.measures import axis_scale, short_label, value_text
from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric, Trainable

GROUP_COLORS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE)
MAX_TICKS = 12
MAX_LINES = 6


def varying_factors(table: TrialTable) -> list[str]:
    """The factors that have more than one value among the configurations ``TrialTable.whole``."""
    return [name for name in table.factors if _texts(table, name).nunique() > 1]


def parallel_coordinates(table: TrialTable, color_by: Metric) -> go.Figure:
    """One line per configuration through its factors and objectives, coloured by one of the objectives."""
    frame = table.whole
    dimensions = [_factor_axis(frame[FACTOR_PREFIX + name], name) for name in varying_factors(table)]
    for objective in table.objectives:
        scale = axis_scale(objective, frame[objective.name])
        label = scale.label if objective.is_cost else short_label(objective)
        values = maybe_log(frame[objective.name], scale)
        dimensions.append({"label": f"{label}{', log10' if scale.is_log else ''}", "values": values})
    bar = {"title": {"text": short_label(color_by), "side": "right"}, "thickness": 12}
    line = {"color": plain_numbers(frame[color_by.name]), "colorscale": COST_COLORSCALE, "showscale": True}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line | {"colorbar": bar}, labelangle=-20))
    styled(figure, height=440)
    figure.update_layout(margin={"l": 80, "r": 40, "t": 90, "b": 30})
    return figure


def slices(table: TrialTable, metrics: Sequence[Metric]) -> go.Figure:
    """Each metric over each factor, one mark per configuration, coloured by ``Trainable.grouping`` if it varies."""
    names = varying_factors(table)
    grouped_by = next((name for name in (table.trainable or Trainable).grouping if name in names), None)
    groups = _texts(table, grouped_by) if grouped_by else pd.Series("all", index=table.whole.index)
    figure = make_subplots(rows=len(metrics), cols=len(names), shared_xaxes=True, shared_yaxes=True,
                           horizontal_spacing=0.02, vertical_spacing=0.06)  # fmt: skip
    for (row, metric), (column, name) in itertools.product(enumerate(metrics, start=1), enumerate(names, start=1)):
        for group, color in zip(sorted(groups.unique()), itertools.cycle(GROUP_COLORS), strict=False):
            rows = table.whole[groups == group]
            figure.add_scatter(
                x=_slice_values(rows[FACTOR_PREFIX + name]), y=plain_numbers(rows[metric.name]), mode="markers",
                name=group, legendgroup=group, showlegend=bool(grouped_by) and row == column == 1, row=row, col=column,
                marker={"size": 6, "color": color, "opacity": 0.7},
                hovertext=rows["uid"].tolist(), hovertemplate="%{hovertext}: %{y}<extra></extra>",
            )  # fmt: skip
        if row == len(metrics):
            figure.update_xaxes(title={"text": name}, row=row, col=column)
        if column == 1:
            figure.update_yaxes(title={"text": short_label(metric)}, row=row, col=column)
    styled(figure, height=160 + 210 * len(metrics))
    figure.update_layout(margin={"t": 24}, legend={"y": -0.16 if len(metrics) > 1 else -0.3})
    return figure


def traded_fields(table: TrialTable) -> tuple[str, str] | None:
    """The two fields of ``Trainable.traded`` if both vary over numbers (those of an ablation are levels); else None."""
    traded = (table.trainable or Trainable).traded
    if traded is None or not set(traded) <= set(varying_factors(table)):
        return None
    return traded if all(_is_numeric(table.whole[FACTOR_PREFIX + name]) for name in traded) else None


def traded_figure(table: TrialTable, metric: Metric, traded: tuple[str, str]) -> go.Figure:
    """The mean of a metric for every value of two fields, with lines on which their product is equal."""
    across, up = (FACTOR_PREFIX + name for name in traded)
    rows = table.whole[table.whole["validity"].map(len) == 0].dropna(subset=[across, up, metric.name])
    rows = rows.astype({across: float, up: float})
    cells = rows.groupby([up, across])[metric.name].agg(["mean", "size"])
    columns, lines = sorted(rows[across].unique()), sorted(rows[up].unique())
    means = cells["mean"].unstack().reindex(index=lines, columns=columns).to_numpy(dtype=float)
    # Blank lines keep the text in the upper part of a cell: lines of equal product run through the middle.
    words = {
        cell: f"{value_text(metric, row['mean'])}, n={row['size']:.0f}<br> <br> " for cell, row in cells.iterrows()
    }
    texts = [[words.get((line, column), "") for column in columns] for line in lines]
    bar = {"title": {"text": short_label(metric), "side": "right"}, "thickness": 12, "outlinewidth": 0}
    figure = go.Figure(
        go.Heatmap(
            z=[plain_numbers(row) for row in means], text=texts, texttemplate="%{text}", colorscale=COST_COLORSCALE,
            hovertemplate="%{text}<extra></extra>", xgap=2, ygap=2, colorbar=bar,
        )
    )  # fmt: skip
    for product in equal_products(columns, lines):
        xs, ys = zip(*iso_line(product, columns, lines), strict=True)
        for color, width, dash in ((INK, 4, "solid"), ("white", 2, "dash")):  # visible on cells and on the background
            line = {"color": color, "width": width, "dash": dash}
            figure.add_scatter(x=xs, y=ys, mode="lines", hoverinfo="skip", showlegend=False, line=line)
        figure.add_annotation(x=xs[-1], y=ys[-1], text=f"{product:g}", showarrow=False, bgcolor=INK, borderpad=2,
                              font={"color": "white", "size": 11})  # fmt: skip
    styled(figure, height=120 + 64 * len(lines))
    figure.update_layout(margin={"t": 32, "b": 64})
    for update, values, title in zip((figure.update_xaxes, figure.update_yaxes), (columns, lines), traded, strict=True):
        ticks = {"tickvals": list(range(len(values))), "ticktext": [f"{value:g}" for value in values]}
        update(title={"text": title}, showgrid=False, range=[-0.5, len(values) - 0.5], **ticks)
    return figure


def equal_products(columns: list[float], lines: list[float]) -> list[float]:
    """The products that at least two cells share; at most six, evenly spaced among them."""
    products = pd.Series([column * line for column, line in itertools.product(columns, lines)]).value_counts()
    shared = sorted(products[products > 1].index)
    if len(shared) <= MAX_LINES:
        return shared
    return [shared[round(index)] for index in np.linspace(0, len(shared) - 1, MAX_LINES)]


def iso_line(product: float, columns: list[float], lines: list[float]) -> list[tuple[float, float]]:
    """Where the product of both values equals ``product``, in cell positions (log-interpolated between values)."""
    points = []
    for x in np.linspace(0, len(columns) - 1, 8 * (len(columns) - 1) + 1):
        line = product / math.exp(np.interp(x, range(len(columns)), np.log(columns)))
        if lines[0] * (1 - 1e-9) <= line <= lines[-1] * (1 + 1e-9):
            points.append((float(x), float(np.interp(math.log(line), np.log(lines), range(len(lines))))))
    return points


def _texts(table: TrialTable, name: str) -> pd.Series:
    return table.whole[FACTOR_PREFIX + name].map(factor_text)


def _is_numeric(values: pd.Series) -> bool:
    present = values.dropna()
    return len(present) > 0 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)


def _slice_values(values: pd.Series) -> list[Any]:
    return [None if pd.isna(v) else v for v in values] if _is_numeric(values) else values.map(factor_text).tolist()


def _factor_axis(values: pd.Series, name: str) -> dict[str, Any]:
    """A factor as a dimension: each value that occurs gets a position, numbers in ascending order."""
    is_number, texts = _is_numeric(values), values.map(factor_text)
    by_text = dict(zip(texts, values, strict=True))
    order = sorted(by_text, key=lambda text: (text == "–", by_text[text] if is_number and text != "–" else 0, text))
    if is_number and len(order) > MAX_TICKS:
        return {"label": name, "values": plain_numbers(pd.to_numeric(values))}
    ticks = {"tickvals": list(range(len(order))), "ticktext": order} if len(order) <= MAX_TICKS else {}
    return {"label": name, "values": texts.map(order.index).tolist(), **ticks}
