"""The common style of all figures: colours, transparent backgrounds, and the hover texts of marks."""

import html
import json
import math
import textwrap
from collections.abc import Iterable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.page.rerun import rerun_command
from study.record.measures import (
    Row,
    Scale,
    examples_behind,
    in_words,
    interval_of,
    log_ticks,
    on_its_split,
    on_split,
    short_number,
    value_text,
)
from study.record.trials import FACTOR_PREFIX, TrialTable, spread_of
from study.trainable import Metric

# Okabe and Ito's palette, distinguishable with every common form of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GRAY = "#808890"  # legible on white and on near-black; the page's script sharpens text to its theme
INK = "#1d2329"  # behind white lines and text, so that they stand out on any background
FAINT = "rgba(128,136,144,0.28)"
COST_COLORSCALE = "Viridis"
HOVER_WIDTH = 90  # characters per line of a command in a hover box


def styled(figure: go.Figure, height: int) -> go.Figure:
    """Gives ``figure`` the common layout; text and grid are mid-gray, to be legible on light and dark pages."""
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


def split_buttons(per_split: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Two buttons, validation and test, from split -> (changes to the traces, changes to the layout)."""
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
            {"label": words[split], "method": "update", "args": [traces, layout]}
            for split, (traces, layout) in per_split.items()
        ],
    }  # fmt: skip


def factor_text(value: Any) -> str:
    """A factor's value as readable text; '–' if a conditional factor is not active."""
    if value is None or value != value:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def measured_text(row: Row, metric: Metric) -> str:
    """A measurement for a table: '45.2 ± 1.3' over seeds, '45.2 [40.1, 50.4]' (Wilson) for one seed, '–' if none."""
    value, interval = row.get(metric.name, math.nan), interval_of(row, metric)
    spread, seeds = spread_of(row, metric.name)
    text = value_text(metric, value)
    if text == "–":
        return text
    if seeds > 1 and (spread > 0 or not metric.is_cost):  # equal configurations cost the same, but for the clock
        return f"{text} ± {value_text(metric, spread)}"
    return text if interval is None else f"{text} [{interval[0]:.1f}, {interval[1]:.1f}]"


def full_text(row: Row, metric: Metric) -> str:
    """``measured_text`` with what the uncertainty is over: '45.2 ± 1.3 (sd, 3 seeds), n=250'."""
    text, count = measured_text(row, metric), examples_behind(row, metric)
    if text == "–" or not metric.is_share:
        return text
    seeds = spread_of(row, metric.name)[1]
    over = f" (sd, {seeds} seeds)" if seeds > 1 else ""
    return f"{text}{over}, {'n unknown' if count is None else f'n={count:,}'}"


def hover_text(row: Row, table: TrialTable) -> str:
    """All details of one configuration, one per line, escaped for Plotly's hover box."""
    several = f", seeds {', '.join(str(seed) for seed in row['seeds'])}" if row["num_seeds"] > 1 else ""
    lines = [f"trial {', '.join(row['uids'])}{several}" + (", on the front" if row["on_front"] else "")]
    lines.append(f"probability of being on the front: {row['front_probability']:.2f}")
    lines += [f"{name} = {factor_text(row[FACTOR_PREFIX + name])}" for name in table.factors]
    measured = [on_split(metric, "test") for metric in table.shares("val")]
    measured += [metric.name for split in ("test", "") for metric in table.shares(split)]
    for name in dict.fromkeys(measured):
        for metric in (table.metric(on_split(table.metric(name), "val")), table.metric(name)):
            text = full_text(row, metric)
            line = f"{on_its_split(metric)}: {text}"
            if text != "–" and line not in lines:
                lines.append(line)
    others = sorted((m for m in table.measured if not m.is_share), key=lambda m: m.is_cost)
    lines += [f"{in_words(metric)}: {value_text(metric, row[metric.name])}" for metric in others]
    if row["num_lost"]:
        lines.append(f"⚠ {row['state']}: {row['num_lost']} of its trials were stopped or failed, so it is on no front")
    lines += [f"⚠ {warning}" for warning in row["validity"]]
    command = rerun_command(table, row["uid"])
    lines += textwrap.wrap(command, HOVER_WIDTH, break_on_hyphens=False) if command else []
    return "<br>".join(html.escape(line) for line in lines)


def plain_numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers rounded to five significant digits, as stored in the page; None for non-finite ones."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]


def maybe_log(values: pd.Series, scale: Scale) -> list[float | None]:
    """Values in their unit, as log10 if they span over a factor of 10 (colour bars have no log type)."""
    sized = values / scale.size
    if not scale.is_log:
        return plain_numbers(sized)
    return plain_numbers(math.log10(value) if value > 0 else math.nan for value in sized)


def color_axis(values: pd.Series, scale: Scale) -> dict[str, Any]:
    """A colour axis for values converted by ``maybe_log``."""
    ticks = decade_ticks(values, scale) if scale.is_log else {}
    bar = {"title": {"text": scale.label, "side": "right"}, "thickness": 12, "outlinewidth": 0, "len": 1.0} | ticks
    return {"colorscale": COST_COLORSCALE, "colorbar": bar}


def decade_ticks(values: pd.Series, scale: Scale) -> dict[str, Any]:
    """Ticks for values that are already log10."""
    ticks = log_axis_ticks(values / scale.size)
    return ticks | {"tickvals": [math.log10(tick) for tick in ticks["tickvals"]]}


def log_axis_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Axis settings that label 1, 2, 5 times powers of ten within the positive ``values``."""
    positive = [value for value in values if value > 0]
    ticks = log_ticks(min(positive), max(positive))
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [short_number(tick) for tick in ticks]}
