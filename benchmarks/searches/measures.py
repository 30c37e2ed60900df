"""What runs say about searches: compute and trials to the target, ratios with intervals, regret.

A run that never reaches its target is counted as if random search took over from scratch: its own compute, plus the
budget of the target (what random search spends to have the target on average), and likewise for trials. Counting the
compute alone would flatter a search that fails cheaply. Ratios are paired by seed, which fixes the recorded repetition
and so the target. All averages are geometric. Intervals are 95% by bootstrap over seeds: one resample of the seeds
serves all tables and searches, as the runs of a seed share the repetition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.searches.results import Run
from benchmarks.searches.simulation import Curve, curve_of
from benchmarks.searches.tables import Floats, SearchProblem
from benchmarks.searches.targets import Target

RESAMPLES = 2000
FEWEST_SEEDS = 5  # a bootstrap of fewer says little


@dataclass(frozen=True)
class Effort:
    """What a run needed to reach its target.

    Args:
        compute: in s of training.
        trials: that had ended by then.
        is_reached: whether it did; if not, both are counted as said above.
    """

    compute: float
    trials: float
    is_reached: bool


def effort(curve: Curve, target: Target) -> Effort:
    """Compute and trials of a run to its target."""
    for number, (compute, found) in enumerate(zip(curve.compute, curve.hypervolume, strict=True), start=1):
        if found >= target.hypervolume:
            return Effort(compute, number, True)
    return Effort(curve.compute[-1] + target.budget, len(curve.compute) + target.trials, False)


@dataclass(frozen=True)
class Judgement:
    """A run, judged."""

    run: Run
    curve: Curve
    effort: Effort
    target: Target
    whole: float  # the hypervolume of the whole table

    @property
    def share(self) -> float:
        """The compute to the target, as a share of the budget that it was set by."""
        return self.effort.compute / self.target.budget


def judge(run: Run, problem: SearchProblem, targets: Sequence[Target]) -> Judgement:
    """A run, as its table and the target of its repetition judge it."""
    repetition = run.seed % problem.num_repetitions
    curve = curve_of(problem, repetition, run.rows)
    target = targets[repetition]
    return Judgement(run, curve, effort(curve, target), target, problem.whole[repetition])


Efforts = Mapping[str, Mapping[str, Mapping[int, float]]]  # search -> table -> seed -> effort


def by_search(judged: Sequence[Judgement], of: str = "compute") -> dict[str, dict[str, dict[int, float]]]:
    """The efforts by search, table and seed; ``of``: ``compute`` or ``trials``."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for one in judged:
        found.setdefault(one.run.search, {}).setdefault(one.run.table, {})[one.run.seed] = getattr(one.effort, of)
    return found


@dataclass(frozen=True)
class Ratio:
    """A geometric mean with its 95% interval (nan with fewer than ``FEWEST_SEEDS``), over so many runs of a table."""

    mean: float
    low: float
    high: float
    tables: int
    pairs: int
    seeds: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.2f} ({self.seeds} seed{'s' if self.seeds > 1 else ''})"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(efforts: Efforts, ours: str, other: str, tables: Sequence[str], seed: int = 0) -> Ratio | None:
    """How much ``ours`` needs of what ``other`` needs; None if they share no seed on any of the ``tables``.

    The geometric mean over seeds, then over the tables on which both have run.
    """
    logs: dict[str, dict[int, float]] = {}
    for table in tables:
        mine, theirs = efforts.get(ours, {}).get(table, {}), efforts.get(other, {}).get(table, {})
        if shared := mine.keys() & theirs.keys():
            logs[table] = {s: float(np.log(mine[s] / theirs[s])) for s in shared}
    if not logs:
        return None
    seeds = sorted(set().union(*logs.values()))
    matrix = np.array([[of.get(s, np.nan) for s in seeds] for of in logs.values()])  # (tables, seeds)
    mean = float(np.exp(np.nanmean(matrix, axis=1).mean()))
    low, high = _interval(matrix, seed)
    return Ratio(mean, low, high, len(logs), int(np.isfinite(matrix).sum()), len(seeds))


def against_best(efforts: Efforts, ours: str, peers: Sequence[str], table: str) -> tuple[str, Ratio] | None:
    """The peer that does best on ``table``, and what ``ours`` needs of what it needs there.

    That peer is the one against which ``ours`` looks worst, so a peer with few seeds may be it by luck.
    """
    found = [(peer, r) for peer in peers if (r := ratio(efforts, ours, peer, [table])) is not None]
    return max(found, key=lambda pair: pair[1].mean, default=None)


def _interval(matrix: Floats, seed: int) -> tuple[float, float]:
    if matrix.shape[1] < FEWEST_SEEDS:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(matrix.shape[1], size=(RESAMPLES, matrix.shape[1]))
    drawn = matrix[:, draws]  # (tables, resamples, seeds)
    counts = np.isfinite(drawn).sum(axis=2)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, np.nansum(drawn, axis=2) / np.maximum(counts, 1), np.nan)
    low, high = np.nanquantile(np.nanmean(means, axis=0), [0.025, 0.975])
    return float(np.exp(low)), float(np.exp(high))


def regret(judged: Sequence[Judgement], shares: Sequence[float]) -> Floats:
    """Mean regret of runs after each share of the budget: what is missing of the table's whole hypervolume.

    A run that ended, as runs do soon after their target, keeps its last value: beyond its end, the regret is an upper
    bound. Tables weigh equally.
    """
    by_table: dict[str, list[Floats]] = {}
    for one in judged:
        at = np.searchsorted(one.curve.compute, np.array(shares) * one.target.budget, side="right")
        found = np.array([0.0, *one.curve.hypervolume])[at]
        by_table.setdefault(one.run.table, []).append(one.whole - found)
    return np.mean([np.mean(of, axis=0) for of in by_table.values()], axis=0)
