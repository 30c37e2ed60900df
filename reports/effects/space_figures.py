"""Figures of the whole search space: parallel coordinates, slices, and views against epochs."""

import math
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
    maybe_log,
    plain_numbers,
    styled,
    value_text,
)
from study.record.measures import COSTS, cost_scale, is_accuracy, short_label
from study.record.trials import FACTOR_PREFIX, TrialTable

METHOD_FACTORS = ("adversary", "method")  # the first one that varies determines the colours
METHOD_COLORS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE)
LINE_DROP = 0.36  # distance of lines below the middle of a cell, relative to its height
VIEWS, EPOCHS = FACTOR_PREFIX + "num_views", FACTOR_PREFIX + "epochs"


def varying_factors(table: TrialTable) -> list[str]:
    """The factors that have more than one value among the configurations ``TrialTable.whole``."""
    return [name for name in table.factors if _texts(table, name).nunique() > 1]


def parallel_coordinates(table: TrialTable, color_by: str) -> go.Figure:
    """One line per configuration through its factors and objectives, coloured by one of the objectives."""
    frame = table.whole
    dimensions = [_factor_axis(table, name) for name in varying_factors(table)]
    dimensions += [_objective_axis(frame, objective.name) for objective in table.objectives]
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={"color": plain_numbers(frame[color_by]), "colorscale": COST_COLORSCALE, "showscale": True,
                  "colorbar": {"title": {"text": short_label(color_by), "side": "right"}, "thickness": 12}},
            labelangle=-20,
        )
    )  # fmt: skip
    styled(figure, height=440)
    figure.update_layout(margin={"l": 80, "r": 40, "t": 90, "b": 30})
    return figure


def slices(table: TrialTable) -> go.Figure:
    """Each accuracy over each factor, one mark per configuration, coloured by adversary or method if one varies."""
    names = varying_factors(table)
    measures = [objective.name for objective in table.objectives if is_accuracy(objective.name)]
    method = next((name for name in METHOD_FACTORS if name in names), None)
    groups = _texts(table, method) if method else pd.Series("all", index=table.whole.index)
    figure = make_subplots(rows=len(measures), cols=len(names), shared_xaxes=True, shared_yaxes=True,
                           horizontal_spacing=0.02, vertical_spacing=0.06)  # fmt: skip
    for row, measure in enumerate(measures, start=1):
        for column, name in enumerate(names, start=1):
            for group, color in zip(sorted(groups.unique()), METHOD_COLORS * 9, strict=False):
                rows = table.whole[groups == group]
                figure.add_scatter(
                    x=_slice_values(rows, name), y=plain_numbers(rows[measure]), mode="markers", name=group,
                    legendgroup=group, showlegend=bool(method) and row == column == 1, row=row, col=column,
                    marker={"size": 6, "color": color, "opacity": 0.7},
                    hovertext=rows["uid"].tolist(), hovertemplate="%{hovertext}: %{y:.1f}<extra></extra>",
                )  # fmt: skip
            if row == len(measures):
                figure.update_xaxes(title={"text": name}, row=row, col=column)
        figure.update_yaxes(title={"text": short_label(measure)}, row=row, col=1)
    styled(figure, height=160 + 210 * len(measures))
    figure.update_layout(margin={"t": 24}, legend={"y": -0.16 if len(measures) > 1 else -0.3})
    return figure


def has_views_and_epochs(table: TrialTable) -> bool:
    """Whether both the number of views and the number of epochs vary."""
    return {"num_views", "epochs"} <= set(varying_factors(table))


