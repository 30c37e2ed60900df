"""The numbers printed in the paper, the row of the paper that matches a configuration, and contradictions among them.

``reports/paper/paper_tables.csv`` holds every row of Tables 1 to 6: what was trained and probed, test accuracies in
percent, and minutes of pretraining. A cell is empty if the paper does not state its value.
"""

import csv
import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from search_spaces.paper._recipes import CROP, PATCH
from study.spec import Params, StudySpec
from study.spec.choices import enumerate_grid
from trainables.trial_config import TrialConfig

# Space file in search_spaces/paper -> the table of the paper that it reproduces; None: a figure without numbers.
ITEMS: dict[str, int | None] = {
    "table1": 1, "table2": 2, "table3": 3, "table4": 4, "table4_imagenet100": 4, "table5": 5, "table6": 6,
    "figure2": None, "figure3": None, "figure4": None, "figure5": None,
}  # fmt: skip
# Our data set -> the paper's; an image folder is assumed to hold the only one that the paper uses.
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagefolder": "imagenet100"}
RECIPE_COLUMNS = (
    "encoder", "method", "adversary", "views", "num_views", "pgd_steps", "replays", "epochs", "probe", "eval_views",
)  # fmt: skip
ACCURACIES = ("clean", "pgd_4", "pgd_8", "pgd_16", "aa_4", "aa_8", "aa_16")
MINUTES = "minutes"


@dataclass(frozen=True)
class PaperRow:
    """One row of one table for one data set.

    Args:
        table: the table's number.
        dataset: ``cifar10``, ``cifar100`` or ``imagenet100``.
        recipe: column -> what was trained and probed, as text; without empty cells.
        values: measure -> number printed; without empty cells.
    """

    table: int
    dataset: str
    recipe: Mapping[str, str]
    values: Mapping[str, float]


@cache
def paper_rows() -> tuple[PaperRow, ...]:
    """Every row of the paper's tables, in the paper's order."""
    text = (resources.files("reports.paper") / "paper_tables.csv").read_text(encoding="utf-8")
    return tuple(
        PaperRow(
            int(line["table"]),
            line["dataset"],
            {name: line[name] for name in RECIPE_COLUMNS if line[name]},
            {name: float(line[name]) for name in (*ACCURACIES, MINUTES) if line[name]},
        )
        for line in csv.DictReader(text.splitlines())
    )


@cache
def space_of(item: str) -> StudySpec:
    """The space that this repository provides for an item."""
    spec: StudySpec = importlib.import_module(f"search_spaces.paper.{item}").STUDY
    return spec


def item_of(spec: Mapping[str, Any]) -> str | None:
    """The item that a study reproduces: the one with the same factors and levels, whatever the study's name; or None.

    Args:
        spec: plain data of a StudySpec, as in the journal.
    """
    factors = [(factor["name"], set(factor.get("levels") or ())) for factor in spec.get("factors", [])]
    for item in ITEMS:
        space = space_of(item).with_preset(spec.get("preset", "paper"))
        if factors == [(factor.name, set(factor.levels or ())) for factor in space.factors]:
            return item
    return None


def rows_of(item: str, preset: str) -> list[tuple[Params, TrialConfig]]:
    """The factor values of each configuration under ``preset``, with the paper's setting that they represent."""
    spec = space_of(item)
    grids = enumerate_grid(spec.with_preset(preset)), enumerate_grid(spec)
    return [(params, spec.config(original, seed=0)) for params, original in zip(*grids, strict=True)]


def printed_row(table: int, dataset: str, config: TrialConfig) -> PaperRow | None:
    """The row of ``table`` for ``dataset`` with the recipe of ``config``; None if there is none.

    A cell that the paper leaves empty matches anything.

    Raises:
        ValueError: if several rows match.
    """
    recipe = _recipe_of(config)
    in_table = [row for row in paper_rows() if (row.table, row.dataset) == (table, dataset)]
    rows = [row for row in in_table if row.recipe.items() <= recipe.items()]
    if len(rows) > 1:
        raise ValueError(f"{len(rows)} rows of table {table} print the recipe {recipe}")
    return rows[0] if rows else None


def printed_anywhere(dataset: str, config: TrialConfig) -> tuple[PaperRow, TrialConfig] | None:
    """The first row of any table for ``dataset`` with the recipe of ``config``, and the paper's setting of that row.

    Any encoder but a ResNet-50 stands for the ResNet-18. Some rows are in several tables (see ``inconsistencies``).
    """
    like = config if config.encoder == "resnet50" else config.replace(encoder="resnet18")
    for item, table in ITEMS.items():
        row = printed_row(table, dataset, like) if table else None
        settings = [setting for _, setting in rows_of(item, "paper")] if row else []
        for setting in settings:
            if row and printed_row(row.table, dataset, setting) is row:
                return row, setting
    return None


def inconsistencies(row: PaperRow) -> dict[str, str]:
    """Measure -> how the number printed in ``row`` contradicts other numbers in the paper; usually empty."""
    alike = [other for other in paper_rows() if (other.dataset, other.recipe) == (row.dataset, row.recipe)]
    notes: dict[str, list[str]] = {}
    for name, value in row.values.items():
        others = [other for other in alike if other.values.get(name, value) != value]
        notes[name] = [f"Table {other.table} prints {other.values[name]:g} for the same run" for other in others]
        by_pgd = [other.values.get(name.replace("aa_", "pgd_")) for other in alike if name.startswith("aa_")]
        pgd = next((accuracy for accuracy in by_pgd if accuracy is not None), None)
        if pgd is not None and value > pgd:
            notes[name].append(f"above PGD-20 at the same radius ({pgd:g}), impossible for a sound AutoAttack")
        if pgd is not None and value == pgd:
            notes[name].append("the same number as PGD-20 at the same radius")
    for attack in ("pgd", "aa"):
        names = [name for name in row.values if name.startswith(attack)]
        for smaller, larger in itertools.pairwise(names):
            if row.values[larger] > row.values[smaller]:
                notes[larger].append(f"higher than at the smaller radius ({row.values[smaller]:g})")
    return {name: "; ".join(texts) for name, texts in notes.items() if texts}


def _recipe_of(config: TrialConfig) -> dict[str, str]:
    """What ``config`` trains and probes, under the columns of the paper's tables."""
    fields = config.model_dump()
    views = [word for word, view in (("crop", CROP), ("patch", PATCH)) if view.items() <= fields.items()]
    recipe = {name: fields[name] for name in ("encoder", "method", "adversary", "num_views", "epochs", "probe")}
    recipe |= {"views": views[0] if views else "other"}
    recipe |= {"pgd_steps": config.pgd_steps} if config.adversary == "pgd" else {}
    recipe |= {"replays": config.replays} if config.adversary == "free" else {}
    recipe |= {"eval_views": config.probe_views if config.probe == "n_views" else 1}
    return {name: str(value) for name, value in recipe.items()}
