"""Figures of what mattered: effects with their intervals, and parameter importance."""

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.effects.effects import Effect
from reports.effects.importance import Importance
from reports.page.figure_style import BLUE, GRAY, ORANGE, plain_numbers, styled
from study.record.measures import is_accuracy, short_label

ROW_HEIGHT = 26
EVALUATOR_COLORS = {"fANOVA": BLUE, "PED-ANOVA": ORANGE}


def effects_figure(effects: list[Effect]) -> go.Figure:
    """Main effects on accuracies, one panel per measure; marks are filled if Holm's p-value is below 0.05."""
    shown = [effect for effect in effects if is_accuracy(effect.measure)]
    measures = list(dict.fromkeys(effect.measure for effect in shown))
    rows = list(dict.fromkeys(f"{effect.factors[0]}: {effect.contrast}" for effect in shown))
    titles = [short_label(measure).replace("(%)", "(points)") for measure in measures]
    figure = make_subplots(rows=1, cols=len(measures), shared_yaxes=True, horizontal_spacing=0.04)
    for column, measure in enumerate(measures, start=1):
        own = [effect for effect in shown if effect.measure == measure]
        colors = [BLUE if effect.p_holm < 0.05 else "rgba(0,0,0,0)" for effect in own]
        figure.add_scatter(
            x=plain_numbers(effect.mean for effect in own),
            y=[f"{effect.factors[0]}: {effect.contrast}" for effect in own],
            mode="markers", marker={"size": 9, "color": colors, "line": {"color": BLUE, "width": 2}},
            error_x={"type": "data", "color": GRAY, "thickness": 1.5, "width": 3,
                     "array": plain_numbers(effect.high - effect.mean for effect in own),
                     "arrayminus": plain_numbers(effect.mean - effect.low for effect in own)},
            hovertext=[_words(effect) for effect in own], hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False, row=1, col=column,
        )  # fmt: skip
    styled(figure, height=120 + ROW_HEIGHT * len(rows))
    figure.update_layout(margin={"t": 24, "b": 64})
    for column, title in enumerate(titles, start=1):
        figure.update_xaxes(title={"text": title}, zeroline=True, zerolinecolor=GRAY, row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 11})
    return figure


def importance_figure(found: list[Importance]) -> go.Figure:
    """The importance of each factor, one panel per objective, one bar per evaluator."""
    titles = [short_label(importance.objective).replace(" (%)", "") for importance in found]
    figure = make_subplots(rows=1, cols=len(found), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04)
    order = list(found[0].factors.index)
    for column, importance in enumerate(found, start=1):
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


def effect_text(measure: str, mean: float, low: float, high: float) -> str:
    """An effect with its interval: '+3.1 [+2.4, +3.8]', for a cost '× 2.00 [1.90, 2.10]'."""
    if is_accuracy(measure):
        interval = "" if math.isnan(low) else f" [{low:+.1f}, {high:+.1f}]"
        return f"{mean:+.1f}{interval}"
    interval = "" if math.isnan(low) else f" [{math.exp(low):.2f}, {math.exp(high):.2f}]"
    return f"× {math.exp(mean):.2f}{interval}"


def p_text(p_value: float) -> str:
    """A p-value with two significant digits, '–' if there is no test."""
    if math.isnan(p_value):
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _words(effect: Effect) -> str:
    text = effect_text(effect.measure, effect.mean, effect.low, effect.high)
    return f"{text} points<br>{effect.pairs} pairs, p = {p_text(effect.p_holm)} (Holm)"
