"""Figures of curves: a line for each trial, or medians with bands and the front on top where there are many trials."""

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from reports.effects.learning_curves import Curve, MeasuredCurves, by_share, grouped, quantile_band
from reports.page.figure_style import BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILLION, log_axis_ticks, styled
from reports.page.recipe import recipe_text
from study.record.measures import Scale, axis_scale, on_its_split
from study.record.trials import TrialTable
from study.trainable import Metric

HOVER_WIDTH = 60  # characters of a line
HEADING_WIDTH = 38
MANY = 30  # curves beyond which medians are drawn instead
MOST_OF_FRONT = 10  # lines on top of medians
# Group -> (name in the legend, line style).
GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "stopped": ("stopped early", {"color": VERMILLION, "dash": "dash", "width": 1.5}),
    "paused": ("paused", {"color": PURPLE, "dash": "dashdot", "width": 1.5}),
    "running": ("running", {"color": GRAY, "dash": "dot", "width": 1.5}),
    "complete": ("complete", {"color": BLUE, "width": 1.5}),
    "front": ("on the front", {"color": ORANGE, "width": 2}),
}
ENDS = {"stopped": "x", "paused": "square"}
COLOURS = (BLUE, GREEN, PURPLE, VERMILLION, GRAY)  # of medians
BAND_OPACITY = 0.18
SHARE = Scale(1.0, "share of the training (%)", is_log=False)


def curves_figure(table: TrialTable, measured: MeasuredCurves) -> go.Figure:
    """The curves of one measure: of each trial over progress, or if there are many over the share of the training."""
    figure, on_front = styled(go.Figure(), height=330), set(table.front["uid"])
    complete = [curve for curve in measured.curves if table.study.trials[curve.uid].state == "complete"]
    if is_in_bands(table, measured):
        drawn, scale = [by_share(curve) for curve in complete], SHARE
        _draw_bands(figure, table, drawn)
        lines = [curve for curve in drawn if curve.uid in on_front][:MOST_OF_FRONT]
    else:
        drawn = lines = measured.curves if len(measured.curves) <= MANY else complete
        scale = _scale(table, measured)
    for group in GROUPS:
        own = [c for c in lines if group == ("front" if c.uid in on_front else table.study.trials[c.uid].state)]
        for number, curve in enumerate(own):
            _draw_line(figure, table, curve, group, scale, in_legend=number == 0)
    heading = textwrap.wrap(_heading(table, measured.metric), HEADING_WIDTH)
    figure.update_layout(
        margin={"t": 16 + 20 * len(heading), "b": 84},
        legend={"y": -0.3},
    )  # fmt: skip
    figure.add_annotation(  # not a title, whose further lines would be drawn over the figure
        text="<br>".join(map(html.escape, heading)), x=0, y=1, xref="paper", yref="paper", xanchor="left",
        yanchor="bottom", yshift=6, align="left", showarrow=False, font={"size": 14},
    )  # fmt: skip
    figure.update_xaxes(title={"text": html.escape(scale.label), "font": {"size": 13}, "standoff": 6})
    if scale.is_log:
        x = [value for curve in drawn for value in curve.x / scale.size]
        figure.update_xaxes(type="log", **log_axis_ticks(x))
    return figure


def is_in_bands(table: TrialTable, measured: MeasuredCurves) -> bool:
    """Whether there are so many curves that their medians are drawn."""
    return sum(table.study.trials[curve.uid].state == "complete" for curve in measured.curves) > MANY


def _heading(table: TrialTable, metric: Metric) -> str:
    """A metric in its own words, or the name of a measure that nobody describes."""
    return on_its_split(metric) if metric.name in table.metrics else metric.name.replace("_", " ")


def _scale(table: TrialTable, measured: MeasuredCurves) -> Scale:
    if measured.is_counted:
        return Scale(1.0, "number of the measurement", is_log=False)
    return axis_scale(table.metric(table.progress), [value for curve in measured.curves for value in curve.x])


def _draw_line(
    figure: go.Figure, table: TrialTable, curve: Curve, group: str, scale: Scale, *, in_legend: bool
) -> None:
    name, line = GROUPS[group]
    words = [f"{curve.uid}, {name}", *textwrap.wrap(recipe_text(table, curve.uid), HOVER_WIDTH)[:3]]
    said = "<br>".join(html.escape(text).replace("%{", "%&#123;") for text in words)
    figure.add_scatter(
        x=_short(curve.x / scale.size), y=_short(curve.y), mode="lines+markers", line=line,
        marker={"size": 3 if len(curve.x) > 10 else 6, "symbol": ENDS.get(group, "circle")},
        name=name, legendgroup=group, showlegend=in_legend, customdata=[curve.uid] * len(curve.x),
        hovertemplate=f"{said}<br>%{{y:.4~g}} at %{{x:.4~g}}<extra></extra>",
    )  # fmt: skip


def _draw_bands(figure: go.Figure, table: TrialTable, curves: Sequence[Curve]) -> None:
    """A median line and the band between the outer quantiles for each group of at least a few trials."""
    for number, (name, own) in enumerate(grouped(table, curves).items()):
        x, (low, median, high) = quantile_band(own)
        colour, label = COLOURS[number % len(COLOURS)], html.escape(f"{name or 'all'} (n = {len(own)})")
        figure.add_scatter(
            x=_short([*x, *x[::-1]]), y=_short([*high, *low[::-1]]), mode="lines", line={"width": 0}, fill="toself",
            fillcolor=colour, opacity=BAND_OPACITY, hoverinfo="skip", legendgroup=label, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=_short(x), y=_short(median), mode="lines", line={"color": colour, "width": 2.5}, name=label,
            legendgroup=label, hovertemplate=f"{label}<br>median %{{y:.4~g}} at %{{x:.4~g}}<extra></extra>",
        )  # fmt: skip


def _short(values: Iterable[float]) -> list[float]:
    """Five digits, which is what a figure shows."""
    return [float(f"{value:.5g}") for value in values]
