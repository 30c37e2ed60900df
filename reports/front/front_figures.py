"""The front over two objectives: one mark per configuration, on validation (selected) or on test (reported)."""

import html
import itertools
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.front.front_marks import best_within_budgets, knee_of
from reports.front.objective_pair import Pair, measured_in
from reports.page.figure_style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    color_axis,
    hover_text,
    log_axis_ticks,
    maybe_log,
    plain_numbers,
    split_buttons,
    styled,
)
from study.record.front import front_mask
from study.record.journal import TrialRecord
from study.record.measures import COSTS, SPLIT_WORDS, CostScale, Objective, cost_scale, is_accuracy, short_number
from study.record.trials import TrialTable

NOT_COMPARABLE = {"stopped": "circle-open", "failed": "x-thin-open"}
MAX_WITH_WHISKERS = 60  # with more configurations than this, only those on the front have whiskers


@dataclass(frozen=True)
class Layer:
    """One trace and the positions of its marks on each split; it is not drawn on a split missing from ``per_split``."""

    trace: go.Scatter
    per_split: dict[str, dict[str, Any]]
    is_optional: bool = False  # shown by a click in the legend
    restyled: tuple[str, ...] = ("x", "y")


def front_figure(table: TrialTable, x: Objective, y: Objective, color_by_cost: bool = False) -> go.Figure:
    """The configurations in two objectives, with the staircase of their front, its knee, and stopped or failed trials.

    In the test view, marks are placed by their test values; membership of the front and the knee remain those selected
    on validation. ``color_by_cost`` colours the marks by the study's cost.
    """
    shown = measured_in(table, x, y)
    names = (x.name, y.name, *([table.cost] if table.cost else []))
    scales = {name: cost_scale(name, shown[name]) for name in names if name in COSTS}
    pair = Pair(table, x, y, scales)
    cost = scales.get(table.cost or "") if color_by_cost else None
    layers = [_staircase(pair, shown), *_configurations(pair, shown, cost), *_not_comparable(pair)]
    layers += [*_in_doubt(pair, shown), *_knee(pair, shown), *_budgets(pair, shown)]
    figure = go.Figure([layer.trace.update(layer.per_split["val"]) for layer in layers])
    for trace, visible in zip(figure.data, _visible(layers, "val"), strict=True):
        trace.visible = visible
    styled(figure, height=600)
    # Room for the title of the y axis: if the axis has to widen the margin, plotly.js draws all marks a second time.
    figure.update_layout(pair.titles("val"), margin={"l": 88, "b": 180})
    for name, update in ((x.name, figure.update_xaxes), (y.name, figure.update_yaxes)):
        if name in scales and scales[name].is_log:
            update(type="log", **log_axis_ticks(shown[name] / scales[name].size))
    if is_accuracy(x.name) or is_accuracy(y.name):
        figure.update_layout(updatemenus=[split_buttons({split: _view(pair, layers, split) for split in SPLIT_WORDS})])
    if cost is not None:
        figure.update_layout(coloraxis=color_axis(shown[cost.name], cost))
    return figure


