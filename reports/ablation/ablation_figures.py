"""Figures of an executed ablation: the greedy path as a waterfall, and the effect of each difference alone."""

import dataclasses
import html
from collections.abc import Sequence

import plotly.graph_objects as go

from reports.ablation.ablation_waterfall import Bar, Waterfall
from reports.ablation.executed_ablation import Change, ExecutedAblation, SingleChange
from reports.page.figure_style import BLUE, GRAY, GREEN, ORANGE, VERMILLION, plain_numbers, row_label, styled, titled
from study.record.measures import axis_scale, difference_text, points_label, short_label
from study.trainable import Metric

LINE_HEIGHT, ROW_GAP = 17, 16
KIND_MARKS = {
    "brought in": ("changed in the start", BLUE, "circle"), "taken back": ("undone in the end", ORANGE, "diamond"),
}  # fmt: skip


def waterfall_figure(fall: Waterfall) -> go.Figure:
    """From top to bottom: the start, the change of each step, the end.

    Marks are means, and bars reach from one mean to the next: green if the step improves the metric, red if it does
    not, gray for the part that was not split into steps. Whiskers are the 95% intervals of the changes.
    """
    scale = axis_scale(fall.metric, [fall.start, *(bar.after for bar in fall.bars)])
    first, last = (row_label(words) for words in fall.ends)
    names = [row_label(bar.name) for bar in fall.bars]
    means = [fall.start, *(bar.after for bar in fall.bars)]
    uids = [fall.start_uid, *(bar.uid for bar in fall.bars)]
    if fall.reaches_end:
        names_of_marks, means, uids = [first, *names, last], [*means, means[-1]], [*uids, uids[-1]]
    else:
        names_of_marks = [first, *names]
    figure = go.Figure()
    figure.add_bar(
        x=plain_numbers(bar.change.mean / scale.size for bar in fall.bars), y=names, orientation="h",
        base=plain_numbers(bar.before / scale.size for bar in fall.bars), showlegend=False, width=0.55,
        marker={"color": [_bar_color(bar, fall.metric) for bar in fall.bars]},
        customdata=[bar.uid for bar in fall.bars],
        error_x={"type": "data", "symmetric": False, "color": GRAY, "thickness": 1.5, "width": 4,
                 "array": plain_numbers((bar.change.high - bar.change.mean) / scale.size for bar in fall.bars),
                 "arrayminus": plain_numbers((bar.change.mean - bar.change.low) / scale.size for bar in fall.bars)},
        hovertext=[_bar_words(bar, fall.metric) for bar in fall.bars], hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=plain_numbers(mean / scale.size for mean in means), y=names_of_marks, mode="lines+markers",
        line={"color": GRAY, "width": 1, "dash": "dot", "shape": "vh"}, marker={"size": 7, "color": GRAY},
        customdata=uids, showlegend=False, hovertemplate="%{y}: %{x}<extra></extra>",
    )  # fmt: skip
    return _laid_out(figure, names_of_marks, scale.label if fall.metric.is_cost else short_label(fall.metric))


def singles_figure(ablation: ExecutedAblation, rows: Sequence[SingleChange], metric: Metric) -> go.Figure:
    """The effect on a metric of changing each difference in the start, and of undoing it in the end.

    Marks are filled if the 95% interval excludes 0.
    """
    figure = go.Figure()
    for kind, (legend, color, symbol) in KIND_MARKS.items():
        own = [(row, ablation.change(row.before, row.after, metric)) for row in rows if row.kind == kind and row.factor]
        drawn = [(row, change) for row, change in own if change.seeds]
        changes = [change for _, change in drawn]
        fills = [color if change.low > 0 or change.high < 0 else "rgba(0,0,0,0)" for change in changes]
        names = [ablation.words(str(row.factor)) for row, _ in drawn]
        figure.add_scatter(
            x=plain_numbers(change.mean for change in changes), y=[row_label(name) for name in names], mode="markers",
            marker={"size": 10, "color": fills, "symbol": symbol, "line": {"color": color, "width": 2}}, name=legend,
            error_x={"type": "data", "symmetric": False, "color": color, "thickness": 1.5, "width": 4,
                     "array": plain_numbers(change.high - change.mean for change in changes),
                     "arrayminus": plain_numbers(change.mean - change.low for change in changes)},
            customdata=[ablation.uid(row.after) for row, _ in drawn],
            hovertext=[f"{html.escape(name)}<br>{legend}: {change_text(metric, change)}"
                       for name, (_, change) in zip(names, drawn, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": GRAY, "width": 1})
    names = list(dict.fromkeys(row_label(ablation.words(row.factor)) for row in rows if row.factor is not None))
    _laid_out(figure, names, points_label(metric))
    figure.update_layout(legend={"y": -40 / (figure.layout.height - 110)}, margin={"b": 72})
    figure.layout.height += 36
    return figure


def change_text(metric: Metric, change: Change) -> str:
    """A change with its interval: '+3.1 [+2.4, +3.8]', for a cost '× 2.00'."""
    return difference_text(metric, change.mean, change.low, change.high)


def _bar_color(bar: Bar, metric: Metric) -> str:
    if not bar.is_step:
        return GRAY
    return GREEN if bar.change.mean == 0 or (bar.change.mean > 0) == metric.maximise else VERMILLION


def _bar_words(bar: Bar, metric: Metric) -> str:
    amount = dataclasses.replace(metric, kind="number") if metric.is_cost else metric  # a waterfall adds, also costs
    seeds = len(bar.change.seeds)
    over = f"{seeds} seeds" if seeds > 1 else "one seed"
    return f"{html.escape(bar.name)}<br>{change_text(amount, bar.change)} ({over})"


def _laid_out(figure: go.Figure, rows: list[str], title: str) -> go.Figure:
    lines = max((row.count("<br>") + 1 for row in rows), default=1)
    styled(figure, height=100 + (LINE_HEIGHT * lines + ROW_GAP) * len(rows))
    figure.update_layout(margin={"b": 36, "l": 8})
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 12})
    return titled(figure, title)
