"""Figures of how the front grew and of how certain it is: hypervolume or best value over cost, attainment surfaces."""

import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.front.attainment import Attainment, attainment_of
from reports.front.axis import axis_of, title_lines
from reports.front.front_layout import framed
from reports.page.figure_style import BLUE, GRAY, ORANGE, VERMILLION, plain_numbers
from study.record.hypervolume import ReferenceBox, reference_box, stages
from study.record.measures import Scale, axis_scale, on_its_split
from study.record.trials import TrialTable
from study.trainable import Metric, Trainable

LEVEL_LINES = {
    20: {"color": BLUE, "width": 2, "dash": "dot"},
    50: {"color": ORANGE, "width": 3},
    80: {"color": VERMILLION, "width": 2, "dash": "dash"},
}
GROWTH_HEIGHT, ATTAINMENT_HEIGHT = 220, 300
MOST_MARKS = 1000
STATE_MARKS = {
    "complete": ("circle", BLUE),
    "stopped": ("circle-open", GRAY),
    "paused": ("diamond-open", GRAY),
    "failed": ("x", GRAY),
}


@dataclass(frozen=True)
class Growth:
    """What a study had found after each trial that ended.

    Args:
        cost: what was spent, added up over trials; None: the trials are counted.
        box: of the objectives, in which ``hypervolume`` is measured.
        frame: columns ``uid``, ``state``, ``spent``, ``hypervolume`` (share of the box), and ``best`` of the first
            objective (NaN before there is one), in the order in which the trials ended.
    """

    cost: Metric | None
    box: ReferenceBox
    frame: pd.DataFrame

    @property
    def marked(self) -> pd.DataFrame:
        """The trials that have a mark: all, or of many those of an even spacing."""
        return self.frame.iloc[:: math.ceil(len(self.frame) / MOST_MARKS)]

    @property
    def corners(self) -> pd.DataFrame:
        """The trials at which the line turns, and the first and the last."""
        found = self.frame[["hypervolume", "best"]]
        is_corner = (found != found.shift()).any(axis=1) & ~(found.isna() & found.shift().isna()).all(axis=1)
        is_corner.iloc[[0, -1]] = True
        return self.frame[is_corner]


def growth_of(table: TrialTable) -> Growth | None:
    """The growth of what the study found; None without usable results."""
    names = [objective.name for objective in table.objectives]
    values = table.whole[table.whole["validity"].map(len) == 0][names].to_numpy(dtype=float)
    points = values[np.isfinite(values).all(axis=1)]
    if len(points) == 0 or not names:
        return None
    box, best = reference_box(points, table.objectives), max if table.objectives[0].maximise else min
    reused = (table.trainable or Trainable).reused
    rows: list[dict[str, Any]] = []
    front = None
    for stage in stages(table.study, table.objectives, table.cost, reused):
        if stage.front is not front:
            front = stage.front
            found = {"hypervolume": box.share(front), "best": best(front[:, 0], default=math.nan)}
        rows.append({"uid": stage.trial.uid, "state": stage.trial.state, "spent": stage.spent} | found)
    return Growth(table.cost, box, pd.DataFrame(rows, columns=["uid", "state", "spent", "hypervolume", "best"]))


def growth_figure(table: TrialTable, growth: Growth) -> go.Figure:
    """The hypervolume, or the best value of a single objective, over what all trials that ended so far have cost."""
    frame, cost = growth.frame, growth.cost
    scale = axis_scale(cost, frame["spent"].tail(1)) if cost else Scale(1.0, "trials that ended", is_log=False)
    if len(table.objectives) == 1:
        (objective,) = table.objectives
        axis = axis_scale(objective, frame["best"].tail(1))
        reached, size, title = "best", axis.size, axis.label if objective.is_cost else on_its_split(objective)
        title = f"best {title}"
    else:
        reached, size, title = "hypervolume", 0.01, "hypervolume (% of the box)"

    def places(rows: pd.DataFrame) -> dict[str, list[float | None]]:
        return {"x": plain_numbers(rows["spent"] / scale.size), "y": plain_numbers(rows[reached] / size)}

    figure = go.Figure()
    figure.add_scatter(**places(growth.corners), mode="lines", hoverinfo="skip",
                       line={"shape": "hv", "color": BLUE, "width": 2}, showlegend=False)  # fmt: skip
    for state, (symbol, color) in STATE_MARKS.items():
        own = growth.marked[growth.marked["state"] == state]
        if len(own):
            figure.add_scatter(
                **places(own), mode="markers", name=f"{state} trial",
                marker={"symbol": symbol, "size": 7, "color": color}, customdata=own["uid"].tolist(),
                hovertemplate="%{customdata}: %{y:.5g} after %{x:.4g}<extra></extra>",
            )  # fmt: skip
    x_title = f"{scale.label}, all trials so far" if cost else scale.label
    entries = [trace.name for trace in figure.data[1:]]
    framed(figure, GROWTH_HEIGHT, (_wrapped(x_title), _wrapped(title)), entries)
    figure.update_xaxes(rangemode="tozero")
    return figure


def _wrapped(title: str) -> str:
    return "<br>".join(html.escape(line) for line in title_lines(title))


def attainment_in(table: TrialTable, pair: tuple[Metric, Metric]) -> Attainment | None:
    """The attainment surfaces of the study's seeds in two objectives, from trusted trials (``TrialTable.trusted``)."""
    return attainment_of(table.per_seed([objective.name for objective in pair]), pair)


def attainment_figure(table: TrialTable, pair: tuple[Metric, Metric], attainment: Attainment) -> go.Figure:
    """The staircases that 20, 50 and 80 percent of the seeds attain in the two objectives."""
    corners = pd.DataFrame(np.concatenate(list(attainment.surfaces.values())), columns=["x", "y"])
    x, y = axis_of(table, pair[0], corners["x"]), axis_of(table, pair[1], corners["y"])
    figure = go.Figure()
    for level, points in attainment.surfaces.items():
        xs, ys = points.T
        if not x.metric.maximise:
            xs, ys = np.append(xs, corners["x"].max()), np.append(ys, ys[-1])
        count = math.ceil(level / 100 * len(attainment.seeds))
        figure.add_scatter(
            x=plain_numbers(xs / x.scale.size), y=plain_numbers(ys / y.scale.size), mode="lines+markers",
            name=f"{level}% ({count} of {len(attainment.seeds)} seeds)",
            line=LEVEL_LINES[level] | {"shape": "vh" if x.metric.maximise else "hv"},
        )  # fmt: skip
    titles = x.title(x.metric.split), y.title(y.metric.split)
    framed(figure, ATTAINMENT_HEIGHT, titles, [line.name for line in figure.data])
    figure.update_xaxes(x.kind)
    figure.update_yaxes(y.kind)
    return figure
