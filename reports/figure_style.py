"""How every figure looks: colours, transparent backgrounds, and what a mark says when pointed at."""

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go

from reports.measures import (
    COSTS,
    SPLIT_WORDS,
    format_cost,
    images_behind,
    interval_of,
    label,
    log_ticks,
    on_split,
    short_number,
)
from reports.trials import FACTOR_PREFIX, TrialTable

# Okabe and Ito's palette, told apart with every common colour blindness.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GRAY = "#808890"  # legible on white and on near-black; the page's script sharpens text to its theme
FAINT = "rgba(128,136,144,0.28)"
COST_COLORSCALE = "Viridis"


def styled(figure: go.Figure, height: int) -> go.Figure:
    """Gives ``figure`` the house layout; texts and grid are mid-gray, so that it reads on light and dark pages."""
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13, "color": GRAY},
        margin={"l": 64, "r": 16, "t": 56, "b": 112},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top", "itemsizing": "constant"},
        hoverlabel={"align": "left"},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": GRAY, "activecolor": BLUE},
    )
    axis = {"gridcolor": FAINT, "zeroline": False, "linecolor": GRAY, "showline": True, "ticks": "outside",
            "tickcolor": GRAY, "automargin": True}  # fmt: skip
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    return figure


def split_buttons(per_split: dict[str, tuple[list[bool], dict[str, Any]]]) -> dict[str, Any]:
    """Two buttons, validation and test: split -> (which traces are visible, layout changes that go with them)."""
    words = {"val": "validation (selection)", "test": "test (reported)"}
    return {
        "type": "buttons",
        "direction": "right",
        "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
        "pad": {"t": 0, "r": 0, "l": 0, "b": 6},
        "showactive": True,
        "bordercolor": GRAY,
        "bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},
        "buttons": [
            {"label": words[split], "method": "update", "args": [{"visible": visible}, layout]}
            for split, (visible, layout) in per_split.items()
        ],
    }  # fmt: skip


def value_text(value: Any) -> str:
    """A factor's value as a person writes it; '–' where a conditional factor is not active."""
    if value is None or value != value:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def percent_text(row: Mapping[str, Any], name: str) -> str:
    """An accuracy with its Wilson 95% interval and number of images, e.g. '45.2 [40.1, 50.4], n=360'."""
    value, interval = row.get(name, float("nan")), interval_of(row, name)
    if value != value:
        return "–"
    if interval is None:
        return f"{value:.1f} (n unknown)"
    return f"{value:.1f} [{interval[0]:.1f}, {interval[1]:.1f}], n={images_behind(row, name):,}"


def hover_text(row: Mapping[str, Any], table: TrialTable) -> str:
    """All that a report says of one trial, one thing a line, escaped for Plotly's hover box."""
    lines = [f"trial {row['uid']}" + (", on the front" if row["on_front"] else "")]
    lines += [f"{name} = {value_text(row[FACTOR_PREFIX + name])}" for name in table.factors]
    measured = [on_split(name, "test") for name in table.accuracies("val")] + table.accuracies("test")
    for name in dict.fromkeys(measured):
        for split in ("val", "test"):
            text = percent_text(row, on_split(name, split))
            if text != "–":
                lines.append(f"{SPLIT_WORDS[split]} {label(name, table.pgd_steps)}: {text}")
    lines += [f"{COSTS[name][0]}: {format_cost(name, row[name])}" for name in COSTS if name in row]
    lines += [f"⚠ {warning}" for warning in row["validity"]]
    return "<br>".join(html.escape(line) for line in lines)


def log_axis_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Axis settings that label 1, 2, 5 times powers of ten within the positive ``values``."""
    positive = [value for value in values if value > 0]
    ticks = log_ticks(min(positive), max(positive))
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [short_number(tick) for tick in ticks]}
