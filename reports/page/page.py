"""The page of a report: one self-contained HTML file."""

import html
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from reports.page.page_style import CONFIG_MARK, SCRIPT, STYLE
from reports.page.report_table import ReportTable
from reports.page.tables import html_table
from study.record.trials import TrialTable

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body$reload>
<main>
$header
$sections
</main>
</body>
</html>
""")
STATES = ("complete", "stopped", "failed", "running", "proposed")
# Nothing leaves the page: by default, plotly.js has a button that uploads a chart.
FIGURE_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}


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
    """

    title: str
    caption: str
    body: str = ""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    tables: tuple[ReportTable, ...] = ()
    exports: tuple[ReportTable, ...] = ()


def render_page(table: TrialTable, sections: list[Section], note: str = "", reload_seconds: float | None = None) -> str:
    """The page of a study; ``note`` is HTML about a running study, for ``reload_seconds`` see ``whole_page``."""
    header = _header(table, note or ("" if table.study.ended else _interrupted(table)))
    return whole_page(f"{table.study.name}: report", header, sections, reload_seconds)


def whole_page(title: str, header: str, sections: list[Section], reload_seconds: float | None = None) -> str:
    """A page with any header, given as HTML; plotly.js is included once, if any section has a figure.

    With ``reload_seconds``, an open page reloads itself at that interval until its reader interacts with it.
    """
    written = [_section(section, index) for index, section in enumerate(sections)]
    first = next((index for index, section in enumerate(sections) if section.figures), None)
    script = f"<script>{SCRIPT.replace(CONFIG_MARK, json.dumps(FIGURE_CONFIG))}</script>"
    if first is None:
        written.append(script)
    else:
        # Not run immediately: it takes about a second, during which the text above it can already be read.
        plotly = f'<script type="text/plain" id="plotly">{compiled_at_once(get_plotlyjs())}</script>'
        written.insert(first + 1, f"{plotly}\n{script}")
    return PAGE.substitute(
        title=html.escape(title),
        style=STYLE,
        reload="" if reload_seconds is None else f' data-reload="{reload_seconds:.0f}"',
        header=header,
        sections="\n".join(written),
    )


def compiled_at_once(plotlyjs: str) -> str:
    """plotly.js with its outermost function in parentheses; unchanged if that function is not found.

    Browsers take the parentheses as a hint that the function is called at once. Without them, they first skim its five
    million characters and then compile it anyway, which is a third of the time that plotly.js takes to start.
    """
    begin, end = ": this, () => {", "}));"
    if plotlyjs.count(begin) != 1 or not plotlyjs.rstrip().endswith(end):
        return plotlyjs
    body = plotlyjs.rstrip().removesuffix(end).replace(begin, ": this, (() => {")
    return f"{body}}})));"


def write_page(page: str, path: Path) -> None:
    """Writes a page atomically, because a browser may be reading an earlier one; creates its folder."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")  # another process may be writing the page at the same time
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def fact_list(facts: Mapping[str, str]) -> str:
    """The facts (name -> text) as an HTML list, escaped."""
    items = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())
    return f"<dl>{''.join(items)}</dl>"


def utc_text(seconds: float | None = None) -> str:
    """A time in Unix seconds as text; now for None."""
    return datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _section(section: Section, index: int) -> str:
    figures = [_figure(figure, f"figure-{index}-{part}") for part, figure in enumerate(section.figures.values())]
    drawn = f'<div class="pair">{"".join(figures)}</div>' if len(figures) > 1 else "".join(figures)
    caption = f'<p class="caption">{html.escape(section.caption)}</p>' if section.caption else ""
    tables = "".join(html_table(table) for table in section.tables)
    return f"<section><h2>{html.escape(section.title)}</h2>{caption}{drawn}{section.body}{tables}</section>"


def _figure(figure: go.Figure, name: str) -> str:
    """A placeholder for ``figure`` with its data; the page's script draws it when it comes near the visible area.

    Drawing all figures of a large study at once would keep the page blank for seconds.
    """
    # '<' is written as a JSON escape, so that no text of a study can end the script element.
    data = figure.to_json().replace("<", "\\u003c")
    height = figure.layout.height
    return (
        f'<div class="figure"><div id="{name}" class="plotly-graph-div" style="height: {height}px"></div>'
        f'<script type="application/json" class="figure-data">{data}</script></div>'
    )


def _header(table: TrialTable, note: str) -> str:
    study = table.study
    counts = {state: len(study.with_state(state)) for state in STATES}  # type: ignore[arg-type]
    states = "".join(
        f"<li><b>{count}</b> {state}</li>" for state, count in counts.items() if count or state != "proposed"
    )
    shown = f'<p class="note">{note}</p>' if note else ""
    return (
        f"<header><h1>{html.escape(study.name)}</h1>"
        f'<p class="question">{html.escape(str(study.spec.get("question", "")))}</p>'
        f'{shown}<ul class="states">{states}</ul>{fact_list(_facts(table))}</header>'
    )


def _interrupted(table: TrialTable) -> str:
    study = table.study
    when = f" Its last event was at {utc_text(study.last_event_at)}." if study.last_event_at is not None else ""
    running, waiting = len(study.with_state("running")), len(study.with_state("proposed"))
    return (
        f"Interrupted: the study has not ended (trials: {running} unfinished, {waiting} waiting), and the same command "
        f"resumes it. Results may still change.{when}"
    )


def _facts(table: TrialTable) -> dict[str, str]:
    study, spec = table.study, table.study.spec
    base = {**spec.get("base", {}), **(next(iter(study.trials.values())).config if study.trials else {})}
    selection = ", ".join(
        f"{objective.name} ({'maximised' if objective.maximise else 'minimised'})" for objective in table.objectives
    )
    facts = {
        "Preset": str(spec.get("preset", "not recorded")),
        "Dataset": f"{base.get('dataset', 'not recorded')}, {base.get('image_size', '?')} pixels",
        "Encoder": str(base.get("encoder", "not recorded")),
        "Selected on": selection or "nothing: the study names no objectives",
        "Generated": utc_text(),
    }
    for start, environment in enumerate(study.environments, start=1):
        facts["Environment" if len(study.environments) == 1 else f"Start {start}"] = _environment(environment)
    return facts


def _environment(environment: dict[str, Any]) -> str:
    parts = []
    for name, value in environment.items():
        if value is None:  # a GPU or a cap that there was not
            continue
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        parts.append(f"{name.replace('_', ' ')} {text}")
    return " · ".join(parts)
