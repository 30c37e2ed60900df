"""The page of a report: one self-contained HTML file."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from pydantic import ValidationError

from reports.page.html_templates import filled
from reports.page.report_table import ReportTable
from reports.page.tables import html_table
from study.files import replacing
from study.record.journal import State
from study.record.trials import TrialTable

STATES: tuple[State, ...] = ("complete", "stopped", "failed", "running", "proposed")
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


def render_page(table: TrialTable, sections: list[Section], note: str = "", reload_seconds: float | None = None) -> str:
    """The page of a study; ``note`` is about a running study, for ``reload_seconds`` see ``whole_page``."""
    study = table.study
    counts = {state: len(study.with_state(state)) for state in STATES}
    header = page_header(
        study.name,
        _facts(table),
        [note] if note else [] if study.ended else [_interrupted(table)],
        question=str(study.spec.get("question", "")),
        states={state: count for state, count in counts.items() if count or state != "proposed"},
    )
    return whole_page(f"{study.name}: report", header, sections, reload_seconds)


def whole_page(title: str, header: str, sections: list[Section], reload_seconds: float | None = None) -> str:
    """A page with any header, given as HTML; plotly.js is included once, if any section has a figure.

    With ``reload_seconds``, an open page reloads itself at that interval until its reader interacts with it.
    """
    here = Path(__file__).parent
    missing = [section for section in sections if section.missing]
    sections = [section for section in sections if not section.missing]
    first_drawn = next((index for index, section in enumerate(sections) if section.figures), None)
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
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        script=Markup((here / "page.js").read_text(encoding="utf-8")),
        plotly="" if first_drawn is None else Markup(get_plotlyjs()),
        figure_config=Markup(json.dumps(FIGURE_CONFIG)),
    )


def _drawing(figure: go.Figure) -> dict[str, Any]:
    # '<' is written as a JSON escape, so that no text of a study can end the script element.
    return {"height": figure.layout.height, "data": Markup(figure.to_json().replace("<", "\\u003c"))}


def page_header(
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
    *,
    question: str = "",
    states: Mapping[State, int] | None = None,
) -> Markup:
    """The head of a page: title, question, notes, numbers of trials by state, facts; escaped unless ``Markup``."""
    shown = {"title": title, "question": question, "notes": notes, "states": states or {}, "facts": facts}
    return filled("page/templates/header.html", **shown)


def write_page(page: str, path: Path) -> None:
    """Writes a page atomically, because a browser may be reading an earlier one; creates its folder."""
    with replacing(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def utc_text(seconds: float | None = None) -> str:
    """A time in Unix seconds as text; now for None."""
    return datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _interrupted(table: TrialTable) -> str:
    study = table.study
    when = f" Its last event was at {utc_text(study.last_event_at)}." if study.last_event_at is not None else ""
    running, waiting = len(study.with_state("running")), len(study.with_state("proposed"))
    return (
        f"Interrupted: the study has not ended (trials: {running} unfinished, {waiting} waiting), and the same command "
        f"resumes it. Results may still change.{when}"
    )


def _facts(table: TrialTable) -> dict[str, str]:
    spec, environments = table.study.spec, table.study.environments
    words = {"maximize": "maximised", "minimize": "minimised"}
    selection = ", ".join(f"{metric.name} ({words[metric.direction]})" for metric in table.objectives)
    facts = {"Preset": str(spec.get("preset", "not recorded")), "Trials": _described(table)}
    facts |= {"Selected on": selection or "nothing: the study names no objectives", "Generated": utc_text()}
    for start, environment in enumerate(environments, start=1):
        facts["Environment" if len(environments) == 1 else f"Start {start}"] = _environment(environment)
    return {name: text for name, text in facts.items() if text}


def _described(table: TrialTable) -> str:
    """What the trials do, as their trainable says of the first of them; '' if it cannot."""
    config = {**table.study.spec.get("base", {}), **next((t.config for t in table.study.trials.values()), {})}
    try:
        return table.trainable.describe(table.trainable.recorded(config)) if table.trainable else ""
    except ValidationError:
        return ""


def _environment(environment: dict[str, Any]) -> str:
    parts = []
    for name, value in environment.items():
        if value is None:  # a GPU or a cap that there was not
            continue
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        parts.append(f"{name.replace('_', ' ')} {text}")
    return " · ".join(parts)
