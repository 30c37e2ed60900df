"""Figures of an executed ablation: the greedy path as a waterfall, and the effect of each difference alone."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.ablation.ablation_waterfall import Bar, Waterfall
from reports.ablation.executed_ablation import Change, ExecutedAblation, SingleChange, paired_change, values_by_seed
from reports.page.figure_style import BLUE, GRAY, GREEN, ORANGE, VERMILLION, plain_numbers, styled
from study.record.measures import COSTS, CostScale, Objective, cost_scale, is_accuracy, short_label

ROW_HEIGHT = 30
KIND_MARKS = {"brought in": (BLUE, "circle"), "taken back": (ORANGE, "diamond")}


def waterfall_figure(found: Sequence[Waterfall], objectives: Sequence[Objective]) -> go.Figure:
    """One panel per measure, from top to bottom: ``from``, the change of each step, ``to``.

    Marks are means, and bars reach from one mean to the next: green if the step improves the measure, red if it does
    not, gray for the part that was not split into steps. Whiskers are the paired 95% intervals of the changes.
    """
    longest = max(found, key=lambda one: len(one.bars))
    rows = ["from", *(bar.name for bar in longest.bars)]
    ends = ["to"] if longest.reaches_end else []
    figure = make_subplots(rows=1, cols=len(found), shared_yaxes=True, horizontal_spacing=0.04)
    for column, one in enumerate(found, start=1):
        scale = _scale(one)
        size = scale.size if scale else 1.0
        better = {objective.name: objective.maximise for objective in objectives}.get(
            one.measure, one.measure not in COSTS
        )
        names = [bar.name for bar in one.bars]
        marks = [(one.start, "from"), *((bar.after, bar.name) for bar in one.bars)]
        marks += [(one.bars[-1].after, "to")] if one.reaches_end else []
        figure.add_scatter(
            x=plain_numbers(mean / size for mean, _ in marks), y=[name for _, name in marks], mode="lines+markers",
            line={"color": GRAY, "width": 1, "dash": "dot", "shape": "vh"}, marker={"size": 7, "color": GRAY},
            showlegend=False, hovertemplate="%{y}: %{x}<extra></extra>", row=1, col=column,
        )  # fmt: skip
        figure.add_bar(
            x=plain_numbers(bar.change.mean / size for bar in one.bars), y=names, orientation="h",
            base=plain_numbers(bar.before / size for bar in one.bars), showlegend=False,
            marker={"color": [_bar_color(bar, better) for bar in one.bars]}, width=0.55,
            error_x={"type": "data", "color": GRAY, "thickness": 1.5, "width": 4, "array": plain_numbers(
                (bar.change.high - bar.change.mean) / size for bar in one.bars
            )},
            hovertext=[_bar_words(one.measure, bar) for bar in one.bars], hovertemplate="%{hovertext}<extra></extra>",
            row=1, col=column,
        )  # fmt: skip
        title = scale.label if scale else short_label(one.measure)
        figure.update_xaxes(title=_axis_title(title), row=1, col=column)
    _lay_out(figure, [*rows, *ends])
    return figure


def singles_figure(ablation: ExecutedAblation, rows: Sequence[SingleChange], measures: Sequence[str]) -> go.Figure:
    """One panel per measure: the effect of bringing each difference into ``from``, or of taking it back from ``to``.

    Marks are filled if the 95% interval excludes 0.
    """
    shown = [row for row in rows if row.factor is not None]
    names = list(dict.fromkeys(str(row.factor) for row in shown))
    figure = make_subplots(rows=1, cols=len(measures), shared_yaxes=True, horizontal_spacing=0.04)
    for column, measure in enumerate(measures, start=1):
        for kind, (color, symbol) in KIND_MARKS.items():
            of_kind = [row for row in shown if row.kind == kind]
            changes = [change_of(ablation, row, measure) for row in of_kind]
            drawn = [(change, str(row.factor)) for change, row in zip(changes, of_kind, strict=True) if change.seeds]
            points = [_as_drawn(change, measure) for change, _ in drawn]
            fills = [color if change.low > 0 or change.high < 0 else "rgba(0,0,0,0)" for change, _ in drawn]
            marker = {"size": 10, "color": fills, "symbol": symbol, "line": {"color": color, "width": 2}}
            figure.add_scatter(
                x=plain_numbers(mean for mean, _, _ in points), y=[name for _, name in drawn],
                mode="markers", marker=marker, name=kind, legendgroup=kind, showlegend=column == 1,
                error_x={"type": "data", "color": color, "thickness": 1.5, "width": 4,
                         "array": plain_numbers(high - mean for mean, _, high in points),
                         "arrayminus": plain_numbers(mean - low for mean, low, _ in points)},
                hovertext=[f"{name} {kind}: {change_words(measure, change)}" for change, name in drawn],
                hovertemplate="%{hovertext}<extra></extra>", row=1, col=column,
            )  # fmt: skip
        is_ratio = measure in COSTS
        title = f"{COSTS[measure][0]} (factor)" if is_ratio else short_label(measure).replace("(%)", "(points)")
        axis = {"type": "log"} if is_ratio else {}
        figure.update_xaxes(title=_axis_title(title), **axis, row=1, col=column)
        figure.add_vline(x=1 if is_ratio else 0, line={"color": GRAY, "width": 1}, row=1, col=column)
    _lay_out(figure, names)
    figure.update_layout(margin={"t": 48}, legend={"y": 1.02, "yanchor": "bottom"})
    return figure


def change_of(ablation: ExecutedAblation, row: SingleChange, measure: str) -> Change:
    """The change of one measure; for costs, which differ by factors, the logarithm of the ratio."""
    before, after = (values_by_seed(ablation, choice, measure) for choice in (row.before, row.after))
    return paired_change(before, after, as_ratio=measure in COSTS)


def change_words(measure: str, change: Change) -> str:
    """A change with its interval: '+3.1 [+2.4, +3.8]', for a cost '× 2.00', '–' if there is none."""
    if not change.seeds:
        return "–"
    numbers = _as_drawn(change, measure)
    is_exact = measure in COSTS and math.isclose(change.low, change.high, abs_tol=1e-9)  # counted, not measured
    texts = [f"{number:.2f}" if measure in COSTS else _signed(measure, number) for number in numbers]
    interval = "" if math.isnan(change.low) or is_exact else f" [{texts[1]}, {texts[2]}]"
    return f"{'× ' if measure in COSTS else ''}{texts[0]}{interval}"


def _signed(measure: str, number: float) -> str:
    text = f"{number:+.1f}" if is_accuracy(measure) else f"{number:+.3g}"
    return "+0.0" if text == "-0.0" else text


def _axis_title(title: str) -> dict[str, Any]:
    """An axis title with its unit on a separate line: the figures stand side by side, so panels are narrow."""
    return {"text": title.replace(" (", "<br>("), "font": {"size": 11}}


def _as_drawn(change: Change, measure: str) -> tuple[float, float, float]:
    numbers = (change.mean, change.low, change.high)
    mean, low, high = map(math.exp, numbers) if measure in COSTS else numbers
    return mean, low, high


def _scale(one: Waterfall) -> CostScale | None:
    values = [one.start, *(bar.after for bar in one.bars)]
    return cost_scale(one.measure, values) if one.measure in COSTS else None


def _bar_color(bar: Bar, more_is_better: bool) -> str:
    if not bar.is_step:
        return GRAY
    return GREEN if (bar.change.mean >= 0) == more_is_better or bar.change.mean == 0 else VERMILLION


def _bar_words(measure: str, bar: Bar) -> str:
    numbers = [bar.change.mean, bar.change.low, bar.change.high]
    texts = [_signed(measure, number) for number in numbers]
    if math.isnan(bar.change.low):
        return f"{bar.name}: {texts[0]} (one seed: no interval)"
    return f"{bar.name}: {texts[0]} [{texts[1]}, {texts[2]}], {len(bar.change.seeds)} seeds"


def _lay_out(figure: go.Figure, rows: list[str]) -> None:
    styled(figure, height=130 + ROW_HEIGHT * len(rows))
    figure.update_layout(margin={"t": 24, "b": 64})
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], tickfont={"size": 12})
