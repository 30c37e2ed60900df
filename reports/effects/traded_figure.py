"""Two fields whose product decides the cost, such as views and epochs, against each other at equal cost."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from reports.page.figure_style import full_text, plain_numbers, styled, titled
from reports.page.recipe import recipe_text
from study.record.measures import short_label
from study.record.recipe import Words, recipe_words
from study.record.trials import FACTOR_PREFIX, TrialTable, whisker_of
from study.trainable import Metric, Trainable

MAX_LEVELS = 4  # a factor that is a number of more values is not held fixed: hardly two configurations would be alike
MAX_SETTINGS = 3


@dataclass(frozen=True)
class Traded:
    """What can be compared at equal cost: configurations of one setting whose two fields have the same product.

    Args:
        fields: the two fields, the one along the axis first.
        settings: the setting of the other factors in words -> its configurations, of which at least two at different
            values of the first field have an equal ``product``; those with the most configurations first.
        fixed, loose: the other factors that vary and are equal within a setting, and those that are not.
        num_left_out: how many more settings there are.
    """

    fields: tuple[str, str]
    settings: dict[str, pd.DataFrame]
    fixed: tuple[str, ...]
    loose: tuple[str, ...]
    num_left_out: int


def traded_fields(table: TrialTable) -> tuple[str, str] | None:
    """The two fields of ``Trainable.traded`` if both vary over numbers (those of an ablation are levels); else None."""
    traded = (table.trainable or Trainable).traded
    if traded is None or not set(traded) <= set(table.factors):
        return None
    values = [table.whole[FACTOR_PREFIX + name] for name in traded]
    return traded if all(_is_numeric(one) and one.nunique() > 1 for one in values) else None


def traded_at_equal_cost(table: TrialTable, fields: tuple[str, str]) -> Traded:
    """The settings in which ``fields`` were traded; the same product is the same cost, as all else is equal.

    A setting holds every other factor equal, but for numbers with more than four values, such as the smallest crop.
    """
    columns = [FACTOR_PREFIX + name for name in fields]
    rows = table.whole[table.whole["validity"].map(len) == 0].dropna(subset=columns)
    rows = rows.assign(product=rows[columns].astype(float).prod(axis=1))
    others = [name for name in table.factors if name not in fields and rows[FACTOR_PREFIX + name].nunique(False) > 1]
    loose = tuple(name for name in others if _is_loose(rows[FACTOR_PREFIX + name]))
    fixed = tuple(name for name in others if name not in loose)
    words = table.trainable.words if table.trainable else {}
    names = pd.Series([_setting(row, fixed, words) for _, row in rows.iterrows()], index=rows.index, dtype=object)
    found = {str(name): _comparable(own, columns[0]) for name, own in rows.groupby(names, sort=False)}
    order = sorted((name for name, own in found.items() if len(own)), key=lambda name: -len(found[name]))
    settings = {name: found[name] for name in order[:MAX_SETTINGS]}
    return Traded(fields, settings, fixed, loose, len(order) - len(settings))


def traded_figure(table: TrialTable, metric: Metric, traded: Traded) -> go.Figure:
    """A panel per setting: ``metric`` over the first field; each line joins the means at one product of both fields."""
    names = [html.escape(name) for name in traded.settings]
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, subplot_titles=names if any(names) else None,
                           vertical_spacing=0.24 / len(names))  # fmt: skip
    products = sorted({product for rows in traded.settings.values() for product in rows["product"]})
    shades = sample_colorscale(
        "Viridis", [0.3 + 0.5 * place / max(1, len(products) - 1) for place in range(len(products))]
    )
    shown = set[float]()
    for line, rows in enumerate(traded.settings.values(), start=1):
        for product, own in rows.dropna(subset=[metric.name]).groupby("product"):
            color = str(shades[products.index(product)])
            own = own.sort_values(FACTOR_PREFIX + traded.fields[0], kind="stable")
            marks = _marks(table, own, metric, traded.fields[0], color)
            name = f"{traded.fields[0]} × {traded.fields[1]} = {product:g}"
            marks |= {"name": name, "legendgroup": name, "showlegend": product not in shown}
            figure.add_scatter(**_line(own, metric, traded.fields[0], color), legendgroup=name, row=line, col=1)
            figure.add_scatter(**marks, row=line, col=1)
            shown.add(product)
    height = 180 + 210 * len(names) + 20 * math.ceil(len(shown) / 2)
    styled(figure, height)
    values = sorted({float(v) for rows in traded.settings.values() for v in rows[FACTOR_PREFIX + traded.fields[0]]})
    figure.update_xaxes(type="log", tickvals=values, ticktext=[f"{value:g}" for value in values])
    axis_title = {"text": f"{traded.fields[0]} (fewer {traded.fields[1]} to the right)", "font": {"size": 13}}
    figure.update_xaxes(title=axis_title, row=len(names), col=1)
    figure.update_annotations(font={"size": 13})
    titled(figure, short_label(metric))
    figure.update_layout(margin={"l": 48, "b": 112}, legend={"y": -64 / (height - 180)})
    if any(names):
        figure.layout.margin.t += 20
    return figure


def _line(rows: pd.DataFrame, metric: Metric, field: str, color: str) -> dict[str, Any]:
    means = rows.groupby(rows[FACTOR_PREFIX + field].astype(float))[metric.name].mean()
    return {
        "x": plain_numbers(means.index), "y": plain_numbers(means), "mode": "lines", "hoverinfo": "skip",
        "showlegend": False, "line": {"color": color, "width": 2},
    }  # fmt: skip


def _marks(table: TrialTable, rows: pd.DataFrame, metric: Metric, field: str, color: str) -> dict[str, Any]:
    """Each configuration of one product, with its whisker."""
    records = rows.to_dict("records")
    whiskers = [whisker_of(row, metric) or (math.nan, math.nan) for row in records]
    words = [
        f"{row['uid']}<br>{html.escape(recipe_text(table, row['uid']))}<br>{html.escape(full_text(row, metric))}"
        for row in records
    ]
    return {
        "x": plain_numbers(rows[FACTOR_PREFIX + field].astype(float)), "y": plain_numbers(rows[metric.name]),
        "customdata": rows["uid"].tolist(), "mode": "markers", "marker": {"size": 9, "color": color},
        "error_y": {"type": "data", "symmetric": False, "color": color, "thickness": 1.2, "width": 3,
                    "array": plain_numbers(up for _, up in whiskers),
                    "arrayminus": plain_numbers(down for down, _ in whiskers)},
        "hovertext": words, "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip


def _comparable(rows: pd.DataFrame, first: str) -> pd.DataFrame:
    """The rows whose product also occurs at another value of the first field."""
    values = rows.groupby("product")[first].transform("nunique")
    return rows[values > 1]


def _setting(row: pd.Series, fixed: Sequence[str], words: Words) -> str:
    return recipe_words({name: row[FACTOR_PREFIX + name] for name in fixed}, fixed, words)


def _is_loose(values: pd.Series) -> bool:
    return _is_numeric(values) and values.nunique() > MAX_LEVELS


def _is_numeric(values: pd.Series) -> bool:
    present = values.dropna()
    return len(present) > 0 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)
