"""Figures of how the front grew and of how certain it is: hypervolume over compute, attainment surfaces."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.front.attainment import Attainment, attainment_of
from reports.front.hypervolume import ReferenceBox, hypervolume_growth, reference_box
from reports.page.figure_style import BLUE, GRAY, ORANGE, VERMILLION, log_axis_ticks, plain_numbers, styled
from study.record.measures import COSTS, CostScale, Objective, cost_scale, label
from study.record.trials import TrialTable

LEVEL_LINES = {
    20: {"color": BLUE, "width": 2, "dash": "dot"},
    50: {"color": ORANGE, "width": 3},
    80: {"color": VERMILLION, "width": 2, "dash": "dash"},
}


def growth_of(table: TrialTable) -> tuple[ReferenceBox, pd.DataFrame] | None:
    """The reference box of the study's objectives, and the growth of the hypervolume; None without usable results."""
    names = [objective.name for objective in table.objectives]
    values = table.whole[table.whole["validity"].map(len) == 0][names].to_numpy(dtype=float)
    points = values[np.isfinite(values).all(axis=1)]
    if len(points) == 0:
        return None
    box = reference_box(points, table.objectives)
    return box, hypervolume_growth(table.study, table.objectives, box)


def growth_figure(growth: pd.DataFrame) -> go.Figure:
    """The hypervolume after each trial that ended, over the compute spent by all trials ended so far."""
    scale = cost_scale("train_pflop", growth["spent_pflop"].tail(1))
    spent = growth["spent_pflop"] / scale.size
    figure = go.Figure()
    line = {"shape": "hv", "color": BLUE, "width": 2}
    figure.add_scatter(x=plain_numbers(spent), y=plain_numbers(100 * growth["hypervolume"]), mode="lines", line=line,
                       hoverinfo="skip", showlegend=False)  # fmt: skip
    for state, symbol, color in (("complete", "circle", BLUE), ("stopped", "circle-open", GRAY), ("failed", "x", GRAY)):
        rows = growth[growth["state"] == state]
        if len(rows):
            figure.add_scatter(
                x=plain_numbers(spent[rows.index]), y=plain_numbers(100 * rows["hypervolume"]), mode="markers",
                name=f"a trial ended: {state}", marker={"symbol": symbol, "size": 6, "color": color},
                text=rows["uid"], hovertemplate="%{text}: %{y:.2f} % after %{x:.4g}<extra></extra>",
            )  # fmt: skip
    styled(figure, height=400)
    figure.update_xaxes(title={"text": f"{scale.label}, all trials so far"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "hypervolume (% of the box)"})
    figure.update_layout(margin={"t": 24})
    return figure


def attainment_in(table: TrialTable, pair: tuple[Objective, Objective]) -> Attainment | None:
    """The attainment surfaces of the study's seeds in two objectives, from trusted trials (``TrialTable.trusted``)."""
    return attainment_of(table.per_seed([objective.name for objective in pair]), pair)


def attainment_figure(table: TrialTable, pair: tuple[Objective, Objective], found: Attainment) -> go.Figure:
    """The staircases that 20, 50 and 80 percent of the seeds attain in the two objectives."""
    x, y = pair
    corners = np.concatenate(list(found.surfaces.values()))
    scales = {
        objective.name: cost_scale(objective.name, corners[:, column])
        for column, objective in enumerate(pair) if objective.name in COSTS
    }  # fmt: skip
    figure = go.Figure()
    for level, points in found.surfaces.items():
        xs, ys = points[:, 0] / _size(x, scales), points[:, 1] / _size(y, scales)
        if not x.maximise:
            xs, ys = np.append(xs, corners[:, 0].max() / _size(x, scales)), np.append(ys, ys[-1])
        count = math.ceil(level / 100 * len(found.seeds))
        figure.add_scatter(
            x=plain_numbers(xs), y=plain_numbers(ys), mode="lines",
            name=f"{level}% ({count} of {len(found.seeds)} seeds)",
            line=LEVEL_LINES[level] | {"shape": "vh" if x.maximise else "hv"},
        )  # fmt: skip
    styled(figure, height=440)
    for objective, column, update in ((x, 0, figure.update_xaxes), (y, 1, figure.update_yaxes)):
        update(title={"text": _title(table, objective, scales)})
        if objective.name in scales and scales[objective.name].is_log:
            update(type="log", **log_axis_ticks(corners[:, column] / _size(objective, scales)))
    figure.update_layout(margin={"t": 24})
    return figure


def _size(objective: Objective, scales: dict[str, CostScale]) -> float:
    return scales[objective.name].size if objective.name in scales else 1.0


def _title(table: TrialTable, objective: Objective, scales: dict[str, CostScale]) -> str:
    if objective.name in scales:
        return scales[objective.name].label
    return f"validation {label(objective.name, table.pgd_steps)}".replace("accuracy, ", "accuracy,<br>")
