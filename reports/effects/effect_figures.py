"""Figures of what mattered: effects with their intervals, and parameter importance."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.effects.effects import Effect
from reports.effects.importance import Importance
from reports.effects.p_values import p_text
from reports.page.figure_style import BLUE, GRAY, ORANGE, plain_numbers, styled
from study.record.measures import difference_text, points_label, short_label

ROW_HEIGHT = 26
EVALUATOR_COLORS = {"fANOVA": BLUE, "PED-ANOVA": ORANGE}


def effects_figure(effects: list[Effect]) -> go.Figure:
    """Effects, none of them on a cost, one panel per metric; marks are filled if Holm's p-value is below 0.05."""
    metrics = list(dict.fromkeys(effect.metric for effect in effects))
    rows = list(dict.fromkeys(_row(effect) for effect in effects))
    figure = make_subplots(rows=1, cols=len(metrics), shared_yaxes=True, horizontal_spacing=0.04)
    styled(figure, height=120 + ROW_HEIGHT * len(rows))
    for column, metric in enumerate(metrics, start=1):
        own = [effect for effect in effects if effect.metric == metric]
        colors = [BLUE if effect.p_holm < 0.05 else "rgba(0,0,0,0)" for effect in own]
        figure.add_scatter(
            x=plain_numbers(effect.mean for effect in own),
            y=[_row(effect) for effect in own],
            mode="markers", marker={"size": 9, "color": colors, "line": {"color": BLUE, "width": 2}},
            error_x={"type": "data", "color": GRAY, "thickness": 1.5, "width": 3,
                     "array": plain_numbers(effect.high - effect.mean for effect in own),
                     "arrayminus": plain_numbers(effect.mean - effect.low for effect in own)},
            hovertext=[_words(effect) for effect in own], hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False, row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(title={"text": points_label(metric)}, zeroline=True, zerolinecolor=GRAY, row=1, col=column)
    figure.update_layout(margin={"t": 24, "b": 64})
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 11})
    return figure


def importance_figure(importances: list[Importance]) -> go.Figure:
    """The importance of each factor, one panel per objective, one bar per evaluator."""
    titles = [short_label(importance.objective).replace(" (%)", "") for importance in importances]
    columns = len(importances)
    figure = make_subplots(rows=1, cols=columns, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04)
    order = list(importances[0].factors.index)
    for column, importance in enumerate(importances, start=1):
        for evaluator, color in EVALUATOR_COLORS.items():
            values = importance.factors[evaluator].reindex(order)
            figure.add_bar(
                x=plain_numbers(values), y=order, orientation="h", name=evaluator, legendgroup=evaluator,
                showlegend=column == 1, marker={"color": color}, row=1, col=column,
                hovertemplate="%{y}: %{x:.2f}<extra>" + evaluator + "</extra>",
            )  # fmt: skip
    styled(figure, height=170 + 2 * ROW_HEIGHT * len(order))
    figure.update_layout(margin={"t": 40, "b": 90}, legend={"y": -0.2})
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    return figure


def _row(effect: Effect) -> str:
    return f"{effect.factors[0]}: {effect.contrast}"


def _words(effect: Effect) -> str:
    text = difference_text(effect.metric, effect.mean, effect.low, effect.high)
    unit = "points" if effect.metric.is_share else effect.metric.unit
    return f"{text} {unit}".strip() + f"<br>{effect.pairs} pairs, p = {p_text(effect.p_holm)} (Holm)"
