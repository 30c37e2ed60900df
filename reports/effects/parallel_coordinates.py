"""Parallel coordinates: one line per configuration through its factors and objectives."""

import html
import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from reports.page.figure_style import COST_COLORSCALE, GRAY, factor_text, styled
from study.record.measures import axis_scale, log_ticks, short_label, short_number, value_text
from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric

MOST_LEVELS = 12  # of a factor whose values are evenly spaced
NUM_COLORS = 5
LABEL_WIDTH = 15  # characters


@dataclass(frozen=True)
class Coordinate:
    """One axis: for each configuration its place in [0, 1] (None: not there) and its value in words, and the ticks."""

    label: str
    places: list[float | None]
    texts: list[str]
    ticks: list[tuple[float, str]]


def varying_factors(table: TrialTable) -> list[str]:
    """The factors that have more than one value among the configurations ``TrialTable.whole``."""
    return [name for name in table.factors if table.whole[FACTOR_PREFIX + name].map(factor_text).nunique() > 1]


def parallel_coordinates(table: TrialTable, color_by: Metric) -> go.Figure:
    """One line per configuration, in the colour of the fifth of the configurations that it is in by ``color_by``.

    The lines of a colour are one trace with gaps, so that they can be drawn, exported and selected like any others.
    """
    frame = table.whole
    axes = [_of_factor(frame[FACTOR_PREFIX + name], name) for name in varying_factors(table)]
    axes += [_of_metric(frame[objective.name], objective) for objective in table.objectives]
    values = frame[color_by.name].dropna()
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_COLORS + 1)))
    group = np.clip(np.searchsorted(edges, frame[color_by.name], side="right") - 1, 0, max(len(edges) - 2, 0))
    figure = go.Figure()
    for number in np.unique(group[frame[color_by.name].notna()]):
        color = sample_colorscale(COST_COLORSCALE, [0.15 + 0.75 * number / max(len(edges) - 2, 1)])[0]  # dark, light
        ends = (value_text(color_by, edges[place]) for place in (number, min(number + 1, len(edges) - 1)))
        own = np.flatnonzero((group == number) & frame[color_by.name].notna())
        figure.add_trace(_lines(axes, frame["uid"], own, " to ".join(ends), color))
    figure.add_trace(_tick_texts(axes))
    styled(figure, height=460)
    figure.update_layout(
        margin={"l": 48, "r": 40, "t": 88, "b": 72},
        legend={"y": -0.06, "title": {"text": short_label(color_by), "side": "top"}},
    )
    labels = ["<br>".join(map(html.escape, textwrap.wrap(axis.label, LABEL_WIDTH))) for axis in axes]
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=labels, side="top", tickangle=0, showline=False, ticks="",
        gridcolor=GRAY, tickfont={"size": 12}, range=[-0.4, len(axes) - 0.7],
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.04, 1.04])
    return figure


def _lines(axes: list[Coordinate], uids: pd.Series, rows: Iterable[int], name: str, color: str) -> go.Scatter:
    """The lines of some configurations, one after the other."""
    x: list[float | None] = []
    y: list[float | None] = []
    owners: list[str | None] = []
    texts: list[str] = []
    for row in rows:
        x += [*range(len(axes)), None]
        y += [*(axis.places[row] for axis in axes), None]
        owners += [*[uids.iloc[row]] * len(axes), None]
        texts += [*(html.escape(f"{axis.label}: {axis.texts[row]}") for axis in axes), ""]
    return go.Scatter(
        x=x, y=y, customdata=owners, hovertext=texts, hovertemplate="%{customdata}<br>%{hovertext}<extra></extra>",
        mode="lines", name=name, line={"color": color, "width": 1.2}, opacity=0.8,
    )  # fmt: skip


def _tick_texts(axes: list[Coordinate]) -> go.Scatter:
    ticks = [(number, place, text) for number, axis in enumerate(axes) for place, text in axis.ticks]
    return go.Scatter(
        x=[number for number, _, _ in ticks], y=[place for _, place, _ in ticks],
        text=[html.escape(f"{text} ") for _, _, text in ticks], mode="text", textposition="middle left",
        textfont={"size": 11}, unselected={"textfont": {"color": GRAY}}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _of_factor(values: pd.Series, name: str) -> Coordinate:
    """A factor: each value that occurs has a place, numbers in ascending order; many numbers are one scale."""
    texts = values.map(factor_text).tolist()
    present = [value for value, text in zip(values, texts, strict=True) if text != "–"]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)
    by_text = dict(zip(texts, values, strict=True))
    levels = sorted(by_text, key=lambda text: (text != "–", by_text[text] if is_number and text != "–" else 0, text))
    if is_number and len(levels) > MOST_LEVELS:
        return _on_scale(name, pd.to_numeric(values).to_numpy(dtype=float), texts, is_log=False)
    positions = np.linspace(0, 1, len(levels)).tolist() if len(levels) > 1 else [0.5]
    place = dict(zip(levels, positions, strict=True))
    ticks = list(zip(positions, levels, strict=True)) if len(levels) <= MOST_LEVELS else []
    return Coordinate(name, [place[text] for text in texts], texts, ticks)


def _of_metric(values: pd.Series, metric: Metric) -> Coordinate:
    scale = axis_scale(metric, values)
    label = scale.label if metric.is_cost else short_label(metric)
    texts = [value_text(metric, value) for value in values]
    return _on_scale(label, values.to_numpy(dtype=float) / scale.size, texts, is_log=scale.is_log)


def _on_scale(label: str, values: np.ndarray, texts: list[str], *, is_log: bool) -> Coordinate:
    """Numbers between the smallest and the largest of them."""
    known = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not len(known):
        return Coordinate(label, [None] * len(values), texts, [])
    low, high = float(known.min()), float(known.max())
    place = (lambda value: math.log(value / low)) if is_log else (lambda value: value - low)
    span = place(high) or 1.0
    marks = log_ticks(low, high) if is_log else round_ticks(low, high)
    ticks = [(place(value) / span, short_number(value)) for value in marks]
    places = [place(value) / span if math.isfinite(value) and (value > 0 or not is_log) else None for value in values]
    return Coordinate(label, places, texts, ticks)


def round_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]; at most six, if there is more than one value."""
    if low == high:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * digit for digit in (1, 2, 5, 10) if (high - low) / (power * digit) <= 5)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
