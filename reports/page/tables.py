"""The tables of the page, as HTML."""

import math

import pandas as pd
from markupsafe import Markup

from reports.page.figure_style import factor_text
from reports.page.html_templates import filled
from reports.page.report_table import ReportTable
from study.record.measures import Row, examples_text, short_label, value_text
from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric

KINDS, SPLITS = ("share", "number", "cost"), ("val", "test", "")  # in the order of columns
UID_COLUMN = "trial"
LONG_REASON = 90
MANY_ROWS = 100  # tables this long overflow their frame in any browser, and are laid out only when nearly visible
TALL_ROWS = 12


def html_table(table: ReportTable) -> Markup:
    """Any table of the report, below its title; rows about a trial name it and are laid out one by one on a phone."""
    rows, columns = table.text.to_numpy().tolist(), list(table.text.columns)
    named = table.text[UID_COLUMN].tolist() if UID_COLUMN in columns else [""] * len(rows)
    uids = [uid or "" for uid in table.uids] or named
    title, _, notes = table.title.partition(". ")
    shown = {"name": table.name, "title": title, "notes": notes, "columns": columns}
    stack = " stack" if table.is_stacked or any(uids) else ""
    frame = frame_of(len(rows), f"scroll{' tall' if len(rows) > TALL_ROWS else ''}{stack}")
    return filled("page/templates/table.html", **shown, rows=list(zip(uids, rows, strict=True)), frame=frame)


def trials_table(table: TrialTable) -> Markup:
    """Every trial with its state and reason; clicking a column's heading sorts by it."""
    metrics = all_measured(table)
    columns = ["number", "trial", "state", "reason", "seed", *table.factors, *map(short_label, metrics)]
    rows = [
        row
        | _reason(row)
        | {
            "factors": [factor_text(row[FACTOR_PREFIX + name]) for name in table.factors],
            "measured": [(_sort_key(row[metric.name]), value_text(metric, row[metric.name])) for metric in metrics],
        }
        for row in table.frame.to_dict("records")
    ]
    frame = frame_of(len(rows), "scroll tall")
    return filled("page/templates/trials_table.html", columns=columns, rows=rows, frame=frame)


def _sort_key(value: float) -> float | str:
    return value if math.isfinite(value) else ""


def _reason(row: Row) -> dict[str, str]:
    """Why a trial ended as it did, and which validity checks failed; the template folds what is not one short line."""
    text = "\n".join([*([row["reason"]] if row["reason"] else []), *(f"⚠ {warning}" for warning in row["validity"])])
    first = text.strip().partition("\n")[0]
    shown = first if len(first) <= LONG_REASON else f"{first[:LONG_REASON]}…"
    return {"all_lines": text, "shown_line": shown, "first_line": row["reason"].strip().partition("\n")[0]}


def trials_export(table: TrialTable) -> ReportTable:
    """Every trial for export: all measurements as numbers, and as text what fits on paper."""
    metrics, rows = all_measured(table), table.frame.to_dict("records")
    texts = [
        {"trial": row["uid"], "state": row["state"], "seed": str(row["seed"]), "purpose": row["purpose"]}
        | {name: factor_text(row[FACTOR_PREFIX + name]) for name in table.factors}
        | {short_label(metric): value_text(metric, row[metric.name]) for metric in metrics}
        for row in rows
    ]
    columns = ["trial", "state", "seed", "purpose", *table.factors, *map(short_label, metrics)]
    plain = table.frame.drop(columns=["configuration"]).rename(columns=lambda name: name.removeprefix(FACTOR_PREFIX))
    counts = examples_text(rows, metrics, table.examples)
    return ReportTable(
        "trials",
        f"All trials; only complete ones have measurements. {counts}".strip(),
        plain.assign(validity=plain["validity"].map("; ".join)),
        pd.DataFrame(texts, columns=columns),
    )


def all_measured(table: TrialTable) -> list[Metric]:
    """The described metrics that any complete trial has: shares, other numbers, costs, each by split."""
    return sorted(table.measured, key=lambda metric: (KINDS.index(metric.kind), SPLITS.index(metric.split)))


def frame_of(num_rows: int, classes: str) -> str:
    """The classes of the element around a table."""
    return f"{classes} long" if num_rows >= MANY_ROWS else classes
