"""Interim evaluations of every trial over the training spent, to show what early stopping did."""

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.page.figure_style import BLUE, GRAY, ORANGE, VERMILLION, log_axis_ticks, styled
from study.record.journal import TrialRecord
from study.record.measures import axis_scale, in_words, on_its_split, value_text
from study.record.trials import TrialTable
from study.trainable import Metric

# Group -> (name in the legend, line style).
GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "stopped": ("stopped early", {"color": VERMILLION, "dash": "dash", "width": 1.5}),
    "running": ("still running", {"color": GRAY, "dash": "dot", "width": 1.5}),
    "complete": ("complete", {"color": BLUE, "width": 1.5}),
    "front": ("complete, on the front", {"color": ORANGE, "width": 3}),
}


def has_curves(table: TrialTable) -> bool:
    """Whether any trial that did not fail was evaluated before its end."""
    return any(trial.reports for trial in table.study.with_state("running", "complete", "stopped"))


def learning_curves(table: TrialTable, metrics: Sequence[Metric]) -> go.Figure:
    """One panel per metric, one line per trial over its progress; failed trials are left out."""
    figure = make_subplots(rows=1, cols=len(metrics), horizontal_spacing=0.12)
    front, progress = set(table.front["uid"]), table.metric(table.progress)
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {group: {} for group in GROUPS}
    for trial in table.study.with_state("running", "complete", "stopped"):
        groups["front" if trial.uid in front else trial.state][trial.uid] = _points(trial, progress, metrics)
    reached = [point[progress.name] for lines in groups.values() for points in lines.values() for point in points]
    scale = axis_scale(progress, reached)
    for column, metric in enumerate(metrics, start=1):
        for group, (name, line) in GROUPS.items():
            x: list[float | None] = []  # all trials in one trace, with gaps: hundreds of traces make the page slow
            y: list[float | None] = []
            texts: list[str] = []
            for uid, points in groups[group].items():
                x += [*(point[progress.name] / scale.size for point in points), None]
                y += [*(point.get(metric.name) for point in points), None]
                texts += [*(_hover(table.study.trials[uid], point, metric, progress) for point in points), ""]
            figure.add_scatter(
                x=x, y=y, mode="lines+markers", marker={"size": 6, "symbol": "x" if group == "stopped" else "circle"},
                name=name, legendgroup=group, showlegend=column == 1 and bool(x), line=line,
                hovertext=texts, hovertemplate="%{hovertext}<extra></extra>", row=1, col=column,
            )  # fmt: skip
        figure.update_yaxes(title={"text": on_its_split(metric).replace(", ", ",<br>", 1)}, row=1, col=column)
    styled(figure, height=440)
    figure.update_layout(margin={"t": 24})
    figure.update_xaxes(title={"text": scale.label})
    if scale.is_log:
        figure.update_xaxes(type="log", **log_axis_ticks(value / scale.size for value in reached))
    return figure


def _points(trial: TrialRecord, progress: Metric, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """The interim evaluations, followed by the final one if it came later."""
    points = [report for report in trial.reports if report.get(progress.name) is not None]
    end = trial.metrics if trial.state == "complete" else {}
    is_later = (end.get(progress.name) or 0) > max((point[progress.name] for point in points), default=0)
    return [*points, end] if is_later and any(end.get(metric.name) is not None for metric in metrics) else points


def _hover(trial: TrialRecord, point: dict[str, Any], metric: Metric, progress: Metric) -> str:
    lines = [f"trial {trial.uid}, {trial.state}"]
    lines += [trial.reason] if trial.state == "stopped" and trial.reason else []
    lines += [f"{name} = {value}" for name, value in trial.params.items()]
    lines.append(f"{on_its_split(metric)}: {value_text(metric, point.get(metric.name))}")
    lines.append(f"{in_words(progress)}: {point[progress.name]:,}")
    return "<br>".join(html.escape(line) for line in lines)
