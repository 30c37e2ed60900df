"""The layout of the front's figures, which holds on a phone and on a desk: nothing is cut, nothing overlaps.

A figure has the same height and margins at every width. From the top: buttons, the title of the vertical axis (lying,
as one over two lines would not fit beside a low plot), the plot, the title of the horizontal axis, a colour bar, the
legend.
"""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from reports.page.figure_style import split_buttons, styled

Views = dict[str, tuple[dict[str, Any], dict[str, Any]]]  # split -> changes to the traces, to the layout

LEFT, RIGHT, EDGE = 52, 14, 4  # pixels of the margins, and from the edge to what stands in them
BUTTONS, LINE, GAP = 44, 17, 12  # pixels of the buttons, a line of a title, the gap above the plot
TICKS, BAR, ROW = 30, 62, 22  # pixels below the plot: of tick labels, a colour bar, a row of the legend
SYMBOL, CHARACTER = 40, 6.3  # pixels of an entry of the legend
FIGURE_WIDTHS = (344, 566, 1170)  # on a phone, in two columns, alone on a desk
TITLE_FONT = {"size": 13}


def framed(
    figure: go.Figure,
    plot_height: int,
    titles: tuple[str, str],
    entries: Sequence[str],
    has_buttons: bool = False,
    has_bar: bool = False,
) -> go.Figure:
    """Lays out a figure of one plot around its titles (of x, of y; lines separated by '<br>').

    ``entries``: the names in the legend, for which there is room on a phone.
    """
    rows = legend_rows(entries)
    lines = [title.count("<br>") + 1 for title in titles]
    top = (BUTTONS if has_buttons else 0) + LINE * lines[1] + GAP
    bottom = TICKS + LINE * lines[0] + (BAR if has_bar else 0) + ROW * rows + 3 * EDGE
    height = top + plot_height + bottom
    styled(figure, height)
    figure.update_layout(
        margin={"l": LEFT, "r": RIGHT, "t": top, "b": bottom},
        annotations=[upright_title(titles[1])],
        legend={"tracegroupgap": 0, "xref": "container", "x": 0, "xanchor": "left", "yref": "container",
                "y": (ROW * rows + 2 * EDGE) / height, "yanchor": "top"},
    )  # fmt: skip
    figure.update_xaxes(title={"text": titles[0], "font": TITLE_FONT, "standoff": 6})
    return figure


def legend_rows(entries: Sequence[str]) -> int:
    """The rows of a lying legend in the narrowest figure, as wide as its plot."""
    rows, used = 1, 0.0
    for entry in entries:
        width = SYMBOL + CHARACTER * len(entry)
        rows, used = (rows + 1, width) if used + width > FIGURE_WIDTHS[0] - LEFT - RIGHT else (rows, used + width)
    return rows


def upright_title(text: str) -> dict[str, Any]:
    """The title of the vertical axis as an annotation, lying above the plot, from the left edge of the figure."""
    return {
        "text": text, "visible": True, "showarrow": False, "font": TITLE_FONT, "align": "left", "borderpad": 0,
        "xref": "paper", "x": 0, "xanchor": "left", "xshift": EDGE - LEFT,
        "yref": "paper", "y": 1, "yanchor": "bottom", "yshift": GAP / 2,
    }  # fmt: skip


def placed_buttons(figure: go.Figure, per_split: Views) -> None:
    """Puts ``split_buttons`` into the upper left corner of a framed figure."""
    above = figure.layout.margin.t - BUTTONS + EDGE
    figure.update_layout(updatemenus=[split_buttons(per_split, left=EDGE - LEFT, above=above)])


def plot_sizes(plot_height: int) -> list[tuple[float, float]]:
    """Widths and heights of the plot in pixels, in the figures that a page may show."""
    return [(width - LEFT - RIGHT, plot_height) for width in FIGURE_WIDTHS]


def lying_bar(figure: go.Figure) -> dict[str, Any]:
    """A colour bar between the horizontal axis and the legend of a framed figure; its title is ``bar_title``."""
    above_legend = figure.layout.legend.y + EDGE / figure.layout.height
    return {"orientation": "h", "thickness": 10, "len": 1.0, "x": 0, "xanchor": "left", "xpad": 0, "ypad": 0,
            "yref": "container", "y": above_legend, "yanchor": "bottom", "outlinewidth": 0,
            "title": {"text": ""}}  # fmt: skip


def bar_title(text: str, figure: go.Figure) -> dict[str, Any]:
    """The title of the colour bar as an annotation."""
    below = TICKS + LINE * (figure.layout.xaxis.title.text.count("<br>") + 1)
    return {"text": text, "visible": True, "showarrow": False, "font": {"size": 12}, "borderpad": 0, "xref": "paper",
            "x": 0, "xanchor": "left", "yref": "paper", "y": 0, "yanchor": "top", "yshift": -below}  # fmt: skip
