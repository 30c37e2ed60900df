"""The section of the report about an executed ablation: the contribution of each difference between two configs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.ablation.ablation_figures import change_of, change_text, singles_figure, waterfall_figure
from reports.ablation.ablation_waterfall import Waterfall, waterfall
from reports.ablation.executed_ablation import (
    FROM,
    Change,
    ExecutedAblation,
    PathStep,
    SingleChange,
    executed_ablation,
    path_of,
    single_changes,
    standing,
)
from reports.page.figure_style import factor_text
from reports.page.page import Section
from reports.page.report_table import ReportTable
from study.record.measures import examples_text, on_split, points_label, short_label, value_text
from study.record.trials import TrialTable
from study.trainable import Metric

TITLE = "What makes the difference"


def ablation_sections(table: TrialTable) -> list[Section]:
    """The greedy path and the single changes of an ablation, or why they cannot be shown."""
    try:
        ablation = executed_ablation(table.study)
    except ValueError as error:
        return [Section(TITLE, f"Not shown: {error}.")]
    drawn = list(table.objectives)
    drawn += [table.cost] if table.cost is not None and table.cost not in drawn else []
    twins = [table.metric(on_split(metric, "test")) for metric in drawn]
    metrics = drawn + [metric for metric in twins if metric not in drawn and metric.name in table.frame]
    path = path_of(ablation) if ablation.design.greedy else []
    falls = {metric.name: fall for metric in metrics if (fall := waterfall(ablation, path, metric)) is not None}
    drawn_falls = [falls[metric.name] for metric in drawn if metric.name in falls]
    singles = single_changes(ablation)
    figures = {"ablation_path": waterfall_figure(drawn_falls)} if drawn_falls else {}
    if any(change_of(ablation, row, metric).seeds for row in singles if row.factor for metric in drawn):
        figures["ablation_singles"] = singles_figure(ablation, singles, drawn)
    tables = [_path_table(path, falls)] if path else []
    tables.append(_singles_table(ablation, singles, metrics))
    counts = examples_text(table.complete.to_dict("records"), metrics, table.examples)
    tables = [replace(one, title=f"{one.title}. {counts}".strip()) for one in tables]
    caption, method = _caption(ablation, path, drawn_falls), _method(ablation, path, table.examples)
    return [Section(TITLE, caption, figures=figures, tables=(_differences_table(ablation), *tables), method=method)]


def _caption(ablation: ExecutedAblation, path: Sequence[PathStep], falls: Sequence[Waterfall]) -> str:
    seeds = ablation.spec.seeds
    over = f", with seeds {_list(seeds)}." if len(seeds) > 1 else ". One seed: no interval."
    words = [f"Every config between the two recipes that is shown was trained{over}"]
    if path:
        words.append(
            f"The path starts at 'from' and at each step changes the factor that improves {ablation.design.objective} "
            "most."
        )
        words.append(_where_it_ends(path))
    if falls and set(falls[0].seeds) != {trial.seed for c in ablation.trained.values() for trial in c.trials}:
        words.append(f"The path is drawn over seeds {_list(falls[0].seeds)}, which all its configs completed.")
    ends = {"from": standing(ablation, FROM), "to": standing(ablation, ablation.everything)}
    words += [f"Results of '{name}' are incomplete: {reason}." for name, reason in ends.items() if reason]
    return " ".join(text for text in words if text)


def _method(ablation: ExecutedAblation, path: Sequence[PathStep], examples: str) -> str:
    words = []
    if len(ablation.spec.seeds) > 1:
        words.append(
            "Changes are between trials of equal seeds; brackets and whiskers are 95% t intervals of their mean, which "
            f"cover the luck of the seeds, not that of the {examples}, and are not corrected for their number."
        )
    if path:
        words.append(
            "As the best of several noisy gains, the gain of a step is overestimated; test values share the luck of "
            f"the seeds, but not that of the {examples} for validation."
        )
    return " ".join(words)


def _where_it_ends(path: Sequence[PathStep]) -> str:
    """Where the path stops short of 'to', and why; '' if it does not."""
    last = path[-1]
    if last.brought_in is not None:
        return ""
    where = f"after {_list(step.brought_in for step in path[:-1])}" if len(path) > 1 else "at its first step"
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
    texts = [{name: factor_text(value) for name, value in row.items()} for row in rows]
    title = "The differences between both recipes"
    return ReportTable("ablation_differences", title, pd.DataFrame(rows), pd.DataFrame(texts))


def _path_table(path: Sequence[PathStep], falls: Mapping[str, Waterfall]) -> ReportTable:
    names = ["from", *(f"+ {step.brought_in}" for step in path if step.brought_in is not None)]
    longest = max(falls.values(), key=lambda fall: len(fall.bars), default=None)
    names += [bar.name for bar in longest.bars[len(names) - 1 :]] if longest else []
    data, texts = [], []
    for index, name in enumerate(names):
        step = path[index - 1] if 0 < index <= len(path) else None
        beaten = _list(other for other in step.candidates if other != step.brought_in) if step else ""
        without = "; ".join(f"{other} ({reason})" for other, reason in step.without.items()) if step else ""
        row: dict[str, Any] = {"step": name, "over": beaten, "not_compared": without}
        text = {"step": name}
        for fall in falls.values():
            numbers, text[short_label(fall.metric)] = _level(fall, index)
            row |= numbers
        data.append(row)
        texts.append(text | {"chosen over": beaten or "–", "not compared": without or "–"})
    title = "The greedy path: means, and in brackets what the step changed"
    return ReportTable("ablation_path", title, pd.DataFrame(data), pd.DataFrame(texts))


def _level(fall: Waterfall, index: int) -> tuple[dict[str, Any], str]:
    """The mean of a metric at a place of the path, and what the step to it changed: numbers by column, and text."""
    metric, name = fall.metric, fall.metric.name
    if index == 0:
        return {name: fall.start, f"{name}_seeds": len(fall.seeds)}, value_text(metric, fall.start)
    if index > len(fall.bars):
        return {}, "–"
    after, change = fall.bars[index - 1].after, fall.bars[index - 1].change
    numbers = {name: after} | _numbers(change, name) | {f"{name}_seeds": len(change.seeds)}
    text = value_text(metric, after)
    return numbers, text if metric.is_cost else f"{text} ({change_text(metric, change)})"


def _singles_table(
    ablation: ExecutedAblation, singles: Sequence[SingleChange], metrics: Sequence[Metric]
) -> ReportTable:
    data, texts = [], []
    for single in singles:
        changes = {metric: change_of(ablation, single, metric) for metric in metrics}
        end = "to" if single.before else "from"
        changed, compared = standing(ablation, single.after), standing(ablation, single.before)
        remarks = [*([changed] if changed else []), *([f"'{end}': {compared}"] if compared else [])]
        difference, seeds = single.factor or "all of them", max((len(c.seeds) for c in changes.values()), default=0)
        row = {"change": single.kind, "difference": difference, "against": end, "seeds": seeds}
        row["standing"] = "; ".join(remarks)
        remarks += ["one seed: no interval"] if seeds == 1 else []
        kind = "brought in" if single.kind == "all" else single.kind
        text = {"change": f"{difference} {kind}", "against": f"'{end}'"}
        for metric, change in changes.items():
            row |= _numbers(change, metric.name)
            text[points_label(metric)] = change_text(metric, change)
        data.append(row)
        texts.append(text | {"seeds": str(seeds), "remark": "; ".join(remarks) or "–"})
    title = (
        "Each difference alone, brought in to 'from' or taken back from 'to'; costs as a factor (CSV: its logarithm)"
    )
    return ReportTable("ablation_singles", title, pd.DataFrame(data), pd.DataFrame(texts))


def _numbers(change: Change, name: str) -> dict[str, float]:
    return {f"{name}_change": change.mean, f"{name}_low": change.low, f"{name}_high": change.high}


def _list(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
