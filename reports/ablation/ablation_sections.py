"""The section of the report about an executed ablation: the contribution of each difference between two configs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.ablation.ablation_figures import KIND_MARKS, change_text, singles_figure, waterfall_figure
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
ENDS = ("start", "end")  # the recipes that the spec calls ``from_`` and ``to``


def ablation_sections(table: TrialTable) -> list[Section]:
    """The greedy path and the single changes of an ablation, or why they cannot be shown."""
    try:
        ablation = executed_ablation(table.study)
    except ValueError as error:
        return [Section(TITLE, "", missing=f"{error}.")]
    drawn = list(table.objectives)
    drawn += [table.cost] if table.cost is not None and table.cost not in drawn else []
    twins = [table.metric(on_split(metric, "test")) for metric in drawn]
    metrics = drawn + [metric for metric in twins if metric not in drawn and metric.name in table.frame]
    path, singles = path_of(ablation) if ablation.design.greedy else [], single_changes(ablation)
    falls = {metric.name: fall for metric in metrics if (fall := waterfall(ablation, path, metric)) is not None}
    drawn.sort(key=lambda metric: (metric.is_cost, metric.name != ablation.design.objective))
    paths = {m: waterfall_figure(falls[m.name]) for m in drawn if m.name in falls}
    figures = {f"ablation_path_{metric.name}": path for metric, path in paths.items() if not metric.is_cost}
    for metric in (one for one in drawn if not one.is_cost):  # costs follow from the factors
        if any(ablation.change(row.before, row.after, metric).seeds for row in singles if row.factor):
            figures[f"ablation_singles_{metric.name}"] = singles_figure(ablation, singles, metric)
    figures |= {f"ablation_path_{metric.name}": path for metric, path in paths.items() if metric.is_cost}
    tables = [_path_table(ablation, path, falls)] if path else []
    tables.append(_singles_table(ablation, singles, metrics))
    counts = examples_text(table.complete.to_dict("records"), metrics, table.examples)
    tables = [replace(one, title=f"{one.title}. {counts}".strip()) for one in tables]
    caption, method = _caption(ablation, path, falls), _method(ablation, path, table.examples)
    return [Section(TITLE, caption, figures=figures, tables=(*tables, _differences_table(ablation)), method=method)]


def _caption(ablation: ExecutedAblation, path: Sequence[PathStep], falls: Mapping[str, Waterfall]) -> str:
    """What is shown, in one sentence, and what is missing of it, if anything is."""
    seeds = len(ablation.spec.seeds)
    over = f"over {seeds} seeds" if seeds > 1 else "of one seed: its luck is not in them"
    steps = "step by step and " if path else ""
    words = [f"What each difference between the two recipes changes, {steps}alone, with 95% intervals {over}."]
    words += [_where_it_ends(ablation, path)] if path else []
    fall = next(iter(falls.values()), None)
    if fall and set(fall.seeds) != {trial.seed for c in ablation.trained.values() for trial in c.trials}:
        words.append(f"The path is drawn over seeds {_list(fall.seeds)}, which all its configs completed.")
    ends = dict(zip(ENDS, (standing(ablation, FROM), standing(ablation, ablation.everything)), strict=True))
    words += [f"Results of the {name} are incomplete: {reason}." for name, reason in ends.items() if reason]
    return " ".join(text for text in words if text)


def _method(ablation: ExecutedAblation, path: Sequence[PathStep], examples: str) -> str:
    words = [
        "Changes are between trials of equal seeds; brackets and whiskers are 95% t intervals of their mean, which "
        f"cover the luck of the seeds, not that of the {examples}, and are not corrected for their number."
        if len(ablation.spec.seeds) > 1
        else f"Intervals of shares are Newcombe's for two independent samples of {examples}, which is too wide for the "
        "same ones; they say nothing on other seeds, and other numbers have none."
    ]
    if path:
        words.append(
            f"The path begins at the start and at each step changes the factor that improves "
            f"{ablation.design.objective} most. As the best of several noisy gains, the gain of a step is "
            f"overestimated; test values share the luck of the seeds, but not that of the {examples} for validation."
        )
    return " ".join(words)


def _where_it_ends(ablation: ExecutedAblation, path: Sequence[PathStep]) -> str:
    """Where the path stops short of the end, and why; '' if it does not."""
    last = path[-1]
    if last.brought_in is not None:
        return ""
    where = f"after {_list(step.brought_in for step in path[:-1])}" if len(path) > 1 else "at its first step"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in last.without.items() if reason)
    is_open = any(reason in ("still being trained", "not trained yet") for reason in last.without.values())
    return f"The path {'has only got as far as' if is_open else 'breaks off'} {where}: {reasons}."


def _differences_table(ablation: ExecutedAblation) -> ReportTable:
    rows = [
        {"difference": factor.name, "field": field, "start": sides["from"][field], "end": sides["to"][field]}
        for factor in ablation.spec.factors
        if (sides := factor.levels) is not None
        for field in factor.fields()
    ]
    texts = [{name: factor_text(value) for name, value in row.items()} for row in rows]
    title = "The differences between both recipes"
    return ReportTable("ablation_differences", title, pd.DataFrame(rows), pd.DataFrame(texts), is_stacked=True)


def _path_table(ablation: ExecutedAblation, path: Sequence[PathStep], falls: Mapping[str, Waterfall]) -> ReportTable:
    names = [ablation.end_words(0), *(ablation.words(step.brought_in) for step in path if step.brought_in is not None)]
    longest = max(falls.values(), key=lambda fall: len(fall.bars), default=None)
    names += [bar.name for bar in longest.bars[len(names) - 1 :]] if longest else []
    data, texts, reported = [], [], _reported([fall.metric for fall in falls.values()])
    for index, name in enumerate(names):
        step = path[index - 1] if 0 < index <= len(path) else None
        beaten = _list(other for other in step.candidates if other != step.brought_in) if step else ""
        without = "; ".join(f"{other} ({reason})" for other, reason in step.without.items()) if step else ""
        row: dict[str, Any] = {"step": name, "over": beaten, "not_compared": without}
        text = {"step": name}
        for fall in falls.values():
            numbers, level = _level(fall, index)
            row |= numbers
            if fall.metric in reported:
                text[short_label(fall.metric)] = level
        data.append(row)
        texts.append(text)
    title = "Step by step: means, and in brackets what the step changed"
    uids = [] if longest is None else [longest.start_uid, *(bar.uid for bar in longest.bars)]
    known = tuple(uids) if len(uids) == len(names) else ()
    return ReportTable("ablation_path", title, pd.DataFrame(data), pd.DataFrame(texts), is_stacked=True, uids=known)


def _reported(metrics: Sequence[Metric]) -> list[Metric]:
    """Those that a reader is shown: on test, where there is the same on validation, which only chooses."""
    names = {metric.name for metric in metrics if metric.split == "test"}
    return [metric for metric in metrics if metric.split != "val" or on_split(metric, "test") not in names]


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
    data, texts, reported = [], [], _reported(metrics)
    for single in singles:
        changes = {metric: ablation.change(single.before, single.after, metric) for metric in metrics}
        end = ENDS[bool(single.before)]
        changed, compared = standing(ablation, single.after), standing(ablation, single.before)
        remarks = [*([changed] if changed else []), *([f"the {end}: {compared}"] if compared else [])]
        seeds = max((len(change.seeds) for change in changes.values()), default=0)
        row = {"change": single.kind, "difference": single.factor or "all of them", "against": end, "seeds": seeds}
        row["standing"] = "; ".join(remarks)
        text = {"change": ablation.words(single.factor) if single.factor else "all of them"}
        text["made"] = KIND_MARKS[single.kind][0] if single.factor else KIND_MARKS["brought in"][0]
        for metric, change in changes.items():
            row |= _numbers(change, metric.name)
            if metric in reported:
                text[points_label(metric)] = change_text(metric, change)
        data.append(row)
        texts.append(text | {"remark": "; ".join(remarks) or "–"})
    shown = pd.DataFrame(texts)
    if (shown["remark"] == "–").all():
        shown = shown.drop(columns="remark")
    title = "Each difference alone, changed in the start or undone in the end; costs as a factor (CSV: its logarithm)"
    uids = tuple(ablation.uid(single.after) for single in singles)
    return ReportTable("ablation_singles", title, pd.DataFrame(data), shown, is_stacked=True, uids=uids)


def _numbers(change: Change, name: str) -> dict[str, float]:
    return {f"{name}_change": change.mean, f"{name}_low": change.low, f"{name}_high": change.high}


def _list(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
