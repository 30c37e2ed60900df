"""The common style of all figures: colours, transparent backgrounds, and how values are written."""

import html
import json
import math
import textwrap
from collections.abc import Iterable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from study.record.measures import (
    Row,
    Scale,
    examples_behind,
    interval_of,
    log_ticks,
    short_number,
    value_text,
)
from study.record.trials import spread_of
from study.trainable import Metric

# Okabe and Ito's palette, distinguishable with every common form of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GRAY = "#808890"  # legible on white and on near-black; the page's script sharpens text to its theme
INK = "#1d2329"  # behind white lines and text, so that they stand out on any background
FAINT = "rgba(128,136,144,0.28)"
COST_COLORSCALE = "Viridis"
SMALL = 1e-3  # numbers below are written with an exponent


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


def split_buttons(
    per_split: dict[str, tuple[dict[str, Any], dict[str, Any]]], left: float = 0, above: float = 6
) -> dict[str, Any]:
    """Two buttons, validation and test, from split -> (changes to the traces, changes to the layout).

    ``left`` and ``above`` move them from the upper left corner of the plot, in pixels.
    """
    words = {"val": "validation (selection)", "test": "test (reported)"}
    return {
        "type": "buttons",
        "direction": "right",
        "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
        "pad": {"t": 0, "r": 0, "l": left, "b": above},
        "showactive": True,
        "bordercolor": GRAY,
        "bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},
        "buttons": [
            {"label": words[split], "method": "update", "args": [traces, layout]}
            for split, (traces, layout) in per_split.items()
        ],
    }  # fmt: skip


def titled(figure: go.Figure, text: str, width: int = 42) -> go.Figure:
    """Puts what a figure shows above it, in lines that fit a phone, instead of a title beside an axis."""
    lines = [html.escape(line) for line in textwrap.wrap(text, width)]
    title = {"text": "<br>".join(lines), "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container",
             "yanchor": "top", "pad": {"t": 10 * len(lines), "l": 8}, "font": {"size": 14}}  # fmt: skip
    figure.update_layout(title=title, margin={"t": 26 + 19 * len(lines)})
    return figure


def row_label(*texts: str, width: int = 26) -> str:
    """The label of a row, each text in lines of its own that a phone has room for, escaped for Plotly."""
    return "<br>".join(html.escape(line) for text in texts for line in textwrap.wrap(text, width))


def factor_text(value: Any) -> str:
    """A factor's value as a person would write it; '–' if a conditional factor is not active.

    Example:
        >>> [factor_text(value) for value in (0.1 + 0.2, 1e-05, 0.00025, 300000.0, True, "free", [0.1, 8], None)]
        ['0.3', '1e-5', '2.5e-4', '300000', 'true', 'free', '[0.1, 8]', '–']
    """
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(factor_text(item) for item in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


def _number_text(value: float) -> str:
    """Up to six significant digits, small and large numbers as '1.5e-4'."""
    is_small = 0 < abs(value) < SMALL
    mantissa, sign, exponent = f"{value:{'.5e' if is_small else '.6g'}}".partition("e")
    if not sign:
        return mantissa
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


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


def plain_numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers rounded to five significant digits, as stored in the page; None for non-finite ones."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]


def maybe_log(values: pd.Series, scale: Scale) -> list[float | None]:
    """Values in their unit, as log10 if they span over a factor of 10 (colour bars have no log type)."""
    sized = values / scale.size
    if not scale.is_log:
        return plain_numbers(sized)
    return plain_numbers(math.log10(value) if value > 0 else math.nan for value in sized)


def decade_ticks(values: pd.Series, scale: Scale) -> dict[str, Any]:
    """Ticks for values that are already log10."""
    ticks = log_axis_ticks(values / scale.size)
    return ticks | {"tickvals": [math.log10(tick) for tick in ticks["tickvals"]]}


def log_axis_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Axis settings that label 1, 2, 5 times powers of ten within the positive ``values``."""
    positive = [value for value in values if value > 0]
    ticks = log_ticks(min(positive), max(positive))
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [short_number(tick) for tick in ticks]}
