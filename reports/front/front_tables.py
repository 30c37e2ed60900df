"""Tables of the front: its members, configurations that may belong to it, and the best within a budget."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.front.front_marks import best_within_budgets
from reports.page.figure_style import short_percent, value_text
from reports.page.report_table import ReportTable, Row, table_of
from reports.page.rerun import rerun_command
from study.record.configuration_frame import spread_of
from study.record.measures import (
    COSTS,
    format_cost,
    images_behind,
    images_text,
    interval_of,
    is_accuracy,
    label,
    short_label,
    split_of,
)
from study.record.trials import FACTOR_PREFIX, TrialTable

NOTATION = "Accuracies with ± standard deviation over seeds, or [Wilson 95% interval over images] for one seed."
MIN_PROBABILITY = 0.1  # minimum probability of belonging to the front for a configuration off it to be listed


def sorted_front(table: TrialTable) -> pd.DataFrame:
    """The configurations on the front with their probabilities, sorted by the first accuracy, best first."""
    frame = table.certainty[0]
    front = frame[frame["on_front"]]
    first = next((objective for objective in table.objectives if is_accuracy(objective.name)), None)
    return front if first is None else front.sort_values(first.name, ascending=not first.maximise, kind="stable")


def front_export(table: TrialTable) -> ReportTable:
    """The front for a paper: factors, test accuracies, costs, and the probability of each member."""
    title = f"Pareto front, selected on validation. {NOTATION}"
    return _configurations("front", title, table, sorted_front(table))


def near_front(table: TrialTable) -> ReportTable:
    """Configurations off the front that belong to it with a probability of at least 0.1, most probable first."""
    frame = table.certainty[0]
    likely = frame[~frame["on_front"] & (frame["front_probability"] >= MIN_PROBABILITY)]
    likely = likely.sort_values("front_probability", ascending=False, kind="stable")
    return _configurations(
        "near_front",
        f"Off the front, but on it in at least {MIN_PROBABILITY:.0%} of bootstrap replicates. {NOTATION}",
        table,
        likely,
    )


def budget_table(table: TrialTable, measure: str, cost: str) -> ReportTable:
    """The best ``measure`` under round budgets of ``cost``, selected on validation."""
    frame = table.certainty[0]
    best = best_within_budgets(frame, measure, cost)
    members = frame.iloc[best["row"].tolist()]
    budgets = [format_cost(cost, budget) for budget in best["budget"]]
    title = (
        f"Best {split_of(measure)} {label(measure, table.pgd_steps)} within a budget of {COSTS[cost][0]}. {NOTATION}"
    )
    found = _configurations(f"best_within_budget_{cost}", title, table, members, [measure])
    found.text.insert(0, "budget", budgets)
    found.data.insert(0, f"budget_{cost}", best["budget"].tolist())
    found.text.insert(len(table.factors) + 2, short_label(measure),
                      [short_percent(row, measure) for row in members.to_dict("records")])  # fmt: skip
    return found


def _configurations(
    name: str, title: str, table: TrialTable, frame: pd.DataFrame, more: Sequence[str] = ()
) -> ReportTable:
    """The configurations in ``frame`` as numbers and as text; the title gives image counts of tests and ``more``."""
    tests, costs = table.accuracies("test"), [cost for cost in COSTS if cost in frame]
    rows = frame.to_dict("records")
    title = f"{title} {images_text(rows, [*tests, *more])}".strip()
    columns: dict[str, Any] = {"trial": lambda row: row["uid"]}
    columns |= {factor: lambda row, factor=factor: value_text(row[FACTOR_PREFIX + factor]) for factor in table.factors}
    columns |= {short_label(test): lambda row, test=test: short_percent(row, test) for test in tests}
    columns |= {COSTS[cost][0]: lambda row, cost=cost: format_cost(cost, row[cost]) for cost in costs}
    columns |= {"seeds": lambda row: row["num_seeds"], "P(front)": lambda row: f"{row['front_probability']:.2f}"}
    text = table_of(name, title, rows, columns).text
    return ReportTable(name, title, pd.DataFrame([_numbers(row, table) for row in rows], dtype=object), text)


def _numbers(row: Row, table: TrialTable) -> dict[str, Any]:
    """A configuration with one number per column: means, spreads, intervals, numbers of images and of seeds."""
    plain: dict[str, Any] = {"uid": row["uid"], "trials": " ".join(row["uids"])}
    plain |= {"seeds": " ".join(str(seed) for seed in row["seeds"])}
    plain |= {factor: row[FACTOR_PREFIX + factor] for factor in table.factors}
    for name in [*table.accuracies("val"), *table.accuracies("test")]:
        low, high = interval_of(row, name) or (math.nan, math.nan)
        spread, seeds = spread_of(row, name)
        plain |= {
            name: row[name],
            f"{name}_sd": spread,
            f"{name}_seeds": seeds,
            f"{name}_images": images_behind(row, name),
        }
        # Wilson's interval covers the images of one seed; around a mean over seeds it would be misread.
        plain |= {
            f"{name}_wilson_low": low if seeds == 1 else math.nan,
            f"{name}_wilson_high": high if seeds == 1 else math.nan,
        }
    plain |= {cost: row[cost] for cost in COSTS if cost in row}
    plain |= {"front_probability": row["front_probability"]}
    return plain | {"command": rerun_command(table.study.trials[row["uid"]].config) or ""}
