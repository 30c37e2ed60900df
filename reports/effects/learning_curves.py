"""Interim evaluations of every trial over the training spent, to show what early stopping did."""

import html
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.page.figure_style import BLUE, GRAY, ORANGE, VERMILLION, log_axis_ticks, styled
from study.record.journal import TrialRecord
from study.record.measures import CostScale, cost_scale, label
from study.record.trials import TrialTable

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


def learning_curves(table: TrialTable, measures: list[str]) -> go.Figure:
    """One panel per measure (a validation accuracy), one line per trial; failed trials are left out."""
    figure = make_subplots(rows=1, cols=len(measures), horizontal_spacing=0.12)
    front = set(table.front["uid"])
    trials = table.study.with_state("running", "complete", "stopped")
    passes = [point["view_passes"] for trial in trials for point in _points(trial, measures)]
    scale = cost_scale("view_passes", passes)
    for column, measure in enumerate(measures, start=1):
        for group, (name, line) in GROUPS.items():
            members = [trial for trial in trials if ("front" if trial.uid in front else trial.state) == group]
            trace = _lines(members, measure, measures, scale, table.pgd_steps)
            trace.update(name=name, legendgroup=group, showlegend=column == 1 and bool(members), line=line)
            trace.marker.symbol = "x" if group == "stopped" else "circle"
            figure.add_trace(trace, row=1, col=column)
        title = f"validation {label(measure, table.pgd_steps)}".replace("accuracy, ", "accuracy,<br>")
        figure.update_yaxes(title={"text": title}, row=1, col=column)
    styled(figure, height=440)
    figure.update_layout(margin={"t": 24})
    figure.update_xaxes(title={"text": scale.label})
    if scale.is_log:
        figure.update_xaxes(type="log", **log_axis_ticks(value / scale.size for value in passes))
    return figure


def _points(trial: TrialRecord, measures: list[str]) -> list[dict[str, Any]]:
    """The interim evaluations, followed by the final one if it came later."""
    points = [report for report in trial.reports if report.get("view_passes") is not None]
    end = trial.metrics if trial.state == "complete" else {}
    is_later = (end.get("view_passes") or 0) > max((point["view_passes"] for point in points), default=0)
    return [*points, end] if is_later and any(end.get(name) is not None for name in measures) else points


def _lines(
    trials: list[TrialRecord], measure: str, measures: list[str], scale: CostScale, pgd_steps: int | None
) -> go.Scatter:
    """All trials of a group in one trace, with gaps between trials: hundreds of traces would make the page slow."""
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        for point in _points(trial, measures):
            x.append(point["view_passes"] / scale.size)
            y.append(point.get(measure))
            texts.append(_hover(trial, point, measure, pgd_steps))
        x.append(None)
        y.append(None)
        texts.append("")
    return go.Scatter(
        x=x, y=y, mode="lines+markers", marker={"size": 6}, hovertext=texts, hovertemplate="%{hovertext}<extra></extra>"
    )


def _hover(trial: TrialRecord, point: dict[str, Any], measure: str, pgd_steps: int | None) -> str:
    value = point.get(measure)
    lines = [f"trial {trial.uid}, {trial.state}"]
    lines += [trial.reason] if trial.state == "stopped" and trial.reason else []
    lines += [f"{name} = {value}" for name, value in trial.params.items()]
    lines.append(f"validation {label(measure, pgd_steps)}: {'–' if value is None else f'{value:.1f}'}")
    lines.append(f"view passes: {point['view_passes']:,}")
    return "<br>".join(html.escape(line) for line in lines)