def _view(pair: Pair, layers: list[Layer], split: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The changes to the traces and to the layout when a split's button is pressed."""
    changes: dict[str, Any] = {"visible": _visible(layers, split)}
    for name in dict.fromkeys(name for layer in layers for name in layer.restyled):
        changes[name] = [_nested(layer.per_split.get(split, {}), name) for layer in layers]
    return changes, pair.titles(split)


def _nested(values: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values.get(part, {}) if isinstance(values, dict) else {}
    return [] if isinstance(values, dict) else values


def _visible(layers: list[Layer], split: str) -> list[bool | str]:
    return [split in layer.per_split and ("legendonly" if layer.is_optional else True) for layer in layers]


def _configurations(pair: Pair, shown: pd.DataFrame, cost: CostScale | None) -> list[Layer]:
    """The marks: on the front or not, for one seed (Wilson's interval) or several (standard deviation over seeds)."""
    layers = _lost(pair, shown[shown["state"] != "complete"])
    shown = shown[shown["state"] == "complete"]
    looks = {False: ("behind", "circle", 9, BLUE), True: ("front", "diamond", 13, ORANGE)}
    for is_front, has_seeds in itertools.product((False, True), repeat=2):
        place, symbol, size, color = looks[is_front]
        rows = shown[(shown["on_front"] == is_front) & ((shown["num_seeds"] > 1) == has_seeds)]
        if rows.empty:
            continue
        symbol = symbol if has_seeds else f"{symbol}-dot"  # one dot in the mark for the one seed
        marker: dict[str, Any] = {"symbol": symbol, "size": size, "color": color, "line": {"color": GRAY, "width": 1}}
        if cost is not None:
            marker |= {"color": maybe_log(rows[cost.name], cost), "coloraxis": "coloraxis"}
        trace = go.Scatter(
            name=f"{place}, {'mean of seeds' if has_seeds else 'one seed'}", mode="markers", marker=marker,
            hovertext=[hover_text(row, pair.table) for row in rows.to_dict("records")],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
        bars = {"thickness": 2, "width": 4} if has_seeds else {"thickness": 1, "width": 0}
        layers.append(_with_whiskers(pair, trace, rows, bars, is_front or len(shown) <= MAX_WITH_WHISKERS))
    return layers


def _lost(pair: Pair, rows: pd.DataFrame) -> list[Layer]:
    """Configurations with the state failed or stopped, at the mean over their complete seeds."""
    layers = []
    for state, own in rows.groupby("state"):
        marker = {"symbol": NOT_COMPARABLE[str(state)], "size": 9, "color": GRAY, "line": {"color": GRAY, "width": 2}}
        trace = go.Scatter(
            name=f"{state} in a seed, mean of the others", mode="markers", marker=marker,
            hovertext=[hover_text(row, pair.table) for row in own.to_dict("records")],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
        layers.append(Layer(trace, {split: pair.at(own, split) for split in SPLIT_WORDS}))
    return layers


def _with_whiskers(pair: Pair, trace: go.Scatter, rows: pd.DataFrame, bars: dict[str, Any], drawn: bool) -> Layer:
    per_split: dict[str, dict[str, Any]] = {}
    restyled = ["x", "y"]
    for split in SPLIT_WORDS:
        per_split[split] = pair.at(rows, split)
        for axis, name in (("x", pair.x.name), ("y", pair.y.name)):
            down, up = pair.whiskers(rows, name, split)
            if drawn and any(value is not None for value in up):
                per_split[split][f"error_{axis}"] = {
                    "array": up,
                    "arrayminus": down,
                    "type": "data",
                    "color": GRAY,
                } | bars
                restyled += [f"error_{axis}.array", f"error_{axis}.arrayminus"]
    return Layer(trace, per_split, restyled=tuple(dict.fromkeys(restyled)))


def _ring(pair: Pair, rows: pd.DataFrame, name: str, **trace: Any) -> list[Layer]:
    """Rings around the already drawn marks of ``rows``; nothing if ``rows`` is empty."""
    if rows.empty:
        return []
    ring = go.Scatter(name=name, hoverinfo="skip", **({"mode": "markers"} | trace))
    return [Layer(ring, {split: pair.at(rows, split) for split in SPLIT_WORDS})]


def _in_doubt(pair: Pair, shown: pd.DataFrame) -> list[Layer]:
    marker = {"symbol": "triangle-up-open", "size": 22, "color": VERMILLION, "line": {"width": 2, "color": VERMILLION}}
    return _ring(pair, shown[shown["validity"].map(len) > 0], "⚠ a check failed", marker=marker)


def _knee(pair: Pair, shown: pd.DataFrame) -> list[Layer]:
    knee = knee_of(shown, [pair.x, pair.y])
    marker = {"symbol": "star-open", "size": 24, "color": PURPLE, "line": {"width": 2, "color": PURPLE}}
    return _ring(pair, shown.iloc[[] if knee is None else [knee]], "knee of the line", marker=marker)


def _budgets(pair: Pair, shown: pd.DataFrame) -> list[Layer]:
    """In a figure over cost, the best configuration within each round budget, labelled with the budget."""
    if pair.x.name not in pair.scales or pair.x.maximise or not pair.y.maximise:
        return []
    best = best_within_budgets(shown, pair.y.name, pair.x.name)
    texts = [f"≤ {short_number(budget / pair.scales[pair.x.name].size)}" for budget in best["budget"]]
    marker = {"symbol": "circle-open", "size": 20, "color": GREEN, "line": {"width": 2, "color": GREEN}}
    return _ring(pair, shown.iloc[best["row"].tolist()], "best within a budget", mode="markers+text", marker=marker,
                 text=texts, textposition="top center", textfont={"size": 11})  # fmt: skip


def _staircase(pair: Pair, shown: pd.DataFrame) -> Layer:
    """The boundary of the region attained on validation in these two objectives alone."""
    corners = shown[front_mask(shown, [pair.x, pair.y])].sort_values([pair.x.name, pair.y.name])
    at = pair.at(corners, "val")
    if at["x"] and not pair.x.maximise:  # what is attained at some cost is also attained at any higher cost
        at["x"].append(max(value for value in pair.value(shown, pair.x.name, "val") if value is not None))
        at["y"].append(at["y"][-1])
    line = {"shape": "vh" if pair.x.maximise else "hv", "color": GRAY, "width": 1.5}
    return Layer(go.Scatter(name="front of these two", mode="lines", line=line, hoverinfo="skip"), {"val": at})


def _not_comparable(pair: Pair) -> list[Layer]:
    """Stopped and failed trials at their last report: hollow, gray, and only after a click in the legend."""
    layers = []
    for state, symbol in NOT_COMPARABLE.items():
        trials = [trial for trial in pair.table.study.with_state(state) if pair.last_report(trial) is not None]  # type: ignore[arg-type]
        if not trials:
            continue
        points = [pair.last_report(trial) or (math.nan, math.nan) for trial in trials]
        trace = go.Scatter(
            name=f"{state}, not comparable", mode="markers",
            marker={"symbol": symbol, "size": 8, "color": GRAY, "line": {"color": GRAY, "width": 1}},
            hovertext=[_last_words(trial) for trial in trials], hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
        at = {"x": plain_numbers(x for x, _ in points), "y": plain_numbers(y for _, y in points)}
        layers.append(Layer(trace, {"val": at}, is_optional=True))
    return layers


def _last_words(trial: TrialRecord) -> str:
    lines = [
        f"trial {trial.uid}, {trial.state}, not comparable: this is its last report",
        trial.reason.partition("\n")[0],
    ]
    lines += [f"{name} = {value}" for name, value in trial.params.items()]
    return "<br>".join(html.escape(line) for line in lines if line)
