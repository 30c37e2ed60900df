"""Exports the tables and figures of a report as files for a paper."""

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
import plotly.io

from reports.page.page import FIGURE_CONFIG, Section
from reports.page.table_formats import to_csv, to_latex, to_markdown

FORMATS = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
IMAGE_FORMATS = ("svg", "png")
IMAGE_WIDTH = 1000  # pixels; PNG at twice the density
TEXT_COLOR = "#1d2329"


def export_report(sections: list[Section], folder: Path) -> list[str]:
    """Writes every table as CSV, Markdown and LaTeX and every figure as HTML, SVG and PNG below ``folder``.

    The HTML files share one copy of plotly.js, which lies beside them.

    Returns:
        One line for each kind of file: how many were written and where, or why none were.
    """
    tables = {table.name: table for section in sections for table in (*section.tables, *section.exports)}
    figures = {name: _for_paper(figure) for section in sections for name, figure in section.figures.items()}
    for part in ("tables", "figures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        for suffix, written_as in FORMATS.items():
            (folder / "tables" / f"{name}.{suffix}").write_text(written_as(table), encoding="utf-8")
    for name, figure in figures.items():
        figure.write_html(folder / "figures" / f"{name}.html", include_plotlyjs="directory", config=FIGURE_CONFIG)
    return [
        f"{len(tables)} tables as CSV, Markdown and LaTeX in {folder / 'tables'}",
        f"{len(figures)} figures as HTML in {folder / 'figures'}, which open offline beside their plotly.min.js",
        _write_images(figures, folder / "figures"),
    ]


def has_kaleido() -> bool:
    """Whether kaleido, which draws SVG and PNG, is installed."""
    return importlib.util.find_spec("kaleido") is not None


def _write_images(figures: Mapping[str, go.Figure], folder: Path) -> str:
    """Writes SVG and PNG with kaleido, which is optional and needs Chrome; returns one line on the outcome."""
    images = {view: image for name, figure in figures.items() for view, image in image_views(name, figure).items()}
    if not images:
        return "no figures to write as SVG and PNG"
    if not has_kaleido():
        return "no SVG and PNG: kaleido is not installed (pip install 'kaleido>=1'; it also needs Chrome or Chromium)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for suffix in IMAGE_FORMATS:
                plotly.io.write_images(
                    fig=list(images.values()),
                    file=[folder / f"{name}.{suffix}" for name in images],
                    width=IMAGE_WIDTH,
                    height=[image.layout.height for image in images.values()],
                    scale=2 if suffix == "png" else 1,
                )
    except Exception as error:  # from kaleido, its browser, or a page in it: they have no common type
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"no SVG and PNG: kaleido could not draw them: {reason}"
    return f"{len(images)} images as SVG and PNG in {folder}"


def image_views(name: str, figure: go.Figure) -> dict[str, go.Figure]:
    """The figure as images: ``<name>``, on validation if it has buttons for both splits, and then ``<name>_test``.

    Buttons are removed, as paper has no clicks.
    """
    names = {0: name, 1: f"{name}_test"} if figure.layout.updatemenus else {None: name}
    views = {}
    for button, view_name in names.items():
        view = go.Figure(figure)
        if button is not None:
            traces, layout = figure.layout.updatemenus[0].buttons[button].args
            for index, trace in enumerate(view.data):
                # As in plotly.js, each list has one entry per trace.
                changes = {key.replace(".", "_"): values[index] for key, values in traces.items()}
                trace.update(
                    {key: value for key, value in changes.items() if not (isinstance(value, list) and not value)}
                )
            view.update_layout(layout)
        view.data = [trace for trace in view.data if trace.visible in (True, None)]
        view.layout.updatemenus = ()
        views[view_name] = view
    return views


def _for_paper(figure: go.Figure) -> go.Figure:
    """The figure with dark text on a white background."""
    paper = go.Figure(figure)
    paper.update_layout(paper_bgcolor="white", plot_bgcolor="white", font={"color": TEXT_COLOR})
    return paper
