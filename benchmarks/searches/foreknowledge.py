"""What a search of ours may begin with: a right or wrong belief, or the results of an earlier study.

    python -m benchmarks.searches.run --searches ours_ehvi ours_ehvi_right ours_ehvi_wrong --least 0 \\
        --results benchmarks/data/foreknowledge.csv.gz

A belief stems from another recorded repetition of the table than the one that is searched, and is drawn by the seed of
the search: ``right`` from its front of accuracy and time, ``wrong`` from the worst tenth by accuracy and the dearer
half by time. An earlier study is the first 40 trials of a recorded search by ``ehvi`` with seed 0: ``like`` and
``unlike`` of the table whose accuracies have the highest and the lowest rank correlation with those of this one, of
those with the same factors; ``reversed`` of this table, with the accuracies upside down.
"""

from functools import cache

import numpy as np
from scipy.stats import spearmanr

from benchmarks.searches.results import RESULTS, read_runs
from benchmarks.searches.tables import Place, search_problem
from study.spec import PriorTrial, StudySpec
from trainables.table_files import TABLES

FOREKNOWN = ("right", "wrong", "like", "unlike", "reversed")
EARLIER, EARLIER_SEED, EARLIER_TRIALS = "ours_ehvi", 0, 40
WORST, DEAREST = 0.9, 0.5  # of the other rows are better than a wrong recipe: by accuracy, by time


def with_foreknowledge(spec: StudySpec, what: str, table: str, seed: int) -> StudySpec:
    """The study of a table with one of ``FOREKNOWN``, or as it is if ``what`` is empty."""
    match what:
        case "right" | "wrong":
            return spec.replace(design=spec.design.replace(believed=(recipe(table, seed, what == "right"),)))
        case "like":
            return spec.replace(warm_start=earlier(max(likeness(table), key=likeness(table).__getitem__)))
        case "unlike":
            return spec.replace(warm_start=earlier(min(likeness(table), key=likeness(table).__getitem__)))
        case "reversed":
            return spec.replace(warm_start=earlier(table, is_reversed=True))
    return spec


def recipe(table: str, seed: int, is_right: bool) -> Place:
    """What is believed to be good, rightly or wrongly."""
    problem = search_problem(table)
    ranks = problem.ranks[(seed + 1) % problem.num_repetitions]
    if is_right:
        order = np.lexsort((ranks[:, 0], ranks[:, 1]))
        best_so_far = np.minimum.accumulate(np.r_[np.inf, ranks[order, 0]])[:-1]
        rows = order[ranks[order, 0] < best_so_far]
    else:
        rows = np.flatnonzero((ranks[:, 0] > WORST) & (ranks[:, 1] > DEAREST))
    return problem.place(int(np.random.default_rng([seed, is_right]).choice(rows)))


@cache
def likeness(table: str) -> dict[str, float]:
    """Other tables with the same factors -> the rank correlation of their accuracies (or losses) with those here."""
    mine = search_problem(table)
    others = [search_problem(name) for name in TABLES if name != table and name.split("/")[0] == table.split("/")[0]]
    return {one.name: float(spearmanr(mine.ranks[0, :, 0], one.ranks[0, :, 0])[0]) for one in others}


def earlier(table: str, is_reversed: bool = False) -> tuple[PriorTrial, ...]:
    """The results of an earlier study of a table.

    Raises:
        ValueError: if no such study is recorded.
    """
    wanted = (EARLIER, table, EARLIER_SEED)
    found = next((run for run in read_runs(RESULTS) if run.key == wanted), None)
    if found is None:
        raise ValueError(f"{RESULTS} has no run of search, table and seed {wanted}")
    problem = search_problem(table)
    quality, seconds = problem.values[EARLIER_SEED, :, 0], problem.seconds[EARLIER_SEED]
    if is_reversed:
        quality = quality.max() + quality.min() - quality
    rows = found.rows[:EARLIER_TRIALS]
    return tuple(PriorTrial(problem.place(row), (float(quality[row]), float(seconds[row]))) for row in rows)