def views_by_epochs(table: TrialTable, measure: str) -> go.Figure:
    """The mean of an accuracy for every number of views and epochs, with lines of equal views times epochs."""
    rows = table.whole[table.whole["validity"].map(len) == 0].dropna(subset=[VIEWS, EPOCHS, measure])
    rows = rows.assign(**{VIEWS: rows[VIEWS].astype(float), EPOCHS: rows[EPOCHS].astype(float)})
    cells = rows.groupby([EPOCHS, VIEWS])[measure].agg(["mean", "size"])
    views, epochs = sorted(rows[VIEWS].unique()), sorted(rows[EPOCHS].unique())
    grid = [[cells["mean"].get((epoch, view), math.nan) for view in views] for epoch in epochs]
    # Text is placed in the upper half of a cell, because lines run through the lower half.
    words = {cell: f"{row['mean']:.1f}<br>n={row['size']:.0f}<br> " for cell, row in cells.iterrows()}
    texts = [[words.get((epoch, view), "") for view in views] for epoch in epochs]
    figure = go.Figure(
        go.Heatmap(
            z=[plain_numbers(row) for row in grid], text=texts, texttemplate="%{text}", colorscale=COST_COLORSCALE,
            hovertemplate="%{text}<extra></extra>", xgap=2, ygap=2,
            colorbar={"title": {"text": short_label(measure), "side": "right"}, "thickness": 12, "outlinewidth": 0},
        )
    )  # fmt: skip
    for product in equal_products(views, epochs):
        line = [(x, y - LINE_DROP) for x, y in iso_line(product, views, epochs)]
        for color, width, dash in ((INK, 4, "solid"), ("white", 2, "dash")):  # visible on cells and on the background
            figure.add_scatter(
                x=[x for x, _ in line], y=[y for _, y in line], mode="lines", hoverinfo="skip", showlegend=False,
                line={"color": color, "width": width, "dash": dash},
            )  # fmt: skip
        x, y = line[-1]
        figure.add_annotation(
            x=x, y=y, text=f"{product:g}", showarrow=False, bgcolor=INK, borderpad=2,
            font={"color": "white", "size": 11},
        )  # fmt: skip
    styled(figure, height=120 + 64 * len(epochs))
    figure.update_layout(margin={"t": 32, "b": 64})
    for update, values, title in ((figure.update_xaxes, views, "num_views"), (figure.update_yaxes, epochs, "epochs")):
        ticks = {"tickvals": list(range(len(values))), "ticktext": [f"{value:g}" for value in values]}
        update(title={"text": title}, showgrid=False, range=[-0.5, len(values) - 0.5], **ticks)
    return figure


def equal_products(views: list[float], epochs: list[float]) -> list[float]:
    """The products of views and epochs that at least two cells share; at most six, evenly spaced among them."""
    products = pd.Series([view * epoch for view in views for epoch in epochs]).value_counts()
    shared = sorted(products[products > 1].index)
    if len(shared) <= 6:
        return shared
    return [shared[round(index)] for index in np.linspace(0, len(shared) - 1, 6)]


def iso_line(product: float, views: list[float], epochs: list[float]) -> list[tuple[float, float]]:
    """The line on which views times epochs equals ``product``, in cell positions (log-interpolated between values)."""
    points = []
    for x in np.linspace(0, len(views) - 1, 8 * (len(views) - 1) + 1):
        view = math.exp(np.interp(x, range(len(views)), np.log(views)))
        epoch = product / view
        if epochs[0] * (1 - 1e-9) <= epoch <= epochs[-1] * (1 + 1e-9):
            points.append((float(x), float(np.interp(math.log(epoch), np.log(epochs), range(len(epochs))))))
    return points


def _texts(table: TrialTable, name: str) -> pd.Series:
    return table.whole[FACTOR_PREFIX + name].map(value_text)


def _is_numeric(values: pd.Series) -> bool:
    present = values.dropna()
    return len(present) > 0 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)


def _slice_values(rows: pd.DataFrame, name: str) -> list[Any]:
    values = rows[FACTOR_PREFIX + name]
    return [None if pd.isna(v) else v for v in values] if _is_numeric(values) else [value_text(v) for v in values]


def _factor_axis(table: TrialTable, name: str) -> dict[str, Any]:
    """A factor as a dimension: each value that occurs gets a position, numbers in ascending order."""
    values = table.whole[FACTOR_PREFIX + name]
    is_number = _is_numeric(values)
    by_text = {value_text(value): value for value in values}
    order = sorted(by_text, key=lambda text: (text == "–", by_text[text] if is_number and text != "–" else 0, text))
    positions = {text: index for index, text in enumerate(order)}
    ticks = {"tickvals": list(range(len(order))), "ticktext": order} if len(order) <= 12 else {}
    if is_number and not ticks:
        return {"label": name, "values": plain_numbers(pd.to_numeric(values))}
    return {"label": name, "values": [positions[value_text(v)] for v in values], **ticks}


def _objective_axis(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    if name not in COSTS:
        return {"label": short_label(name), "values": plain_numbers(frame[name])}
    scale = cost_scale(name, frame[name])
    return {"label": f"{scale.label}{', log10' if scale.is_log else ''}", "values": maybe_log(frame[name], scale)}
