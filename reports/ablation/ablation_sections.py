"""The section of the report about an executed ablation: the contribution of each difference between two configs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reports.ablation.ablation_figures import change_of, change_words, singles_figure, waterfall_figure
from reports.ablation.ablation_waterfall import Waterfall, waterfall
from reports.ablation.executed_ablation import (
    FROM,
    ExecutedAblation,
    PathStep,
    SingleChange,
    executed_ablation,
    path_of,
    single_changes,
    standing,
)
from reports.page.figure_style import value_text
from reports.page.page import Section
from reports.page.report_table import ReportTable, table_of
from study.record.measures import COSTS, format_cost, images_text, is_accuracy, on_split, short_label
from study.record.trials import TrialTable

TITLE = "What makes the difference"


def ablation_sections(table: TrialTable) -> list[Section]:
    """The greedy path and the single changes of an ablation, or why they cannot be shown."""
    try:
        ablation = executed_ablation(table.study)
    except ValueError as error:
        return [Section(TITLE, f"Not shown: {error}.")]
    measures = _measures(table)
    path = path_of(ablation) if ablation.design.greedy else []
    falls = [fall for measure in measures if (fall := waterfall(ablation, path, measure)) is not None]
    singles = single_changes(ablation)
    figures = {}
    if falls:
        figures["ablation_path"] = waterfall_figure(falls, table.objectives)
    if any(change_of(ablation, row, measure).seeds for row in singles if row.factor for measure in measures):
        figures["ablation_singles"] = singles_figure(ablation, singles, measures)
    measured = measures + [
        name for measure in measures if (name := on_split(measure, "test")) not in measures and name in table.frame
    ]
    tables = [_path_table(ablation, path, measured)] if path else []
    tables.append(_singles_table(ablation, singles, measured))
    images = images_text(table.complete.to_dict("records"), measured)
    tables = [replace(found, title=f"{found.title}. {images}".strip()) for found in tables]
    tables = [_differences_table(ablation), *tables]
    return [Section(TITLE, _caption(ablation, path, falls), figures=figures, tables=tuple(tables))]


def _measures(table: TrialTable) -> list[str]:
    """All objectives, plus a cost if none of them is one."""
    names = [objective.name for objective in table.objectives]
    return names if table.cost is None or table.cost in names else [*names, table.cost]


def _caption(ablation: ExecutedAblation, path: list[PathStep], falls: Sequence[Waterfall]) -> str:
    words = [
        f"Every config between the two recipes that is shown was trained, with seeds {_seeds(ablation.spec.seeds)}. "
        "Changes are between trials of equal seeds; brackets and whiskers are 95% t intervals of their mean, which "
        "cover the luck of the seeds, not that of the images, and are not corrected for their number."
        if len(ablation.spec.seeds) > 1
        else "Every config between the two recipes that is shown was trained. One seed: no interval."
    ]
    if path:
        words.append(
            f"The path starts at 'from' and at each step changes the factor that improves {ablation.design.objective} "
            "most. As the best of several noisy gains, the gain of a step is overestimated; test values share the luck "
            "of the seeds, but not that of the validation images."
        )
        words += [_where_it_ends(ablation, path)]
    if falls and set(falls[0].seeds) != {trial.seed for c in ablation.trained.values() for trial in c.trials}:
        words.append(f"The path is drawn over seeds {_seeds(falls[0].seeds)}, which all its configs completed.")
    ends = {"from": standing(ablation, FROM), "to": standing(ablation, ablation.everything)}
    words += [f"Results of '{name}' are incomplete: {reason}." for name, reason in ends.items() if reason]
    return " ".join(word for word in words if word)


def _where_it_ends(ablation: ExecutedAblation, path: list[PathStep]) -> str:
    last = path[-1]
    if last.brought_in is not None:
        return ""
    taken = [str(step.brought_in) for step in path[:-1]]
    where = f"after {', '.join(taken)}" if taken else "at its first step"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in last.without.items() if reason)
    is_open = any(reason in ("still being trained", "not trained yet") for reason in last.without.values())
    return f"The path {'has only got as far as' if is_open else 'breaks off'} {where}: {reasons}."


def _differences_table(ablation: ExecutedAblation) -> ReportTable:
    rows = [
        {"difference": factor.name, "field": field, "from": sides["from"][field], "to": sides["to"][field]}
        for factor in ablation.spec.factors
        if (sides := factor.levels) is not None
        for field in factor.fields()
    ]
    return table_of("ablation_differences", "The differences between both recipes", rows, {
        "difference": lambda row: row["difference"],
        "field": lambda row: row["field"],
        "from": lambda row: value_text(row["from"]),
        "to": lambda row: value_text(row["to"]),
    })  # fmt: skip


def _path_table(ablation: ExecutedAblation, path: list[PathStep], measures: Sequence[str]) -> ReportTable:
    falls = {name: fall for name in measures if (fall := waterfall(ablation, path, name)) is not None}
    names = ["from"] + [f"+ {step.brought_in}" for step in path if step.brought_in is not None]
    longest = max((len(fall.bars) for fall in falls.values()), default=len(names) - 1)
    if longest >= len(names):
        names.append(next(fall.bars[-1].name for fall in falls.values() if len(fall.bars) == longest))
    rows = []
    for index, name in enumerate(names):
        step = path[index - 1] if 0 < index <= len(path) else None
        row: dict[str, Any] = {"step": name, "over": ", ".join(_beaten(step)), "not_compared": _not_compared(step)}
        for measure, fall in falls.items():
            row |= _level(measure, fall, index)
        rows.append(row)
    columns: dict[str, Any] = {"step": lambda row: row["step"]}
    columns |= {short_label(name): lambda row, name=name: _level_text(row, name) for name in falls}
    columns |= {"chosen over": lambda row: row["over"] or "–", "not compared": lambda row: row["not_compared"] or "–"}
    return table_of("ablation_path", "The greedy path: means, and in brackets what the step changed", rows, columns)


def _beaten(step: PathStep | None) -> list[str]:
    return [] if step is None else [name for name in step.candidates if name != step.brought_in]


def _not_compared(step: PathStep | None) -> str:
    return "" if step is None else "; ".join(f"{name} ({reason})" for name, reason in step.without.items())


def _level(measure: str, fall: Waterfall, index: int) -> dict[str, Any]:
    if index == 0:
        return {measure: fall.start, f"{measure}_seeds": len(fall.seeds)}
    if index > len(fall.bars):
        return {}
    change = fall.bars[index - 1].change
    return {
        measure: fall.bars[index - 1].after,
        f"{measure}_change": change.mean,
        f"{measure}_low": change.low,
        f"{measure}_high": change.high,
        f"{measure}_seeds": len(change.seeds),
    }


def _level_text(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return "–"
    text = format_cost(name, row[name]) if name in COSTS else f"{row[name]:.1f}"
    if f"{name}_change" not in row or name in COSTS:
        return text
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if math.isnan(low) else f" [{low:+.1f}, {high:+.1f}]"
    return f"{text} ({row[f'{name}_change']:+.1f}{interval})"


def _singles_table(ablation: ExecutedAblation, singles: Sequence[SingleChange], measures: Sequence[str]) -> ReportTable:
    rows = []
    for single in singles:
        changes = {measure: change_of(ablation, single, measure) for measure in measures}
        row: dict[str, Any] = {"change": single.kind, "difference": single.factor or "all of them"}
        row["against"] = "to" if single.kind == "taken back" else "from"
        row["seeds"] = max((len(change.seeds) for change in changes.values()), default=0)
        row["standing"] = _standing_of_both(ablation, single)
        for name, change in changes.items():
            row |= {f"{name}_change": change.mean, f"{name}_low": change.low, f"{name}_high": change.high}
            row[f"{name}_text"] = change_words(name, change)
        rows.append(row)
    columns: dict[str, Any] = {
        "change": lambda row: f"{row['difference']} {row['change'] if row['change'] != 'all' else 'brought in'}",
        "against": lambda row: f"'{row['against']}'",
    }
    for name in measures:
        head = short_label(name).replace("(%)", "(points)") if is_accuracy(name) else short_label(name)
        columns[head] = lambda row, name=name: row[f"{name}_text"]
    columns |= {"seeds": lambda row: row["seeds"], "remark": lambda row: _remark(row)}
    title = (
        "Each difference alone, brought in to 'from' or taken back from 'to'; costs as a factor (CSV: its logarithm)"
    )
    found = table_of("ablation_singles", title, rows, columns)
    return ReportTable(found.name, found.title, found.data.drop(columns=[f"{m}_text" for m in measures]), found.text)


def _standing_of_both(ablation: ExecutedAblation, single: SingleChange) -> str:
    """What is missing from the results of the changed config, then from those of the end that it is compared with."""
    end = "to" if single.before else "from"
    changed, compared = standing(ablation, single.after), standing(ablation, single.before)
    return "; ".join([*([changed] if changed else []), *([f"'{end}': {compared}"] if compared else [])])


def _remark(row: dict[str, Any]) -> str:
    lone = "one seed: no interval" if row["seeds"] == 1 else ""
    return "; ".join(part for part in (row["standing"], lone) if part) or "–"


def _seeds(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
