"""What right and wrong beliefs, and earlier studies, do to our default search on tables made by others.

    python -m benchmarks.searches.beliefs --tables hpobench/car --seeds 10 14

Each search is the default one, with one thing more; the same seed is run without it. What a user believes stems from
another recorded repetition than the one that is searched.

    none        nothing more
    right       a recipe on the front of accuracy and time, drawn by the seed
    wrong       a recipe of the worst tenth by accuracy and the dearer half by time, drawn by the seed
    similar     starts from the first 40 trials of a search of the table that is most like this one
    dissimilar  of the table that is least like it: by rank correlation of the accuracies, of those with the same factors
    reversed    of this table itself, with the accuracies upside down
"""

import argparse
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.searches.measures import by_search, judge, ratio
from benchmarks.searches.results import add_runs, read_runs
from benchmarks.searches.run import RESULTS as SEARCHES
from benchmarks.searches.run import Peers, run
from benchmarks.searches.tables import search_problem
from benchmarks.searches.targets import targets
from study.spec import PriorTrial, StudySpec
from trainables.table_files import TABLES

RESULTS = Path(__file__).resolve().parents[1] / "data" / "beliefs.csv.gz"
SEARCHED = "ours_ehvi"
EARLIER_TRIALS, EARLIER_SEED = 40, 0
WORST, DEAREST = 0.9, 0.5  # shares of the other rows that are better, above which a recipe is wrong


def believed(table: str, seed: int, is_right: bool) -> dict[str, int]:
    """A recipe, right or wrong."""
    problem = search_problem(table)
    ranks = problem.ranks[(seed + 1) % problem.num_repetitions]
    if is_right:
        order = np.lexsort((ranks[:, 0], ranks[:, 1]))
        best = np.minimum.accumulate(np.r_[np.inf, ranks[order, 0]])[:-1]
        rows = order[ranks[order, 0] < best]
    else:
        rows = np.flatnonzero((ranks[:, 0] > WORST) & (ranks[:, 1] > DEAREST))
    return problem.place(int(np.random.default_rng([seed, is_right]).choice(rows)))


@cache
def likeness(table: str) -> dict[str, float]:
    """Other tables with the same factors -> the rank correlation of their headlines with that of ``table``."""
    mine = search_problem(table)
    others = [search_problem(name) for name in TABLES if name != table and name.split("/")[0] == table.split("/")[0]]
    return {one.name: float(spearmanr(mine.ranks[0, :, 0], one.ranks[0, :, 0])[0]) for one in others}


def earlier(table: str, is_reversed: bool = False) -> tuple[PriorTrial, ...]:
    """The trials of an earlier study of a table."""
    problem = search_problem(table)
    done = next(o for o in read_runs(SEARCHES) if (o.search, o.table, o.seed) == (SEARCHED, table, EARLIER_SEED))
    values = problem.values[EARLIER_SEED].copy()
    if is_reversed:
        values[:, 0] = values[:, 0].max() + values[:, 0].min() - values[:, 0]
    return tuple(PriorTrial(problem.place(row), tuple(values[row])) for row in done.rows[:EARLIER_TRIALS])


def changed(spec: StudySpec, name: str, table: str, seed: int) -> StudySpec:
    """The study of a table with what ``name`` says."""
    changes: dict[str, Any] = {}
    match name:
        case "right" | "wrong":
            changes["design"] = spec.design.replace(believed=(believed(table, seed, name == "right"),))
        case "similar":
            changes["warm_start"] = earlier(max(likeness(table), key=likeness(table).__getitem__))
        case "dissimilar":
            changes["warm_start"] = earlier(min(likeness(table), key=likeness(table).__getitem__))
        case "reversed":
            changes["warm_start"] = earlier(table, is_reversed=True)
    return spec.replace(**changes) if changes else spec


NAMES = ("none", "right", "wrong", "similar", "dissimilar", "reversed")
