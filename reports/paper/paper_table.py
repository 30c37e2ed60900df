"""A study beside the table of the paper that it reproduces, or the paper's rows of its recipes (``--paper``)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from reports.page.page import Section
from reports.page.report_table import ReportTable
from reports.paper.paper_comparison import (
    NOT_RUN,
    RELATIVE_COSTS,
    Comparison,
    RowPair,
    accuracies,
    pairs_of,
    pairs_of_any,
    relative_costs,
    seed_interval,
)
from reports.paper.paper_figure import Beside, dumbbells
from reports.paper.paper_names import MEASURES
from reports.paper.paper_rows import ACCURACIES, DATASETS, ITEMS, item_of, paper_rows, printed_row, rows_of, space_of
from study.record.identity import as_meant
from study.record.measures import in_words, interval_of, short_label
from study.record.trials import TrialTable, spread_of
from study.trainable import Metric
from trainables.robust_ssl import ROBUST_SSL

TITLE = "Beside the paper"
# What may differ from the provided space unmentioned: the data set is stated elsewhere, the seed is meant to differ.
FREE_FIELDS = ("dataset", "data_root", "seed")
SCALE_FIELDS = ("encoder", "image_size", "train_images", "attack_radius_255")
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
    """Compares the study with the table of the paper that it reproduces, or its recipes with the paper's rows of them.

    Raises:
        ValueError: if the paper prints none of its recipes.
    """
    item = item_of(table.study.spec)
    if item is None:
        item, what = "rows", "Rows of the paper"
        dataset, pairs = pairs_of_any(table)
        if not pairs:
            raise ValueError(f"--paper: the paper prints no recipe of {table.study.name!r}")
    else:
        number = ITEMS[item]
        if number is None:
            figure = item.replace("figure", "Figure ")
            return [Section(TITLE, f"The paper draws {figure} and prints no number of it: nothing can be compared.")]
        what, dataset = f"Table {number} of the paper", _dataset(table, item, number)
        pairs = list(pairs_of(table, item, number, dataset))
    pairs = _in_the_papers_order(pairs)
    reasons = incomparable(table, dataset, pairs if item == "rows" else ())
    compared = [*accuracies(pairs, table), *relative_costs(pairs)]
    title = f"{what}, {DATASET_WORDS[dataset]}, beside ours"
    caption = f"{title}: accuracies of ours with their intervals, and where there is none yet, the paper's alone."
    if reasons:
        compared = [one.without_difference() for one in compared]
        caption = f"Different scales, not comparable: {'; '.join(reasons)}."
        title = f"{title}. Not comparable: {'; '.join(reasons)}"
    elif changed := deviations(table, pairs):
        caption = f"Differs from the shipped space in: {', '.join(changed)}."
    printed = [pair.printed_name for pair in pairs]
    names = {
        pair.name: name if printed.count(name) == 1 else f"{name}: {pair.name}"
        for pair, name in zip(pairs, printed, strict=True)
    }
    figures = _figures(table, item, dataset, pairs, names, is_one_scale=not reasons)
    uids = tuple(pair.ours.get("uid") for pair in pairs)
    tables = (replace(_layout_table(f"paper_{item}_layout", title, names, compared), uids=uids),)
    exports = (_table(f"paper_{item}", title, table, compared),)
    return [Section(TITLE, caption, figures=figures, tables=tables, exports=exports, method=METHOD)]


def _in_the_papers_order(pairs: list[RowPair]) -> list[RowPair]:
    places = {id(row): place for place, row in enumerate(paper_rows())}
    return sorted(pairs, key=lambda pair: places.get(id(pair.printed), len(places)))


def _figures(
    table: TrialTable,
    item: str,
    dataset: str,
    pairs: Sequence[RowPair],
    names: Mapping[str, str],
    *,
    is_one_scale: bool,
) -> dict[str, go.Figure]:
    """Clean and robust accuracy, the latter under PGD at 8/255 if the paper prints that, as dumbbells."""
    printed = [name for name in ACCURACIES if any(math.isfinite(pair.prints(name)) for pair in pairs)]
    robust = sorted((name for name in printed if name != "clean"), key=lambda name: name != "pgd_8")
    ours = table.study.spec["base"]["dataset"]
    our_words = f"ours: {DATASET_WORDS.get(ours, ours)}, preset {table.study.spec.get('preset', 'paper')}"
    paper_words = f"paper: {DATASET_WORDS[dataset]}, full size"
    figures = {}
    for name in [*(["clean"] if "clean" in printed else []), *robust[:1]]:
        metric = table.metric(f"test_{name}")
        rows = [
            Beside(names[pair.name], pair.prints(name), *_ours(pair, metric), pair.ours.get("uid")) for pair in pairs
        ]
        scale = "" if is_one_scale else ": different scales"
        title = f"{MEASURES[name]}, test accuracy (%){scale}"
        figures[f"paper_{item}_{name}"] = dumbbells(title, rows, paper_words, our_words, is_one_scale=is_one_scale)
    return figures


def _ours(pair: RowPair, metric: Metric) -> tuple[float, float, float]:
    """Our mean, and the ends of its interval as in ``Comparison``."""
    mean = float(pair.ours.get(metric.name, math.nan))
    spread, seeds = spread_of(pair.ours, metric.name)
    interval = seed_interval(mean, spread, seeds) if seeds > 1 else interval_of(pair.ours, metric)
    return mean, *(interval or (math.nan, math.nan))


def _layout_table(name: str, title: str, names: Mapping[str, str], compared: Sequence[Comparison]) -> ReportTable:
    """A row for each row of the paper's table, a column for each of its accuracies: the paper's, then ours."""
    rows: dict[str, dict[str, str]] = {}
    data: dict[str, dict[str, object]] = {}
    for one in compared:
        measure = one.measure.removeprefix("test_")
        text, numbers = rows.setdefault(one.row, {"Models": names[one.row]}), data.setdefault(one.row, {"row": one.row})
        if measure in MEASURES:
            text[MEASURES[measure]] = f"{one.paper_text} | {one.ours_text}"
            numbers |= {f"{measure}_paper": one.paper, f"{measure}_ours": one.ours}
            numbers |= {f"{measure}_low": one.low + one.paper, f"{measure}_high": one.high + one.paper}
        elif one.measure == "view_passes_ratio":
            text["Time | view passes"] = f"{one.paper_text} | {one.ours_text}"
            numbers |= {"time_paper": one.paper, "view_passes_ours": one.ours}
    notes = {
        row: [
            f"{MEASURES[one.measure.removeprefix('test_')]}: {one.note}"
            for one in compared
            if one.row == row and one.note and one.measure.removeprefix("test_") in MEASURES
        ]
        for row in rows
    }
    if any(notes.values()):
        rows = {row: text | {"note": "; ".join(notes[row]) or "–"} for row, text in rows.items()}
    title = f"{title}: paper | ours, in percent"
    return ReportTable(name, title, pd.DataFrame(data.values()), pd.DataFrame(rows.values()), is_stacked=True)


def incomparable(table: TrialTable, dataset: str, pairs: Sequence[RowPair]) -> list[str]:
    """Reasons why our numbers cannot be compared with the paper's; usually empty.

    Those of ``pairs`` may be of another scale than the paper's rows of their recipes; a space for a table is meant to.
    """
    spec, ours = table.study.spec, table.study.spec["base"]["dataset"]
    full_size = ("paper", "authors")
    reasons = [] if spec.get("preset") in full_size else [f"the study ran under the preset {spec.get('preset')}"]
    if DATASETS.get(ours) != dataset:
        reasons.append(f"ours are of {ours}, the paper's of {DATASET_WORDS[dataset]}")
    if not reasons:
        scaled = [change for change in deviations(table, pairs) if change.partition("=")[0] in SCALE_FIELDS]
        reasons += [f"the study has {', '.join(scaled)}"] if scaled else []
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
