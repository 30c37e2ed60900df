"""Figures of a comparison: the fronts of two studies in one frame, and the shares of two trials beside each other."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from reports.page.figure_style import BLUE, ORANGE, full_text, log_axis_ticks, plain_numbers, row_label, styled, titled
from reports.page.recipe import recipe_text
from study.record.front import nondominated
from study.record.measures import axis_scale, short_label
from study.record.trials import TrialTable, whisker_of
from study.trainable import Metric

if TYPE_CHECKING:
    from reports.compare.compared_studies import ChosenConfiguration

MARKS = {"A": (BLUE, "circle"), "B": (ORANGE, "diamond")}
ROW_HEIGHT = 46


def common_fronts(chosen: Mapping[str, "ChosenConfiguration"]) -> dict[str, go.Figure]:
    """The fronts of two studies, one figure for each objective that is no cost; none if they share no two."""
    tables = {letter: choice.table for letter, choice in chosen.items()}
    shared = [set((o.name, o.direction) for o in table.objectives) for table in tables.values()]
    metrics = [one for one in tables["A"].objectives if (one.name, one.direction) in shared[0] & shared[1]]
    across = next((one for one in metrics if one.is_cost), metrics[0] if metrics else None)
    up = [one for one in metrics if one != across and not one.is_cost]
    return {f"fronts_{one.name}": _fronts(tables, across, one) for one in up if across is not None}


def _fronts(tables: Mapping[str, TrialTable], across: Metric, up: Metric) -> go.Figure:
    figure = go.Figure()
    rows = {letter: table.front_configurations for letter, table in tables.items()}
    scale = axis_scale(across, pd.concat([one[across.name] for one in rows.values()]))
    for letter, table in tables.items():
        own, (color, symbol) = rows[letter].sort_values(across.name), MARKS[letter]
        best = own[nondominated(own[[across.name, up.name]].to_numpy(float), [across.maximise, up.maximise])]
        name = f"{letter}: {html.escape(table.study.name)}"
        figure.add_scatter(
            x=plain_numbers(best[across.name] / scale.size), y=plain_numbers(best[up.name]), mode="lines",
            line={"color": color, "width": 1.5, "shape": "hv"}, hoverinfo="skip", showlegend=False, legendgroup=letter,
        )  # fmt: skip
        records = own.to_dict("records")
        whiskers = [whisker_of(row, up) or (float("nan"), float("nan")) for row in records]
        figure.add_scatter(
            x=plain_numbers(own[across.name] / scale.size), y=plain_numbers(own[up.name]), mode="markers", name=name,
            legendgroup=letter, marker={"size": 9, "color": color, "symbol": symbol},
            customdata=[f"{letter}/{row['uid']}" for row in records],  # both studies have a first trial
            error_y={"type": "data", "symmetric": False, "color": color, "thickness": 1.2, "width": 3,
                     "array": plain_numbers(high for _, high in whiskers),
                     "arrayminus": plain_numbers(low for low, _ in whiskers)},
            hovertext=[f"{letter}, {row['uid']}<br>{html.escape(recipe_text(table, row['uid']))}<br>"
                       f"{html.escape(full_text(row, up))}" for row in records],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    styled(figure, height=420)
    title = scale.label if across.is_cost else short_label(across)
    figure.update_xaxes(title={"text": html.escape(title), "font": {"size": 13}})
    if scale.is_log:
        values = pd.concat([one[across.name] for one in rows.values()]) / scale.size
        figure.update_xaxes(type="log", **log_axis_ticks(values))
    figure.update_layout(margin={"l": 48, "b": 104}, legend={"y": -0.2})
    return titled(figure, short_label(up))


def shares_figure(rows: Sequence[Mapping[str, object]], metrics: Sequence[Metric]) -> go.Figure:
    """The shares of A and B with their Wilson 95% intervals, a row for each metric."""
    names = [row_label(short_label(metric).removesuffix(" (%)")) for metric in metrics]
    figure, frame = go.Figure(), pd.DataFrame(rows)
    for shift, (letter, (color, symbol)) in zip((0.14, -0.14), MARKS.items(), strict=True):
        values, low, high = (frame[f"{letter}{end}"].astype(float) for end in ("", "_low", "_high"))
        figure.add_scatter(
            x=plain_numbers(values), y=[place + shift for place in range(len(names) - 1, -1, -1)], mode="markers",
            name=letter, marker={"size": 9, "color": color, "symbol": symbol},
            error_x={"type": "data", "symmetric": False, "color": color, "thickness": 1.5, "width": 4,
                     "array": plain_numbers(high - values), "arrayminus": plain_numbers(values - low)},
            hovertemplate=f"{letter}: %{{x:.1f}}%<extra></extra>",
        )  # fmt: skip
    height = 120 + ROW_HEIGHT * len(names)
    styled(figure, height)
    ticks = {"tickvals": list(range(len(names) - 1, -1, -1)), "ticktext": names, "tickfont": {"size": 12}}
    figure.update_yaxes(range=[-0.6, len(names) - 0.4], **ticks)
    figure.update_layout(margin={"t": 12, "b": 84, "l": 8}, legend={"y": -56 / (height - 96)})
    figure.update_xaxes(title={"text": "%", "font": {"size": 13}})
    return figure
