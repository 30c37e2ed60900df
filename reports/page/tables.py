"""The tables of the page, as HTML."""

import math

import pandas as pd
from markupsafe import Markup

from reports.front.front_tables import sorted_front
from reports.page.figure_style import factor_text
from reports.page.html_templates import filled
from reports.page.report_table import ReportTable
from reports.page.rerun import rerun_command
from study.record.measures import (
    Row,
    examples_behind,
    examples_text,
    interval_of,
    on_its_split,
    on_split,
    short_label,
    value_text,
)
from study.record.trials import FACTOR_PREFIX, TrialTable, spread_of
from study.trainable import Metric

KINDS, SPLITS = ("share", "number", "cost"), ("val", "test", "")  # in the order of columns
LONG_REASON = 90
MANY_ROWS = 100  # tables this long overflow their frame in any browser, and are laid out only when nearly visible
TALL_ROWS = 12


def html_table(table: ReportTable) -> Markup:
    """Any table of the report, below its title."""
    rows = table.text.to_numpy().tolist()
    frame = _frame(len(rows), "scroll tall" if len(rows) > TALL_ROWS else "scroll")
    return filled("page/templates/table.html", table=table, columns=list(table.text.columns), rows=rows, frame=frame)


def front_table(table: TrialTable) -> Markup:
    """The configurations on the front: factors, what is reported, probability, and the command to rerun each."""
    metrics = reported(table)
    rows = [
        row
        | {
            "factors": [(name, factor_text(row[FACTOR_PREFIX + name])) for name in table.factors],
            "measured": [_measured(row, metric) for metric in metrics],
            "command": rerun_command(table, row["uid"]),
        }
        for row in sorted_front(table).to_dict("records")
    ]
    columns = ["trial", "factors", *map(on_its_split, metrics), "P(front)"]
    return filled("page/templates/front_table.html", columns=columns, rows=rows, frame=_frame(len(rows)))


def _measured(row: Row, metric: Metric) -> tuple[str, list[str]]:
    """A measurement of a configuration, and what its uncertainty is over, line by line."""
    text = value_text(metric, row[metric.name])
    if text == "–" or metric.is_cost:
        return text, []
    (spread, seeds), interval = spread_of(row, metric.name), interval_of(row, metric)
    details = [f"{interval[0]:.1f} to {interval[1]:.1f}"] if interval else []
    if seeds > 1:
        details = [f"± {value_text(metric, spread)}, {seeds} seeds"]
    count = examples_behind(row, metric)
    return text, [*details, *([f"n = {count:,}" if count else "n unknown"] if metric.is_share else [])]


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
    frame = _frame(len(rows), "scroll tall")
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


def reported(table: TrialTable) -> list[Metric]:
    """``all_measured`` without those on validation that were measured on test as well."""
    on_test = {metric.name for metric in table.measured if metric.split == "test"}
    return [m for m in all_measured(table) if m.split != "val" or on_split(m, "test") not in on_test]


def _frame(num_rows: int, classes: str = "scroll") -> str:
    return f"{classes} long" if num_rows >= MANY_ROWS else classes
