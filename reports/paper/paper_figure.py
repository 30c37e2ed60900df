"""The paper's numbers and ours as a dumbbell chart: a row for each row of the paper's table."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from reports.page.figure_style import BLUE, GRAY, ORANGE, plain_numbers, row_label, styled, titled

ROW_HEIGHT = 52


@dataclass(frozen=True)
class Beside:
    """One accuracy of one row: the paper's, ours with the ends of its interval, and the trial; NaN if there is none."""

    row: str
    paper: float
    ours: float
    low: float
    high: float
    uid: str | None


def dumbbells(title: str, rows: Sequence[Beside], paper_words: str, our_words: str, *, is_one_scale: bool) -> go.Figure:
    """Both values of each row, joined by a line where they are on one scale.

    Args:
        title: what the accuracy is.
        rows: in the paper's order.
        paper_words, our_words: what each mark is of.
        is_one_scale: whether the two can be compared.
    """
    names, figure = [_label(one.row) for one in rows], go.Figure()
    for name, one in zip(names, rows, strict=True) if is_one_scale else ():
        figure.add_scatter(
            x=plain_numbers([one.paper, one.ours]), y=[name, name], mode="lines", hoverinfo="skip", showlegend=False,
            line={"color": GRAY, "width": 2},
        )  # fmt: skip
    figure.add_scatter(
        x=plain_numbers(one.paper for one in rows), y=names, mode="markers", name=paper_words,
        marker={"size": 10, "symbol": "diamond", "color": ORANGE}, hovertemplate="paper: %{x}%<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=plain_numbers(one.ours for one in rows), y=names, mode="markers", name=our_words,
        marker={"size": 10, "color": BLUE}, customdata=[one.uid for one in rows],
        error_x={"type": "data", "symmetric": False, "color": BLUE, "thickness": 1.5, "width": 4,
                 "array": plain_numbers(one.high - one.ours for one in rows),
                 "arrayminus": plain_numbers(one.ours - one.low for one in rows)},
        hovertemplate="ours: %{x}%<extra></extra>",
    )  # fmt: skip
    height = 150 + ROW_HEIGHT * len(rows)
    styled(figure, height)
    figure.update_layout(margin={"b": 84, "l": 8}, legend={"y": -34 / (height - 130), "orientation": "v"})
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], tickfont={"size": 12})
    return titled(figure, title)


def _label(name: str) -> str:
    model, _, settings = name.partition(" (")
    return row_label(model, f"({settings}" if settings else "")
