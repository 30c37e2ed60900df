"""Comparison of a study with the table of the paper that it reproduces: the report section added by ``--paper``."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from reports.page.page import Section
from reports.page.report_table import ReportTable, table_of
from reports.paper.paper_comparison import (
    NOT_RUN,
    Comparison,
    RowPair,
    accuracies,
    configuration_of,
    pairs_of,
    relative_costs,
)
from reports.paper.paper_rows import DATASETS, ITEMS, item_of, printed_row, rows_of, space_of
from study.record.measures import COSTS, short_label
from study.record.trials import TrialTable

# What may differ from the provided space unmentioned: the data set is stated elsewhere, the seed is meant to differ.
FREE_FIELDS = ("dataset", "data_root", "seed")
DATASET_WORDS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet100": "ImageNet-100"}


def paper_section(table: TrialTable) -> Section:
    """Compares the study with the table of the paper that it reproduces.

    Raises:
        ValueError: if the study reproduces nothing in the paper.
    """
    item = item_of(table.study.spec)
    if item is None:
        raise ValueError(f"--paper: the factors of {table.study.name!r} are those of no space in search_spaces/paper")
    number = ITEMS[item]
    if number is None:
        return Section(
            "Beside the paper",
            f"The paper draws {item.replace('figure', 'Figure ')} and prints no number of it: there is nothing to "
            "put ours beside.",
        )
    dataset = _dataset(table, item)
    pairs = list(pairs_of(table, item, dataset))
    reasons = incomparable(table, dataset)
    compared = accuracies(pairs, table) + relative_costs(pairs)
    if reasons:
        nothing: dict[str, Any] = {
            "difference": math.nan,
            "low": math.nan,
            "high": math.nan,
            "interval_over": "",
            "factor": math.nan,
        }
        compared = [replace(one, **nothing) for one in compared]
    title = f"Table {number} of the paper, {DATASET_WORDS[dataset]}, beside ours"
    if reasons:
        title += f". Not comparable: {'; '.join(reasons)}"
    caption = _caption(table, pairs, reasons)
    return Section("Beside the paper", caption, tables=(_table(f"paper_{item}", title, compared),))


def incomparable(table: TrialTable, dataset: str) -> list[str]:
    """Reasons why our numbers cannot be compared with the paper's; usually empty."""
    spec, ours = table.study.spec, table.study.spec["base"]["dataset"]
    reasons = [] if spec.get("preset") == "paper" else [f"the study ran under the preset {spec.get('preset')}"]
    if DATASETS.get(ours) != dataset:
        reasons.append(f"ours are of {ours}, the paper's of {DATASET_WORDS[dataset]}")
    return reasons


def _dataset(table: TrialTable, item: str) -> str:
    """The paper's data set to compare with: the study's if the item has it, else that of the item's space."""
    own, number = DATASETS.get(table.study.spec["base"]["dataset"]), ITEMS[item]
    assert number is not None
    has_own = own is not None and any(printed_row(number, own, setting) for _, setting in rows_of(item, "paper"))
    return own if own is not None and has_own else DATASETS[space_of(item).base.dataset]


def _table(name: str, title: str, compared: list[Comparison]) -> ReportTable:
    columns: dict[str, Any] = {
        "row": lambda one: one["row"],
        "measure": lambda one: _measure_words(one["measure"]),
        "paper": lambda one: one["paper_text"],
        "ours": lambda one: one["ours_text"],
        "seeds": lambda one: one["ours_seeds"] or "–",
        "images": lambda one: f"{one['ours_images']:,}" if one["ours_images"] else "–",
        "ours − paper": _difference_text,
        "interval over": lambda one: one["interval_over"] or "–",
        "note": lambda one: one["note"],
    }
    rows = [asdict(one) for one in compared]
    data = pd.DataFrame(rows).drop(columns=["paper_text", "ours_text"])
    return ReportTable(name, title, data, table_of(name, title, rows, columns).text)


def _difference_text(one: Mapping[str, Any]) -> str:
    if math.isfinite(one["factor"]):
        return f"× {one['factor']:.2f}"
    if not math.isfinite(one["difference"]):
        return "–"
    interval = f" [{one['low']:+.1f}, {one['high']:+.1f}]" if math.isfinite(one["low"]) else ""
    return f"{one['difference']:+.1f}{interval}"


def _measure_words(measure: str) -> str:
    cost = measure.removesuffix("_ratio")
    return f"{COSTS[cost][0]}, relative" if cost in COSTS else short_label(measure)


def _caption(table: TrialTable, pairs: list[RowPair], reasons: list[str]) -> str:
    warning = (
        f"Not comparable: {'; '.join(reasons)}. No difference is given. "
        if reasons
        else ""
    )  # fmt: skip
    changed = [] if reasons else deviations(table, pairs)
    otherwise = f"Differs from the shipped space in: {', '.join(changed)}. " if changed else ""
    return (
        f"{warning}{otherwise}Test accuracies in percent. Ours are means over seeds ± their standard deviation, or for "
        "one seed [Wilson's 95% interval over images]. A difference is ours less the paper's; its interval over seeds "
        "is that in which one further seed of ours is expected (t distribution), as the paper prints one run; for one "
        "seed it covers the drawing of our images alone and says nothing on seeds. Ours train on the images that are "
        "left after the validation split. Costs are relative to one row of the table: minutes on the authors' machine "
        "beside our counted view passes and operations, their quotient as the difference. A row without a complete "
        f"trial is '{NOT_RUN}'. Notes name where the paper's numbers contradict each other."
    )


def deviations(table: TrialTable, pairs: list[RowPair]) -> list[str]:
    """Fields in which complete trials differ from the provided space, with their values."""
    settings = {configuration_of(pair.params): pair.setting.effective() for pair in pairs}
    found: dict[str, None] = {}
    for trial in table.study.with_state("complete"):
        if trial.purpose != "search":
            continue
        for name, value in settings.get(trial.configuration, {}).items():
            if name not in FREE_FIELDS and trial.config.get(name) != value:
                found[f"{name}={json.dumps(trial.config.get(name))}"] = None
    return list(found)
