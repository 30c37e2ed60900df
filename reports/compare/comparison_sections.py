"""The sections of a comparison: the verdict, the studies, the configs, shares with their tests, costs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.compare.compared_trials import (
    EvaluatedTrial,
    accuracy_of,
    compared_metrics,
    config_differences,
    paired_test,
    why_unpaired,
)
from reports.compare.comparison_figures import common_fronts, shares_figure
from reports.compare.verdict import gap_of_trials, gap_over_seeds, sentence
from reports.effects.p_values import holm, p_text
from reports.page.figure_style import factor_text, measured_text
from reports.page.page import Section
from reports.page.report_table import ReportTable
from study.record.intervals import wilson_95
from study.record.measures import difference_text, examples_text, in_words, on_split, short_label, value_text
from study.record.metrics import merged
from study.trainable import Metric

if TYPE_CHECKING:
    from reports.compare.compared_studies import ChosenConfiguration


def study_section(chosen: Mapping[str, "ChosenConfiguration"]) -> Section:
    """The chosen configuration of each study, its means over seeds, and the hypervolume of each front."""
    from reports.compare.compared_studies import front_shares

    tables = [choice.table for choice in chosen.values()]
    volumes = front_shares(tables[0], tables[1]) if len(tables) == 2 else (math.nan,)
    metrics = list(merged(m for table in tables for split in ("val", "test", "") for m in table.shares(split)).values())
    shown = {on_split(metric, "test") for table in tables for metric in table.objectives}
    data, texts = [], []
    for (letter, choice), volume in zip(chosen.items(), volumes, strict=True):
        text = {
            "study": f"{letter}: {choice.table.study.name}",
            "configuration": choice.row["uid"],
            "chosen as": choice.why,
            "seeds": str(len(choice.row["seeds"])),
        }
        text |= {short_label(metric): measured_text(choice.row, metric) for metric in metrics if metric.name in shown}
        front = len(choice.table.front_configurations)
        texts.append(text | {"on the front": str(front), "hypervolume (%)": _number_text(100 * volume, ".2f")})
        means = {metric.name: choice.row.get(metric.name, math.nan) for metric in metrics}
        data.append({"study": text["study"], "uid": choice.row["uid"], "hypervolume": volume, "front": front} | means)
    method = (
        "Chosen by the mean over seeds. Validation values flatter what was chosen on them; test values take no part. "
        "The hypervolume is the share of one box around both fronts that a study's front dominates; it has no "
        "interval. Below, one trial of each configuration is compared, of a seed that both have where there is one."
    )
    title = "Chosen configurations: mean ± standard deviation over seeds, or [Wilson 95% interval] of one seed"
    counts = examples_text([choice.row for choice in chosen.values()], metrics, tables[0].examples)
    table = ReportTable(
        "compared_studies", f"{title}. {counts}".strip(), pd.DataFrame(data), pd.DataFrame(texts), is_stacked=True
    )
    figures = common_fronts(chosen) if len(chosen) == 2 else {}
    caption = "The fronts by which both studies selected, and the configuration of each that is compared below."
    return Section("Studies", caption, figures=figures, tables=(table,), method=method)


def verdict_section(
    first: EvaluatedTrial, second: EvaluatedTrial, chosen: Mapping[str, "ChosenConfiguration"]
) -> Section:
    """Which of the two is ahead in what the study is mainly about, and at what cost."""
    metric = _headline(first, second, chosen)
    costs = [m for m in compared_metrics(first, second) if m.is_cost]
    cost = next((one for one in costs if not one.is_clocked), next(iter(costs), None))
    spent = [float(trial.metrics.get(cost.name) or math.nan) for trial in (first, second)] if cost else []
    if metric is None:
        return Section("Verdict", "Not decided: the two have no metric in common that is no cost.")
    gap = None
    if len(chosen) == 2:
        gap = gap_over_seeds(metric, chosen["A"].by_seed(metric.name), chosen["B"].by_seed(metric.name))
    gap = gap or gap_of_trials(metric, first, second)
    method = (
        "Over seeds, the interval is Student's t of the differences between equal seeds; over the same examples, that "
        "of Agresti and Min, with McNemar's exact test, and over other ones Newcombe's: both of these say nothing on "
        "other seeds. It is decided if the interval does not hold 0 and the test, if there is one, has p < 0.05."
    )
    return Section("Verdict", sentence(gap, cost, spent), method=method)


def _headline(
    first: EvaluatedTrial, second: EvaluatedTrial, chosen: Mapping[str, "ChosenConfiguration"]
) -> Metric | None:
    """What the comparison is mainly about: the study's headline, else the middle headline of both trials; on test."""
    both = [m for m in compared_metrics(first, second) if not m.is_cost and all(_has(t, m) for t in (first, second))]
    by_name = {metric.name: metric for metric in both}
    for choice in chosen.values():
        headline = choice.table.headline
        if headline is not None and (name := on_split(headline, "test")) in by_name:
            return by_name[name]
    candidates = sorted(both, key=lambda m: (not m.is_headline, m.split != "test", not m.is_share))
    best = [m for m in candidates if (m.is_headline, m.split) == (candidates[0].is_headline, candidates[0].split)]
    return best[(len(best) - 1) // 2] if best else None


def _has(trial: EvaluatedTrial, metric: Metric) -> bool:
    return metric.name in trial.flags or trial.metrics.get(metric.name) is not None


def trial_sections(first: EvaluatedTrial, second: EvaluatedTrial) -> list[Section]:
    """The configs, the shares of right examples, the costs and all other metrics of two trials, A and B."""
    metrics = compared_metrics(first, second)
    shares = [metric for metric in metrics if metric.is_share]
    costs, others = ([metric for metric in metrics if metric.kind == kind] for kind in ("cost", "number"))
    sections = [_configs(first, second)]
    if shares:
        table = _shares_table(first, second, shares)
        figures = {"compared_accuracies": shares_figure(table.data.to_dict("records"), shares)}
        caption, method = _shares_caption(first, second), _shares_method(first, second, shares)
        sections.append(Section("Accuracies", caption, figures=figures, tables=(table,), method=method))
    if others:
        sections.append(
            Section("Other metrics", "", tables=(_values_table("compared_metrics", others, first, second),))
        )
    if costs:
        caption = _cost_caption(first, second, costs)
        sections.append(Section("Cost", caption, tables=(_values_table("compared_costs", costs, first, second),)))
    return sections


def _configs(first: EvaluatedTrial, second: EvaluatedTrial) -> Section:
    rows = [{"field": name, "A": one, "B": other} for name, one, other in config_differences(first, second)]
    texts = pd.DataFrame([{name: factor_text(value) for name, value in row.items()} for row in rows])
    table = ReportTable("config_differences", "Differences of the configs", pd.DataFrame(rows), texts)
    caption = f"A is {first.folder} (seed {first.config.seed}), B is {second.folder} (seed {second.config.seed})."
    if not rows:
        return Section("Configs", f"{caption} The configs are equal in every field that has an effect.")
    return Section("Configs", f"{caption} The fields that have an effect and differ; – where a field has none.",
                   tables=(table,))  # fmt: skip


def _shares_caption(first: EvaluatedTrial, second: EvaluatedTrial) -> str:
    """What is shown, and what makes the two unlike, if anything does."""
    words = [f"Shares of {first.trainable.examples} that each trial got right, with 95% intervals."]
    fields = [*first.trainable.evaluation_fields, *second.trainable.evaluation_fields]
    values = {name: [getattr(trial.config, name, None) for trial in (first, second)] for name in fields}
    unlike = [name for name, (one, other) in values.items() if one != other]
    if unlike:
        words.append(f"The evaluations differ ({', '.join(unlike)}): what depends on these is not alike.")
    for letter, trial in (("A", first), ("B", second)):
        doubts = trial.metrics.get("validity") or []
        words += [f"{letter} failed a check: {'; '.join(doubts)}."] if doubts else []
    return " ".join(words)


def _shares_method(first: EvaluatedTrial, second: EvaluatedTrial, metrics: list[Metric]) -> str:
    examples = first.trainable.examples
    words = (
        f"Intervals are Wilson's over {examples}. B - A is over those on which both were evaluated, if there are such. "
        "p is of McNemar's exact test on those that only one of the two classified correctly, two-sided, and corrected "
        "by Holm's method over the rows. It compares these two trained classifiers and says nothing about other seeds."
    )
    has_checksums = first.data_checksum is not None and second.data_checksum is not None
    if not has_checksums and not any(why_unpaired(first, second, metric) for metric in metrics):
        words += f" That the {examples} are the same is inferred from the configs: not both recorded a checksum."
    return words


def _shares_table(first: EvaluatedTrial, second: EvaluatedTrial, metrics: list[Metric]) -> ReportTable:
    examples = first.trainable.examples
    data = [_share_row(first, second, metric) for metric in metrics]
    for row, corrected in zip(data, holm([row["p"] for row in data]), strict=True):
        row["p_holm"] = corrected
    texts = [
        {
            "accuracy": short_label(metric),
            "A": _share_text(row, "A"),
            "B": _share_text(row, "B"),
            "B - A": _number_text(row["difference"], "+.1f"),
            "p (Holm)": p_text(row["p_holm"]),
            "test": f"no paired test: {row['unpaired']}"
            if row["unpaired"]
            else f"of {row['common']:,.0f} {examples} only A {row['only_A']:.0f}, only B {row['only_B']:.0f}; "
            f"p {_compared(p_text(row['p']))}",
        }
        for row, metric in zip(data, metrics, strict=True)
    ]
    title = f"Accuracies, and how many {examples} only one of the two got right"
    return ReportTable("compared_accuracies", title, pd.DataFrame(data), pd.DataFrame(texts), is_stacked=True)


def _share_row(first: EvaluatedTrial, second: EvaluatedTrial, metric: Metric) -> dict[str, Any]:
    row: dict[str, Any] = {"accuracy": metric.name}
    for letter, trial in (("A", first), ("B", second)):
        value, count = accuracy_of(trial, metric.name) or (math.nan, 0)
        low, high = wilson_95(value, count) if count else (math.nan, math.nan)
        row |= {letter: value, f"{letter}_low": low, f"{letter}_high": high, f"{letter}_count": count}
    row |= {"difference": row["B"] - row["A"], "unpaired": why_unpaired(first, second, metric)}
    if row["unpaired"]:
        return row | dict.fromkeys(("common", "only_A", "only_B", "p"), math.nan)
    test = paired_test(first.flags[metric.name], second.flags[metric.name])
    row |= {"common": test.num_examples, "only_A": test.only_first, "only_B": test.only_second, "p": test.p_value}
    # One of the two may have been evaluated on more examples, as an expensive attack on only the first ones.
    return row | {"difference": 100 * (test.only_second - test.only_first) / test.num_examples}


def _share_text(row: Mapping[Any, Any], letter: str) -> str:
    value, low, high, count = (row[f"{letter}{part}"] for part in ("", "_low", "_high", "_count"))
    return "–" if math.isnan(value) else f"{value:.1f} [{low:.1f}, {high:.1f}], n={count:,}"


def _compared(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def _number_text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _cost_caption(first: EvaluatedTrial, second: EvaluatedTrial, costs: list[Metric]) -> str:
    clocked = [in_words(cost) for cost in costs if cost.is_clocked]
    words = [f"Clocked, and so dependent on what else ran on the machine: {', '.join(clocked)}."] if clocked else []
    named = [(letter, trial.metrics.get("hardware")) for letter, trial in (("A", first), ("B", second))]
    if clocked and any(hardware for _, hardware in named):
        words.append("; ".join(f"{letter} on {hardware or 'unknown hardware'}" for letter, hardware in named) + ".")
    shared = [letter for letter, trial in (("A", first), ("B", second)) if _has_reused(trial, costs)]
    if shared:
        words.append(f"{' and '.join(shared)} reused what another trial had trained: the cost is that of training it.")
    return " ".join(words)


def _has_reused(trial: EvaluatedTrial, costs: list[Metric]) -> bool:
    """Whether another trial had trained a part of what it needed, or all of it."""
    return bool(trial.metrics.get(trial.trainable.reused)) or any(f"reused_{c.name}" in trial.metrics for c in costs)


def _values_table(name: str, metrics: list[Metric], first: EvaluatedTrial, second: EvaluatedTrial) -> ReportTable:
    """The values of both trials, and their quotient for costs or else their difference."""
    data, texts = [], []
    for metric in metrics:
        one, other = (math.nan if (v := t.metrics.get(metric.name)) is None else float(v) for t in (first, second))
        change = other - one
        if metric.is_cost:
            change = math.log(other / one) if one > 0 and other > 0 else math.nan
        data.append({"metric": metric.name, "A": one, "B": other, "change": change})
        text = {"metric": short_label(metric), "A": value_text(metric, one), "B": value_text(metric, other)}
        texts.append(text | {"B / A" if metric.is_cost else "B - A": difference_text(metric, change)})
    title = "Costs" if metrics[0].is_cost else "Other metrics"
    return ReportTable(name, title, pd.DataFrame(data), pd.DataFrame(texts), is_stacked=True)
