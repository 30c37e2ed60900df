"""The front over two objectives: one mark per configuration, on validation (selected) or on test (reported)."""

import html
import itertools
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.front.axis import Axis, axis_of, measured_in, splits_of
from reports.front.front_marks import best_within_budgets, front_in, knee_of
from reports.page.figure_style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    color_axis,
    hover_text,
    maybe_log,
    split_buttons,
    styled,
)
from study.record.journal import State, TrialRecord
from study.record.measures import axis_scale, short_number
from study.record.trials import TrialTable
from study.trainable import Metric

LOST_SYMBOLS: dict[State, str] = {"stopped": "circle-open", "failed": "x-thin-open"}
MAX_WITH_WHISKERS = 60  # with more configurations than this, only those on the front have whiskers
HOVER = "%{hovertext}<extra></extra>"


@dataclass(frozen=True)
class Pair:
    """Two objectives as axes, and the splits to switch between; trials are selected on the first one."""

    table: TrialTable
    x: Axis
    y: Axis
    splits: list[str]

    def at(self, rows: pd.DataFrame, split: str) -> dict[str, Any]:
        """The coordinates of ``rows``, as properties of a trace."""
        return {"x": self.x.at(rows, split), "y": self.y.at(rows, split)}

    def on_each_split(self, rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
        """The coordinates of ``rows`` on every split."""
        return {split: self.at(rows, split) for split in self.splits}

    def titles(self, split: str) -> dict[str, Any]:
        """Both axis titles, as properties of a layout."""
        return {"xaxis.title.text": self.x.title(split), "yaxis.title.text": self.y.long_title(split)}


@dataclass(frozen=True)
class Layer:
    """One trace and what depends on the split, such as ``x`` and ``error_x.array``.

    It is not drawn on a split missing from ``per_split``; an optional one only after a click in the legend.
    """

    trace: go.Scatter
    per_split: dict[str, dict[str, Any]]
    is_optional: bool = False

    def visible(self, split: str) -> bool | str:
        """Plotly's word for whether the trace is drawn."""
        return split in self.per_split and ("legendonly" if self.is_optional else True)


def front_figure(table: TrialTable, x: Metric, y: Metric, color_by_cost: bool = False) -> go.Figure:
    """The configurations in two objectives, with the staircase of their front, its knee, and stopped or failed trials.

    In the test view, marks are placed by their test values; membership of the front and the knee remain those selected
    on validation. ``color_by_cost`` colours the marks by the study's cost.
    """
    rows = measured_in(table, (x, y))
    pair = Pair(table, axis_of(table, x, rows[x.name]), axis_of(table, y, rows[y.name]), splits_of(table, (x, y)))
    layers = [_staircase(pair, rows), *_lost(pair, rows), *_configurations(pair, rows, color_by_cost)]
    layers += [*_not_comparable(pair), *_in_doubt(pair, rows), *_knee(pair, rows), *_budgets(pair, rows)]
    first, *others = pair.splits
    for layer in layers:
        placed = {name.replace(".", "_"): values for name, values in layer.per_split[first].items()}
        layer.trace.update(placed, visible=layer.visible(first))
    figure = go.Figure([layer.trace for layer in layers])
    styled(figure, height=600)
    # Room for the title of the y axis: if the axis has to widen the margin, plotly.js draws all marks a second time.
    figure.update_layout(pair.titles(first), margin={"l": 88, "b": 180})
    figure.update_xaxes(pair.x.kind)
    figure.update_yaxes(pair.y.kind)
    if others:
        figure.update_layout(updatemenus=[split_buttons({split: _view(pair, layers, split) for split in pair.splits})])
    if color_by_cost and table.cost is not None:
        costs = rows[table.cost.name]
        figure.update_layout(coloraxis=color_axis(costs, axis_scale(table.cost, costs)))
    return figure


def _view(pair: Pair, layers: list[Layer], split: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The changes to the traces and to the layout when a split's button is pressed."""
    changes: dict[str, Any] = {"visible": [layer.visible(split) for layer in layers]}
    for name in dict.fromkeys(name for layer in layers for values in layer.per_split.values() for name in values):
        changes[name] = [layer.per_split.get(split, {}).get(name, []) for layer in layers]
    return changes, pair.titles(split)


def _marks(pair: Pair, rows: pd.DataFrame, name: str, marker: dict[str, Any]) -> go.Scatter:
    """Marks with all details of each configuration, not yet placed."""
    texts = [hover_text(row, pair.table) for row in rows.to_dict("records")]
    return go.Scatter(name=name, mode="markers", marker=marker, hovertext=texts, hovertemplate=HOVER)


def _configurations(pair: Pair, rows: pd.DataFrame, color_by_cost: bool) -> list[Layer]:
    """The marks: on the front or not, for one seed (Wilson's interval) or several (standard deviation over seeds)."""
    layers, cost, kept = [], pair.table.cost, rows[~rows["is_lost"]]
    looks = {False: ("behind", "circle", 9, BLUE), True: ("front", "diamond", 13, ORANGE)}
    for is_front, has_seeds in itertools.product((False, True), repeat=2):
        place, symbol, size, color = looks[is_front]
        own = kept[(kept["on_front"] == is_front) & ((kept["num_seeds"] > 1) == has_seeds)]
        if own.empty:
            continue
        symbol = symbol if has_seeds else f"{symbol}-dot"  # one dot in the mark for the one seed
        marker: dict[str, Any] = {"symbol": symbol, "size": size, "color": color, "line": {"color": GRAY, "width": 1}}
        if color_by_cost and cost is not None:
            scale = axis_scale(cost, rows[cost.name])
            marker |= {"color": maybe_log(own[cost.name], scale), "coloraxis": "coloraxis"}
        trace = _marks(pair, own, f"{place}, {'mean of seeds' if has_seeds else 'one seed'}", marker)
        if is_front or len(kept) <= MAX_WITH_WHISKERS:
            bars = {"thickness": 2, "width": 4} if has_seeds else {"thickness": 1, "width": 0}
            layers.append(_with_whiskers(pair, trace, own, {"type": "data", "color": GRAY} | bars))
        else:
            layers.append(Layer(trace, pair.on_each_split(own)))
    return layers


def _with_whiskers(pair: Pair, trace: go.Scatter, rows: pd.DataFrame, bars: dict[str, Any]) -> Layer:
    per_split = pair.on_each_split(rows)
    for split, (name, axis) in itertools.product(pair.splits, (("error_x", pair.x), ("error_y", pair.y))):
        down, up = axis.whiskers(rows, split)
        if any(length is not None for length in up):
            per_split[split] |= {f"{name}.array": up, f"{name}.arrayminus": down}
            trace[name] = bars
    return Layer(trace, per_split)


def _lost(pair: Pair, rows: pd.DataFrame) -> list[Layer]:
    """Configurations of which a trial failed or was stopped, at the mean over their complete seeds."""
    layers = []
    for state, own in rows[rows["is_lost"]].groupby("state"):
        marker = {"symbol": LOST_SYMBOLS[state], "size": 9, "color": GRAY, "line": {"color": GRAY, "width": 2}}
        trace = _marks(pair, own, f"{state} in a seed, mean of the others", marker)
        layers.append(Layer(trace, pair.on_each_split(own)))
    return layers


def _ring(pair: Pair, rows: pd.DataFrame, name: str, symbol: str, size: int, color: str, **more: Any) -> list[Layer]:
    """Rings around the already drawn marks of ``rows``; nothing if ``rows`` is empty."""
    if rows.empty:
        return []
    marker = {"symbol": symbol, "size": size, "color": color, "line": {"width": 2, "color": color}}
    ring = go.Scatter(name=name, hoverinfo="skip", marker=marker, **({"mode": "markers"} | more))
    return [Layer(ring, pair.on_each_split(rows))]


def _in_doubt(pair: Pair, rows: pd.DataFrame) -> list[Layer]:
    doubtful = rows[rows["validity"].map(len) > 0]
    return _ring(pair, doubtful, "⚠ a check failed", "triangle-up-open", 22, VERMILLION)


def _knee(pair: Pair, rows: pd.DataFrame) -> list[Layer]:
    knee = knee_of(rows, [pair.x.metric, pair.y.metric])
    return _ring(pair, rows.iloc[[] if knee is None else [knee]], "knee of the line", "star-open", 24, PURPLE)


def _budgets(pair: Pair, rows: pd.DataFrame) -> list[Layer]:
    """In a figure over cost, the best configuration within each round budget, labelled with the budget."""
    cost, metric = pair.x.metric, pair.y.metric
    if not cost.is_cost or cost.maximise or metric.is_cost:
        return []
    best = best_within_budgets(rows, metric, cost)
    texts = [f"≤ {short_number(budget / pair.x.scale.size)}" for budget in best["budget"]]
    words = {"mode": "markers+text", "text": texts, "textposition": "top center", "textfont": {"size": 11}}
    return _ring(pair, rows.iloc[best["row"].tolist()], "best within a budget", "circle-open", 20, GREEN, **words)


def _staircase(pair: Pair, rows: pd.DataFrame) -> Layer:
    """The boundary of the region attained on validation in these two objectives alone."""
    x, y, split = pair.x.metric, pair.y.metric, pair.splits[0]
    corners = pair.at(rows[front_in(rows, [x, y])].sort_values([x.name, y.name]), split)
    if corners["x"] and not x.maximise:  # what is attained at some cost is also attained at any higher cost
        corners["x"].append(max(value for value in pair.x.at(rows, split) if value is not None))
        corners["y"].append(corners["y"][-1])
    line = {"shape": "vh" if x.maximise else "hv", "color": GRAY, "width": 1.5}
    return Layer(go.Scatter(name="front of these two", mode="lines", line=line, hoverinfo="skip"), {split: corners})


def _not_comparable(pair: Pair) -> list[Layer]:
    """Stopped and failed trials at their last report: hollow, gray, and only after a click in the legend."""
    layers, names, split = [], [pair.x.metric.name, pair.y.metric.name], pair.splits[0]
    for state, symbol in LOST_SYMBOLS.items():
        trials = [trial for trial in pair.table.study.with_state(state) if trial.reports]
        rows = pd.DataFrame([trial.reports[-1] for trial in trials], columns=names, dtype=float).dropna()
        if rows.empty:
            continue
        marker = {"symbol": symbol, "size": 8, "color": GRAY, "line": {"color": GRAY, "width": 1}}
        texts = [_last_words(trials[position]) for position in rows.index]
        trace = go.Scatter(name=f"{state}, not comparable", mode="markers", marker=marker, hovertext=texts,
                           hovertemplate=HOVER)  # fmt: skip
        layers.append(Layer(trace, {split: pair.at(rows, split)}, is_optional=True))
    return layers


def _last_words(trial: TrialRecord) -> str:
    words = f"trial {trial.uid}, {trial.state}, not comparable: this is its last report"
    lines = [words, trial.reason.partition("\n")[0], *(f"{name} = {value}" for name, value in trial.params.items())]
    return "<br>".join(html.escape(line) for line in lines if line)
