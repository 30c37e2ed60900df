"""Tables of the front: its members, configurations that may belong to it, and the best within a budget."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.front.front_marks import best_within_budgets
from reports.page.figure_style import factor_text, measured_text
from reports.page.recipe import recipe_text
from reports.page.report_table import ReportTable
from reports.page.rerun import rerun_command
from study.record.measures import (
    SPLIT_WORDS,
    Row,
    examples_behind,
    examples_text,
    in_words,
    interval_of,
    on_split,
    short_label,
    value_text,
)
from study.record.trials import FACTOR_PREFIX, TrialTable, spread_of
from study.trainable import Metric

MIN_PROBABILITY = 0.1  # minimum probability of belonging to the front for a configuration off it to be listed
NUM_BEST = 10  # configurations in the table of a study with one objective


def ordering_metric(table: TrialTable) -> Metric | None:
    """What the front is sorted by: the first objective that is no cost."""
    return next((objective for objective in table.objectives if not objective.is_cost), None)


def sorted_front(table: TrialTable) -> pd.DataFrame:
    """The configurations on the front with their probabilities, sorted by ``ordering_metric``, best first.

    Those in the study's region of interest come before the others.
    """
    frame, first = table.certainty[0], ordering_metric(table)
    front = frame[frame["on_front"]]
    if first is not None:
        front = front.sort_values(first.name, ascending=not first.maximise, kind="stable")
    return front.sort_values("is_inside", ascending=False, kind="stable")


def front_export(table: TrialTable) -> ReportTable:
    """The front for a paper: factors, what is reported, costs, and the probability of each member."""
    metrics = [*reported_metrics(table), *table.costs]
    return _configurations(
        "front", "Pareto front, selected on validation", table, sorted_front(table), metrics, is_brief=False
    )


def near_front(table: TrialTable) -> ReportTable:
    """Configurations off the front that belong to it with a probability of at least 0.1, most probable first."""
    frame = table.certainty[0]
    likely = frame[~frame["on_front"] & (frame["front_probability"] >= MIN_PROBABILITY)]
    likely = likely.sort_values("front_probability", ascending=False, kind="stable")
    title = f"Off the front, but on it in at least {MIN_PROBABILITY:.0%} of bootstrap replicates"
    return _configurations("near_front", title, table, likely, brief_metrics(table))


def best_table(table: TrialTable) -> ReportTable:
    """The best configurations in the only objective of the study; lost and doubtful ones are left out."""
    (objective,) = table.objectives
    frame = table.certainty[0]
    kept = frame[~frame["is_lost"] & (frame["validity"].map(len) == 0)].dropna(subset=[objective.name])
    best = kept.sort_values(objective.name, ascending=not objective.maximise, kind="stable").head(NUM_BEST)
    return _configurations(
        "best", f"The best configurations by {in_words(objective)}", table, best, _led_by(objective, table)
    )


def budget_table(table: TrialTable, metric: Metric, cost: Metric) -> ReportTable:
    """The best ``metric`` under round budgets of ``cost``, selected on validation."""
    frame = table.certainty[0]
    best = best_within_budgets(frame, metric, cost)
    split = f"{SPLIT_WORDS[metric.split]} " if metric.split else ""
    title = f"Best {split}{in_words(metric)} within a budget of {in_words(cost)}"
    members = frame.iloc[best["row"].tolist()]
    budgets = _configurations(f"best_within_budget_{cost.name}", title, table, members, _led_by(metric, table))
    budgets.text.insert(0, "budget", [value_text(cost, budget) for budget in best["budget"]])
    budgets.data.insert(0, f"budget_{cost.name}", best["budget"].tolist())
    return budgets


def _led_by(metric: Metric, table: TrialTable) -> list[Metric]:
    """``brief_metrics`` that begin with ``metric`` on both splits."""
    pair = {metric.name, metric.twin}
    return sorted([m for m in brief_metrics(table)], key=lambda other: other.name not in pair)


def reported_metrics(table: TrialTable) -> list[Metric]:
    """What is reported of a configuration besides costs: shares on test or on no split, and the other objectives."""
    metrics = [*table.shares("test"), *table.shares("")]
    for objective in table.objectives:
        twin = table.metric(on_split(objective, "test"))
        reported = twin if twin.name in table.configurations else objective
        if not objective.is_cost and reported not in metrics:
            metrics.append(reported)
    return metrics


def brief_metrics(table: TrialTable) -> list[Metric]:
    """What a row of the page tells of a configuration: the objectives as selected and as reported, costs last."""
    costs = [cost for cost in table.objectives if cost.is_cost] or [cost for cost in [table.cost] if cost]
    others = [metric for metric in table.objectives if not metric.is_cost]
    names = [on_split(metric, split) for metric in others for split in ("val", "test")]
    metrics = [table.metric(name) for name in dict.fromkeys(names)]
    return [metric for metric in [*metrics, *costs] if metric in table.measured]


def _configurations(
    name: str, title: str, table: TrialTable, frame: pd.DataFrame, metrics: Sequence[Metric], is_brief: bool = True
) -> ReportTable:
    """The configurations in ``frame``: all that is known as numbers, ``metrics`` as text, in few columns if brief."""
    rows = frame.to_dict("records")
    measures = [metric for metric in metrics if not metric.is_cost]
    notation = "Values with ± standard deviation over seeds"
    notation += (
        f", or [Wilson 95% interval over {table.examples}] for one seed" if any(m.is_share for m in measures) else ""
    )
    title = f"{title}. {notation}. {examples_text(rows, measures, table.examples)}".strip()
    texts, numbers = [], []
    for row in rows:
        text = {"trial": row["uid"]}
        factors = {factor: factor_text(row[FACTOR_PREFIX + factor]) for factor in table.factors}
        text |= {"configuration": recipe_text(table, row["uid"])} if is_brief else factors
        text |= {short_label(metric): measured_text(row, metric) for metric in measures}
        text |= {in_words(cost): value_text(cost, row[cost.name]) for cost in metrics if cost.is_cost}
        texts.append(text | {"seeds": str(row["num_seeds"]), "P(front)": f"{row['front_probability']:.2f}"})
        numbers.append(_numbers(row, table))
    return ReportTable(name, title, pd.DataFrame(numbers, dtype=object), pd.DataFrame(texts))


def _numbers(row: Row, table: TrialTable) -> dict[str, Any]:
    """A configuration with one number per column: means, spreads, intervals, numbers of examples and of seeds."""
    plain: dict[str, Any] = {"uid": row["uid"], "trials": " ".join(row["uids"])}
    plain |= {"seeds": " ".join(str(seed) for seed in row["seeds"])}
    plain |= {factor: row[FACTOR_PREFIX + factor] for factor in table.factors}
    for metric in dict.fromkeys([*table.shares("val"), *reported_metrics(table)]):
        name, (spread, seeds) = metric.name, spread_of(row, metric.name)
        plain |= {name: row[name], f"{name}_sd": spread, f"{name}_seeds": seeds}
        if metric.is_share:
            # Wilson's interval covers the examples of one seed; around a mean over seeds it would be misread.
            low, high = (interval_of(row, metric) if seeds == 1 else None) or (math.nan, math.nan)
            plain |= {f"{name}_{table.examples}": examples_behind(row, metric)}
            plain |= {f"{name}_wilson_low": low, f"{name}_wilson_high": high}
    plain |= {cost.name: row[cost.name] for cost in table.costs}
    plain |= {"front_probability": row["front_probability"]}
    plain |= {"is_inside": row["is_inside"]} if table.region else {}
    return plain | {"command": rerun_command(table, row["uid"]) or ""}
