"""Figures of what mattered: effects with their intervals, and parameter importance."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from reports.effects.effects import Effect
from reports.effects.importance import Importance
from reports.effects.p_values import p_text
from reports.page.figure_style import BLUE, GRAY, ORANGE, plain_numbers, row_label, styled, titled
from study.record.measures import difference_text, points_label, short_label

ROW_HEIGHT = 44  # of two lines of text
EVALUATOR_COLORS = {"fANOVA": BLUE, "PED-ANOVA": ORANGE}


def effects_figure(effects: Sequence[Effect]) -> go.Figure:
    """Effects on one metric with their intervals; marks are filled if Holm's p-value is below 0.05."""
    metric, rows = effects[0].metric, [row_label(effect.factors[0], effect.contrast) for effect in effects]
    colors = [BLUE if effect.p_holm < 0.05 else "rgba(0,0,0,0)" for effect in effects]
    figure = go.Figure()
    figure.add_scatter(
        x=plain_numbers(effect.mean for effect in effects), y=rows, mode="markers", showlegend=False,
        marker={"size": 8, "color": colors, "line": {"color": BLUE, "width": 2}},
        error_x={"type": "data", "color": BLUE, "thickness": 1.5, "width": 4,
                 "array": plain_numbers(effect.high - effect.mean for effect in effects),
                 "arrayminus": plain_numbers(effect.mean - effect.low for effect in effects)},
        hovertext=[html.escape(_words(effect)) for effect in effects], hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    styled(figure, height=120 + ROW_HEIGHT * len(rows))
    figure.add_vline(x=0, line={"color": GRAY, "width": 1})
    figure.update_layout(margin={"b": 36, "l": 8})
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 12})
    return titled(figure, points_label(metric))


def importance_figure(importance: Importance) -> go.Figure:
    """The importance of each factor for one objective with its interval, one mark per evaluator."""
    figure, rows = go.Figure(), [html.escape(name) for name in importance.factors.index]
    for place, (evaluator, color) in enumerate(EVALUATOR_COLORS.items()):
        values = importance.factors[evaluator]
        low, high = (importance.factors[f"{evaluator} {end}"] for end in ("low", "high"))
        figure.add_bar(
            x=plain_numbers(values), y=rows, orientation="h", name=evaluator, marker={"color": color},
            error_x={"type": "data", "color": GRAY, "thickness": 1.5, "width": 4,
                     "array": plain_numbers(high - values), "arrayminus": plain_numbers(values - low)},
            hovertemplate="%{y}: %{x:.2f}<extra>" + evaluator + "</extra>", legendrank=place,
        )  # fmt: skip
    height = 160 + ROW_HEIGHT * len(rows)
    styled(figure, height=height)
    figure.update_layout(margin={"b": 64, "l": 8}, legend={"y": -34 / (height - 110)}, bargap=0.3)
    figure.update_xaxes(range=[0, 1.02])
    figure.update_yaxes(autorange="reversed", tickfont={"size": 12})
    return titled(figure, f"importance for {short_label(importance.objective)}".replace(" (%)", ""))


def _words(effect: Effect) -> str:
    text = difference_text(effect.metric, effect.mean, effect.low, effect.high)
    unit = "points" if effect.metric.is_share else effect.metric.unit
    return f"{text} {unit}".strip() + f", {effect.pairs} pairs, p = {p_text(effect.p_holm)} (Holm)"
