"""The tables of the page, as HTML; all text from a study is escaped."""

import html
import math
from collections.abc import Mapping
from typing import Any

from reports.front.front_tables import sorted_front
from reports.page.figure_style import value_text
from reports.page.report_table import ReportTable, table_of
from reports.page.rerun import rerun_command
from study.record.configuration_frame import spread_of
from study.record.measures import COSTS, format_cost, images_behind, images_text, interval_of, label, short_label
from study.record.trials import FACTOR_PREFIX, TrialTable

Row = Mapping[str, Any]
LONG_REASON = 90
MANY_ROWS = 100  # tables this long overflow their frame in any browser, and are laid out only when nearly visible


def front_table(table: TrialTable) -> str:
    """The configurations on the front: factors, test accuracies, costs, probability, and the command to rerun each."""
    tests, costs = table.accuracies("test"), [name for name in COSTS if name in table.frame]
    heads = ["trial", "factors", *(label(name, table.pgd_steps) for name in tests), *(COSTS[name][0] for name in costs)]
    bodies = [_front_rows(row, table, tests, costs) for row in sorted_front(table).to_dict("records")]
    head = _head([*heads, "P(front)"])
    return f'<div class="{_frame(len(bodies))}"><table id="front"><thead>{head}</thead>{"".join(bodies)}</table></div>'


def _front_rows(row: Row, table: TrialTable, tests: list[str], costs: list[str]) -> str:
    factors = "<br>".join(f"{_esc(name)} = {_esc(value_text(row[FACTOR_PREFIX + name]))}" for name in table.factors)
    seeds = (
        f"<small>mean of seeds {', '.join(str(seed) for seed in row['seeds'])}</small>" if row["num_seeds"] > 1 else ""
    )
    cells = [f'<th scope="row">{_uid(row)}{seeds}</th>', f'<td class="factors">{factors or "–"}</td>']
    cells += [f'<td class="number">{_accuracy_cell(row, name)}</td>' for name in tests]
    cells += [f'<td class="number">{_esc(format_cost(name, row[name]))}</td>' for name in costs]
    cells.append(f'<td class="number">{row["front_probability"]:.2f}</td>')
    command = rerun_command(table.study.trials[row["uid"]].config)
    if command is None:
        again = "<em>this version of the code does not accept the trial's configuration any more</em>"
    else:
        again = f'<button type="button" class="copy">copy</button><code>{_esc(command)}</code>'
    span = len(cells)
    return (
        f'<tbody data-uid="{_esc(row["uid"])}"><tr>{"".join(cells)}</tr>'
        f'<tr class="command"><td colspan="{span}"><div>{again}</div></td></tr></tbody>'
    )


def _accuracy_cell(row: Row, name: str) -> str:
    value, interval, count = row[name], interval_of(row, name), images_behind(row, name)
    if not math.isfinite(value):
        return "–"
    spread, seeds = spread_of(row, name)
    luck = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
    luck = f"± {spread:.1f}, {seeds} seeds" if seeds > 1 else luck
    detail = "<br>".join(part for part in (luck, f"n = {count:,}" if count else "n unknown") if part)
    return f"{value:.1f}<small>{detail}</small>"


def trials_table(table: TrialTable) -> str:
    """Every trial with its state and reason; clicking a column's heading sorts by it."""
    measures = [*table.accuracies("val"), *table.accuracies("test"), *(name for name in COSTS if name in table.frame)]
    heads = ["number", "trial", "state", "reason", "seed", *table.factors, *(short_label(name) for name in measures)]
    rows = "".join(_trial_row(row, table, measures) for row in table.frame.to_dict("records"))
    head = _head(heads, sortable=True)
    frame = _frame(len(table.frame), "scroll tall")
    return f'<div class="{frame}"><table id="trials"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def trials_export(table: TrialTable) -> ReportTable:
    """Every trial for export: all measurements as numbers, and as text what fits on paper."""
    measures = [*table.accuracies("val"), *table.accuracies("test"), *(name for name in COSTS if name in table.frame)]
    columns: dict[str, Any] = {"trial": lambda row: row["uid"], "state": lambda row: row["state"]}
    columns |= {"seed": lambda row: row["seed"], "purpose": lambda row: row["purpose"]}
    columns |= {name: lambda row, name=name: value_text(row[FACTOR_PREFIX + name]) for name in table.factors}
    columns |= {short_label(name): lambda row, name=name: _measure_text(row, name) for name in measures}
    plain = table.frame.drop(columns=["configuration"]).rename(columns=lambda name: name.removeprefix(FACTOR_PREFIX))
    rows = table.frame.to_dict("records")
    title = f"All trials; accuracies and costs of complete ones. {images_text(rows, measures)}".strip()
    text = table_of("trials", title, rows, columns)
    return ReportTable(text.name, text.title, plain.assign(validity=plain["validity"].map("; ".join)), text.text)


