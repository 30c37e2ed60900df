"""The tables of the page, as HTML; every text from a study is escaped."""

import html
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from reports.figure_style import value_text
from reports.measures import COSTS, format_cost, images_behind, interval_of, is_accuracy, label
from reports.trials import FACTOR_PREFIX, TrialTable
from trainables.trial_config import TrialConfig, command_line

Row = Mapping[str, Any]
LONG_REASON = 90


def front_table(table: TrialTable) -> str:
    """The trials on the front: factors, test accuracies with intervals, cost, and the command that runs each again."""
    tests, costs = table.accuracies("test"), [name for name in COSTS if name in table.frame]
    heads = ["trial", "factors", *(label(name, table.pgd_steps) for name in tests), *(COSTS[name][0] for name in costs)]
    first = next((objective for objective in table.objectives if is_accuracy(objective.name)), None)
    front = table.front
    if first is not None:
        front = front.sort_values(first.name, ascending=not first.maximise, kind="stable")
    bodies = [_front_rows(row, table, tests, costs) for row in front.to_dict("records")]
    return f'<div class="scroll"><table id="front"><thead>{_head(heads)}</thead>{"".join(bodies)}</table></div>'


def _front_rows(row: Row, table: TrialTable, tests: list[str], costs: list[str]) -> str:
    factors = "<br>".join(f"{_esc(name)} = {_esc(value_text(row[FACTOR_PREFIX + name]))}" for name in table.factors)
    cells = [f'<th scope="row">{_uid(row)}</th>', f'<td class="factors">{factors or "–"}</td>']
    cells += [f'<td class="number">{_accuracy_cell(row, name)}</td>' for name in tests]
    cells += [f'<td class="number">{_esc(format_cost(name, row[name]))}</td>' for name in costs]
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


def rerun_command(config: dict[str, Any]) -> str | None:
    """The shell command that runs a trial's configuration again; None where it is not valid (any more)."""
    try:
        return command_line(TrialConfig(**config))
    except ValidationError:
        return None


def _accuracy_cell(row: Row, name: str) -> str:
    value, interval, count = row[name], interval_of(row, name), images_behind(row, name)
    if not math.isfinite(value):
        return "–"
    detail = f"{interval[0]:.1f} to {interval[1]:.1f}<br>n = {count:,}" if interval else "n unknown"
    return f"{value:.1f}<small>{detail}</small>"


def trials_table(table: TrialTable) -> str:
    """Every trial with its state and reason; a click on a column's head sorts by it."""
    measures = [*table.accuracies("val"), *table.accuracies("test"), *(name for name in COSTS if name in table.frame)]
    heads = ["number", "trial", "state", "reason", *table.factors, *(_short_head(name) for name in measures)]
    rows = "".join(_trial_row(row, table, measures) for row in table.frame.to_dict("records"))
    head = _head(heads, sortable=True)
    return f'<div class="scroll tall"><table id="trials"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _trial_row(row: Row, table: TrialTable, measures: list[str]) -> str:
    state = row["state"]
    word = f"{state}, front" if row["on_front"] else state
    cells = [
        f'<td class="number" data-sort="{row["number"]}">{row["number"]}</td>',
        f'<th scope="row" data-sort="{_esc(row["uid"])}">{_uid(row)}</th>',
        f'<td data-sort="{_esc(word)}"><span class="state {_esc(state)}">{_esc(word)}</span></td>',
        f'<td class="reason" data-sort="{_esc(_first_line(row["reason"]))}">{_reason(row)}</td>',
    ]
    for name in table.factors:
        text = _esc(value_text(row[FACTOR_PREFIX + name]))
        cells.append(f'<td data-sort="{"" if text == "–" else text}">{text}</td>')
    for name in measures:
        value = row[name]
        text = format_cost(name, value) if name in COSTS else f"{value:.1f}" if math.isfinite(value) else "–"
        cells.append(f'<td class="number" data-sort="{value if math.isfinite(value) else ""}">{_esc(text)}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _reason(row: Row) -> str:
    """Why a trial ended as it did, and which validity checks failed; long texts fold."""
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


def _short_head(name: str) -> str:
    """A narrow head for a wide table: 'val robust 8/255 (%)'."""
    if not is_accuracy(name):
        return COSTS[name][0]
    split, kind, *radius = name.split("_")
    words = {"clean": "clean", "pgd": "PGD", "aa": "AutoAttack"}[kind]
    return f"{split} {words} {radius[0]}/255 (%)" if radius else f"{split} {words} (%)"


def _head(names: list[str], sortable: bool = False) -> str:
    inner = '<button type="button" class="sort">{}</button>' if sortable else "{}"
    return "<tr>" + "".join(f'<th scope="col">{inner.format(_esc(name))}</th>' for name in names) + "</tr>"


def _esc(text: Any) -> str:
    return html.escape(str(text))
