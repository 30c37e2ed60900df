"""Figures of an executed ablation: the greedy path as a waterfall, and the effect of each difference alone."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.ablation.ablation_waterfall import Bar, Waterfall
from reports.ablation.executed_ablation import Change, ExecutedAblation, SingleChange, paired_change
from reports.page.figure_style import BLUE, GRAY, GREEN, ORANGE, VERMILLION, plain_numbers, styled
from study.record.measures import axis_scale, difference_text, in_words, points_label, short_label
from study.trainable import Metric

ROW_HEIGHT = 30
KIND_MARKS = {"brought in": (BLUE, "circle"), "taken back": (ORANGE, "diamond")}


def waterfall_figure(falls: Sequence[Waterfall]) -> go.Figure:
    """One panel per metric, from top to bottom: ``from``, the change of each step, ``to``.

    Marks are means, and bars reach from one mean to the next: green if the step improves the metric, red if it does
    not, gray for the part that was not split into steps. Whiskers are the paired 95% intervals of the changes.
    """
    figure = make_subplots(rows=1, cols=len(falls), shared_yaxes=True, horizontal_spacing=0.04)
    for column, fall in enumerate(falls, start=1):
        names, afters = [bar.name for bar in fall.bars], [bar.after for bar in fall.bars]
        scale = axis_scale(fall.metric, [fall.start, *afters])
        ends = ["to"] if fall.reaches_end else []
        figure.add_scatter(
            x=plain_numbers(mean / scale.size for mean in [fall.start, *afters, *(afters[-1] for _ in ends)]),
            y=["from", *names, *ends], mode="lines+markers",
            line={"color": GRAY, "width": 1, "dash": "dot", "shape": "vh"}, marker={"size": 7, "color": GRAY},
            showlegend=False, hovertemplate="%{y}: %{x}<extra></extra>", row=1, col=column,
        )  # fmt: skip
        reach = plain_numbers((bar.change.high - bar.change.mean) / scale.size for bar in fall.bars)
        figure.add_bar(
            x=plain_numbers(bar.change.mean / scale.size for bar in fall.bars), y=names, orientation="h",
            base=plain_numbers(bar.before / scale.size for bar in fall.bars), showlegend=False,
            marker={"color": [_bar_color(bar, fall.metric) for bar in fall.bars]}, width=0.55,
            error_x={"type": "data", "color": GRAY, "thickness": 1.5, "width": 4, "array": reach},
            hovertext=[_bar_words(bar, fall.metric) for bar in fall.bars], hovertemplate="%{hovertext}<extra></extra>",
            row=1, col=column,
        )  # fmt: skip
        title = scale.label if fall.metric.is_cost else short_label(fall.metric)
        figure.update_xaxes(title=_axis_title(title), row=1, col=column)
    longest = max(falls, key=lambda fall: len(fall.bars))
    _lay_out(figure, ["from", *(bar.name for bar in longest.bars), *(["to"] if longest.reaches_end else [])])
    return figure


def singles_figure(ablation: ExecutedAblation, rows: Sequence[SingleChange], metrics: Sequence[Metric]) -> go.Figure:
    """One panel per metric: the effect of bringing each difference into ``from``, or of taking it back from ``to``.

    Marks are filled if the 95% interval excludes 0.
    """
    figure = make_subplots(rows=1, cols=len(metrics), shared_yaxes=True, horizontal_spacing=0.04)
    for column, metric in enumerate(metrics, start=1):
        for kind, (color, symbol) in KIND_MARKS.items():
            changes = {str(row.factor): change_of(ablation, row, metric) for row in rows if row.kind == kind}
            drawn = {name: change for name, change in changes.items() if change.seeds}
            points = [_as_drawn(change, metric) for change in drawn.values()]
            fills = [color if change.low > 0 or change.high < 0 else "rgba(0,0,0,0)" for change in drawn.values()]
            marker = {"size": 10, "color": fills, "symbol": symbol, "line": {"color": color, "width": 2}}
            figure.add_scatter(
                x=plain_numbers(mean for mean, _, _ in points), y=list(drawn),
                mode="markers", marker=marker, name=kind, legendgroup=kind, showlegend=column == 1,
                error_x={"type": "data", "color": color, "thickness": 1.5, "width": 4,
                         "array": plain_numbers(high - mean for mean, _, high in points),
                         "arrayminus": plain_numbers(mean - low for mean, low, _ in points)},
                hovertext=[f"{name} {kind}: {change_text(metric, change)}" for name, change in drawn.items()],
                hovertemplate="%{hovertext}<extra></extra>", row=1, col=column,
            )  # fmt: skip
        title = f"{in_words(metric)} (factor)" if metric.is_cost else points_label(metric)
        axis = {"type": "log"} if metric.is_cost else {}
        figure.update_xaxes(title=_axis_title(title), **axis, row=1, col=column)
        figure.add_vline(x=1 if metric.is_cost else 0, line={"color": GRAY, "width": 1}, row=1, col=column)
    _lay_out(figure, list(dict.fromkeys(row.factor for row in rows if row.factor is not None)))
    figure.update_layout(margin={"t": 48}, legend={"y": 1.02, "yanchor": "bottom"})
    return figure


def change_of(ablation: ExecutedAblation, row: SingleChange, metric: Metric) -> Change:
    """The change of one metric; for costs, which differ by factors, the logarithm of the ratio."""
    before, after = (ablation.by_seed(choice, metric.name) for choice in (row.before, row.after))
    return paired_change(before, after, as_ratio=metric.is_cost)


def change_text(metric: Metric, change: Change) -> str:
    """A change as from ``change_of``, with its interval: '+3.1 [+2.4, +3.8]', for a cost '× 2.00'."""
    return difference_text(metric, change.mean, change.low, change.high)


def _as_drawn(change: Change, metric: Metric) -> tuple[float, float, float]:
    numbers = (change.mean, change.low, change.high)
    mean, low, high = map(math.exp, numbers) if metric.is_cost else numbers
    return mean, low, high


def _bar_color(bar: Bar, metric: Metric) -> str:
    if not bar.is_step:
        return GRAY
    return GREEN if bar.change.mean == 0 or (bar.change.mean > 0) == metric.maximise else VERMILLION


def _bar_words(bar: Bar, metric: Metric) -> str:
    amount = dataclasses.replace(metric, kind="number") if metric.is_cost else metric  # a waterfall adds, also costs
    over = "one seed: no interval" if math.isnan(bar.change.low) else f"{len(bar.change.seeds)} seeds"
    return f"{bar.name}: {change_text(amount, bar.change)} ({over})"


def _axis_title(title: str) -> dict[str, Any]:
    """An axis title with its unit on a separate line: the figures stand side by side, so panels are narrow."""
    return {"text": title.replace(" (", "<br>("), "font": {"size": 11}}


def _lay_out(figure: go.Figure, rows: list[str]) -> None:
    styled(figure, height=130 + ROW_HEIGHT * len(rows))
    figure.update_layout(margin={"t": 24, "b": 64})
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 12})