def _measure_text(row: Row, name: str) -> str:
    value = row[name]
    return format_cost(name, value) if name in COSTS else f"{value:.1f}" if math.isfinite(value) else "–"


def _trial_row(row: Row, table: TrialTable, measures: list[str]) -> str:
    state = row["state"]
    word = f"{state}, front" if row["on_front"] else state
    cells = [
        f'<td class="number" data-sort="{row["number"]}">{row["number"]}</td>',
        f'<th scope="row" data-sort="{_esc(row["uid"])}">{_uid(row)}</th>',
        f'<td data-sort="{_esc(word)}"><span class="state {_esc(state)}">{_esc(word)}</span></td>',
        f'<td class="reason" data-sort="{_esc(_first_line(row["reason"]))}">{_reason(row)}</td>',
        f'<td class="number" data-sort="{row["seed"]}">{row["seed"]}</td>',
    ]
    for name in table.factors:
        text = _esc(value_text(row[FACTOR_PREFIX + name]))
        cells.append(f'<td data-sort="{"" if text == "–" else text}">{text}</td>')
    for name in measures:
        value = row[name]
        sort = value if math.isfinite(value) else ""
        cells.append(f'<td class="number" data-sort="{sort}">{_esc(_measure_text(row, name))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _reason(row: Row) -> str:
    """Why a trial ended as it did, and which validity checks failed; long text is collapsed."""
    text = "\n".join([*([row["reason"]] if row["reason"] else []), *(f"⚠ {warning}" for warning in row["validity"])])
    if len(text) <= LONG_REASON and "\n" not in text:
        return _esc(text)
    first = _first_line(text)
    first = first if len(first) <= LONG_REASON else f"{first[:LONG_REASON]}…"
    return f"<details><summary>{_esc(first)}</summary><pre>{_esc(text)}</pre></details>"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _uid(row: Row) -> str:
    if not row["validity"]:
        return _esc(row["uid"])
    return f'{_esc(row["uid"])} <span class="doubt" title="{_esc("; ".join(row["validity"]))}">⚠</span>'


def _head(names: list[str], sortable: bool = False) -> str:
    inner = '<button type="button" class="sort">{}</button>' if sortable else "{}"
    return "<tr>" + "".join(f'<th scope="col">{inner.format(_esc(name))}</th>' for name in names) + "</tr>"


def html_table(table: ReportTable) -> str:
    """Any table of the report, below its title."""
    columns = list(table.text.columns)
    rows = "".join(
        "<tr>" + "".join(f'<td class="cell">{_esc(row[column])}</td>' for column in columns) + "</tr>"
        for row in table.text.to_dict("records")
    )
    frame = _frame(len(table.text), "scroll tall" if len(table.text) > 12 else "scroll")
    return (
        f'<h3>{_esc(table.title)}</h3><div class="{frame}"><table id="{_esc(table.name)}">'
        f"<thead>{_head(columns)}</thead><tbody>{rows}</tbody></table></div>"
    )


def _frame(num_rows: int, classes: str = "scroll") -> str:
    return f"{classes} long" if num_rows >= MANY_ROWS else classes


def _esc(text: Any) -> str:
    return html.escape(str(text))
