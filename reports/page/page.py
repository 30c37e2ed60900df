"""The page of a report: one self-contained HTML file."""

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reports.page.html_templates import filled
from reports.page.report_table import ReportTable
from reports.page.tables import html_table
from study.files import replacing

if TYPE_CHECKING:
    from reports.answer.answer import Answer

# Nothing leaves the page: by default, plotly.js has a button that uploads a chart.
FIGURE_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToAdd": ["select2d", "lasso2d"],  # left out by default where a chart has lines alone
}
HERE = Path(__file__).parent
# The scripts of the page in the order in which they run, all in one scope.
SCRIPTS = (
    "figures.js", "tables.js", "reload.js", "selection.js", "values.js", "linked_charts.js", "linked_tables.js",
    "explorer.js", "bar.js", "panel.js", "panel_charts.js", "location.js",
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Args:
        title: heading of the section.
        caption: plain text below the heading.
        body: HTML below the figures.
        figures: file stem -> figure; several are placed side by side.
        tables: shown at the end of the section.
        exports: tables that ``body`` shows in its own form; exported to files like ``tables``.
        method: plain text that a reader unfolds: how the numbers come about.
        missing: why there is not the evidence for this section; it is then one line at the end of the page.
    """

    title: str
    caption: str
    body: str = ""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    tables: tuple[ReportTable, ...] = ()
    exports: tuple[ReportTable, ...] = ()
    method: str = ""
    missing: str = ""

    @property
    def anchor(self) -> str:
        """The id of the section's element, made from its title."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def render_page(
    name: str, answer: "Answer", sections: list[Section], notes: Sequence[str] = (), reload_seconds: float | None = None
) -> str:
    """The page of the study ``name``; for ``reload_seconds`` see ``whole_page``."""
    from reports.answer.answer_html import answer_head  # other pages need none of the statistics behind it

    return whole_page(f"{name}: report", answer_head(name, answer, notes), sections, reload_seconds)


def whole_page(title: str, header: str, sections: list[Section], reload_seconds: float | None = None) -> str:
    """A page with any header, given as HTML; plotly.js is included once, if any section has a figure.

    With ``reload_seconds``, an open page reloads itself at that interval until its reader interacts with it.
    """
    missing = [section for section in sections if section.missing]
    sections = [section for section in sections if not section.missing]
    has_figure = [bool(section.figures) or "plotly-graph-div" in section.body for section in sections]
    first_drawn = has_figure.index(True) if any(has_figure) else None
    return filled(
        "page/templates/page.html",
        title=title,
        header=Markup(header),
        sections=sections,
        missing=missing,
        drawings=[[_drawing(figure) for figure in section.figures.values()] for section in sections],
        tables=[[html_table(table) for table in section.tables] for section in sections],
        first_drawn=first_drawn,
        script_after=len(sections) - 1 if first_drawn is None else first_drawn,
        reload_seconds=reload_seconds,
        style=Markup(_inlined(sorted(path.name for path in HERE.glob("*.css")))),
        script=Markup(_inlined(SCRIPTS)),
        plotly="" if first_drawn is None else Markup(get_plotlyjs()),
        figure_config=Markup(json.dumps(FIGURE_CONFIG)),
    )


def _inlined(names: Iterable[str]) -> str:
    """Style sheets or scripts of this folder, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def _drawing(figure: go.Figure) -> dict[str, Any]:
    # '<' is written as a JSON escape, so that no text of a study can end the script element.
    return {"height": figure.layout.height, "data": Markup(figure.to_json().replace("<", "\\u003c"))}


def page_header(title: str, facts: Mapping[str, str], notes: Sequence[str] = ()) -> Markup:
    """The head of a page other than a study's: title, notes, facts; escaped unless ``Markup``."""
    return filled("page/templates/header.html", title=title, notes=notes, facts=facts)


def write_page(page: str, path: Path) -> None:
    """Writes a page atomically, because a browser may be reading an earlier one; creates its folder."""
    with replacing(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def utc_text(seconds: float | None = None) -> str:
    """A time in Unix seconds as text; now for None."""
    return datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
