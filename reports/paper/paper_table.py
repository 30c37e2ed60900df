"""Comparison of a study with the table of the paper that it reproduces: the report section added by ``--paper``."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from reports.page.page import Section
from reports.page.report_table import ReportTable
from reports.paper.paper_comparison import (
    NOT_RUN,
    RELATIVE_COSTS,
    Comparison,
    RowPair,
    accuracies,
    pairs_of,
    relative_costs,
)
from reports.paper.paper_rows import DATASETS, ITEMS, item_of, printed_row, rows_of, space_of
from study.record.identity import as_meant
from study.record.measures import in_words, short_label
from study.record.trials import TrialTable
from trainables.robust_ssl import ROBUST_SSL

TITLE = "Beside the paper"
# What may differ from the provided space unmentioned: the data set is stated elsewhere, the seed is meant to differ.
FREE_FIELDS = ("dataset", "data_root", "seed")
DATASET_WORDS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet100": "ImageNet-100"}
METHOD = (
    "Test accuracies in percent. Ours are means over seeds ± their standard deviation, or for one seed [Wilson's 95% "
    "interval over images]. A difference is ours less the paper's; its interval over seeds is that in which one "
    "further seed of ours is expected (t distribution), as the paper prints one run; for one seed it covers the "
    "drawing of our images alone and says nothing on seeds. Ours train on the images that are left after the "
    "validation split. Costs are relative to one row of the table: minutes on the authors' machine beside our counted "
    f"view passes and operations, their quotient as the difference. A row without a complete trial is '{NOT_RUN}'. "
    "Notes name where the paper's numbers contradict each other."
)


def paper_sections(table: TrialTable, study_dir: Path) -> list[Section]:
    """Compares the study with the table of the paper that it reproduces.

    Raises:
        ValueError: if the study reproduces nothing in the paper.
    """
    item = item_of(table.study.spec)
    if item is None:
        raise ValueError(f"--paper: the factors of {table.study.name!r} are those of no space in search_spaces/paper")
    number = ITEMS[item]
    if number is None:
        figure = item.replace("figure", "Figure ")
        return [Section(TITLE, f"The paper draws {figure} and prints no number of it: there is nothing to compare.")]
    dataset = _dataset(table, item, number)
    pairs = list(pairs_of(table, item, number, dataset))
    reasons = incomparable(table, dataset)
    compared = [*accuracies(pairs, table), *relative_costs(pairs)]
    title, caption = f"Table {number} of the paper, {DATASET_WORDS[dataset]}, beside ours", "Ours beside the paper's."
    if reasons:
        compared = [one.without_difference() for one in compared]
        caption = f"Not comparable: {'; '.join(reasons)}. No difference is given."
        title = f"{title}. Not comparable: {'; '.join(reasons)}"
    elif changed := deviations(table, pairs):
        caption = f"Differs from the shipped space in: {', '.join(changed)}."
    return [Section(TITLE, caption, tables=(_table(f"paper_{item}", title, table, compared),), method=METHOD)]


def incomparable(table: TrialTable, dataset: str) -> list[str]:
    """Reasons why our numbers cannot be compared with the paper's; usually empty."""
    spec, ours = table.study.spec, table.study.spec["base"]["dataset"]
    full_size = ("paper", "authors")
    reasons = [] if spec.get("preset") in full_size else [f"the study ran under the preset {spec.get('preset')}"]
    if DATASETS.get(ours) != dataset:
        reasons.append(f"ours are of {ours}, the paper's of {DATASET_WORDS[dataset]}")
    return reasons


def _dataset(table: TrialTable, item: str, number: int) -> str:
    """The paper's data set to compare with: the study's if the item has it, else that of the item's space."""
    own = DATASETS.get(table.study.spec["base"]["dataset"])
    has_own = own is not None and any(printed_row(number, own, setting) for _, setting in rows_of(item, "paper"))
    return own if own is not None and has_own else DATASETS[space_of(item).config({}, seed=0).dataset]


def _table(name: str, title: str, table: TrialTable, compared: Sequence[Comparison]) -> ReportTable:
    words = {f"{cost}_ratio": f"{in_words(table.metric(cost))}, relative" for cost in RELATIVE_COSTS}
    texts = [
        {
            "row": one.row,
            "measure": words.get(one.measure) or short_label(table.metric(one.measure)),
            "paper": one.paper_text,
            "ours": one.ours_text,
            "seeds": str(one.ours_seeds or "–"),
            "images": f"{one.ours_images:,}" if one.ours_images else "–",
            "ours − paper": _difference_text(one),
            "interval over": one.interval_over or "–",
            "note": one.note,
        }
        for one in compared
    ]
    data = pd.DataFrame([asdict(one) for one in compared]).drop(columns=["paper_text", "ours_text"])
    return ReportTable(name, title, data, pd.DataFrame(texts))


def _difference_text(one: Comparison) -> str:
    if math.isfinite(one.factor):
        return f"× {one.factor:.2f}"
    if not math.isfinite(one.difference):
        return "–"
    interval = f" [{one.low:+.1f}, {one.high:+.1f}]" if math.isfinite(one.low) else ""
    return f"{one.difference:+.1f}{interval}"


def deviations(table: TrialTable, pairs: Sequence[RowPair]) -> list[str]:
    """Fields in which complete trials differ from the provided space, with their values."""
    settings = {pair.configuration: pair.setting.effective() for pair in pairs}
    searched = [trial for trial in table.study.with_state("complete") if trial.purpose == "search"]
    meant = [(trial.configuration, as_meant(trial.config, ROBUST_SSL)) for trial in searched]
    changed = [
        f"{name}={json.dumps(config.get(name))}"
        for configuration, config in meant
        for name, value in settings.get(configuration, {}).items()
        if name not in FREE_FIELDS and config.get(name) != value
    ]
    return list(dict.fromkeys(changed))
